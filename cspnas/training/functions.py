"""What a network runs where there are no weights: a plain function of tensors for each operation, which can be pickled."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import Tensor

from cspnas.network.graph import Operation

Function = Callable[..., Tensor]

# As a new tensor, and in place; None: torch has no such form.
_ACTIVATIONS: dict[str, tuple[Function, Function | None]] = {
    "relu": (F.relu, F.relu_),
    "leaky_relu": (F.leaky_relu, F.leaky_relu_),
    "silu": (F.silu, partial(F.silu, inplace=True)),
    "mish": (F.mish, partial(F.mish, inplace=True)),
    "hardswish": (F.hardswish, partial(F.hardswish, inplace=True)),
    "gelu": (F.gelu, None),
}


def function_of(operation: Operation, overwrites: int | None) -> Function:
    """The function of an operation without weights. `overwrites`: the position of the input that takes the result; None:
    the result is a new tensor, or a view.
    """
    return _FUNCTIONS[operation.kind](operation, overwrites)


def _act(op: Operation, overwrites: int | None) -> Function:
    fresh, in_place = _ACTIVATIONS[op["function"]]
    function = fresh if overwrites is None or in_place is None else in_place
    return partial(function, negative_slope=op["negative_slope"]) if op["function"] == "leaky_relu" else function


def _add(op: Operation, overwrites: int | None) -> Function:
    if op["common"]:
        return partial(_add_common_copied if overwrites is None else _add_common, stride=op["stride"])
    if overwrites is None:
        return torch.add
    return _add_into_first if overwrites == 0 else _add_into_second


def _add_into_first(a: Tensor, b: Tensor) -> Tensor:
    return a.add_(b)


def _add_into_second(a: Tensor, b: Tensor) -> Tensor:
    return b.add_(a)


def _add_common(total: Tensor, other: Tensor, *, stride: int) -> Tensor:
    """Darknet's shortcut, in place: the channels that both have, every `stride`-th position of `other`."""
    channels = min(total.shape[1], other.shape[1])
    total[:, :channels].add_(other[:, :channels, ::stride, ::stride])
    return total


def _add_common_copied(first: Tensor, other: Tensor, *, stride: int) -> Tensor:
    return _add_common(first.clone(), other, stride=stride)


def _concat(op: Operation, overwrites: int | None) -> Function:
    return _concatenated


def _concatenated(*parts: Tensor) -> Tensor:
    return torch.cat(parts, 1)


def _slice(op: Operation, overwrites: int | None) -> Function:
    return partial(_channels, start=op["start"], stop=op["stop"])


def _channels(x: Tensor, *, start: int, stop: int) -> Tensor:
    return x[:, start:stop]


def _pool(op: Operation, overwrites: int | None) -> Function:
    if op["function"] == "global_avg":
        return partial(F.adaptive_avg_pool2d, output_size=1)
    function = _max_pool if op["function"] == "max" else F.avg_pool2d
    return partial(function, kernel_size=op["kernel"], stride=op["stride"], padding=op["padding"])


def _max_pool(x: Tensor, *, kernel_size: int, stride: int, padding: int) -> Tensor:
    # F.max_pool2d itself is a local function of torch's and cannot be pickled
    return F.max_pool2d(x, kernel_size, stride, padding)


def _flatten(op: Operation, overwrites: int | None) -> Function:
    return partial(torch.flatten, start_dim=1)


def _maps(op: Operation, overwrites: int | None) -> Function:
    return _listed


def _listed(*maps: Tensor) -> Any:
    return list(maps)


_FUNCTIONS: dict[str, Callable[[Operation, int | None], Function]] = {
    "act": _act,
    "add": _add,
    "concat": _concat,
    "slice": _slice,
    "pool": _pool,
    "flatten": _flatten,
    "maps": _maps,
}
