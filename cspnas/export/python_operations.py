"""Each operation as an expression of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from cspnas.network.graph import Operation

if TYPE_CHECKING:
    from torch import Tensor

Value = int | bool
# What torch's layers take where nothing is said.
DEFAULTS: Mapping[str, Value] = MappingProxyType({"stride": 1, "padding": 0, "groups": 1, "bias": True})


# Copied into files that need it.
def add_common(total: Tensor, other: Tensor, stride: int) -> Tensor:
    """Darknet's shortcut: the channels that both have, every stride-th position of the second."""
    channels = min(total.shape[1], other.shape[1])
    total = total.clone()
    total[:, :channels] += other[:, :channels, ::stride, ::stride]
    return total


def layer_arguments(op: Operation, channels: int) -> tuple[str, dict[str, Value]]:
    """The class of torch's of an operation with weights, and its arguments."""
    if op.kind == "conv":
        rest = {name: op[name] for name in ("stride", "padding", "groups", "bias")}
        sizes = {"in_channels": channels, "out_channels": op["out_channels"], "kernel_size": op["kernel"]}
        return "nn.Conv2d", {**sizes, **rest}
    if op.kind == "norm":
        return "nn.BatchNorm2d", {"num_features": channels}
    return "nn.Linear", {"in_features": channels, "out_features": op["out_features"]}


def _act(op: Operation, read: list[str]) -> str:
    slope = f", {op['negative_slope']!r}" if op["function"] == "leaky_relu" else ""
    return f"F.{op['function']}({read[0]}{slope})"


def _add(op: Operation, read: list[str]) -> str:
    return f"add_common({', '.join(read)}, {op['stride']})" if op["common"] else " + ".join(read)


def _pool(op: Operation, read: list[str]) -> str:
    if op["function"] == "global_avg":
        return f"F.adaptive_avg_pool2d({read[0]}, 1)"
    return f"F.{op['function']}_pool2d({read[0]}, {op['kernel']}, stride={op['stride']}, padding={op['padding']})"


FUNCTION_TEXTS: Mapping[str, Callable[[Operation, list[str]], str]] = MappingProxyType(
    {
        "act": _act,
        "add": _add,
        "concat": lambda op, read: f"torch.cat(({', '.join(read)}), 1)",
        "slice": lambda op, read: f"{read[0]}[:, {op['start']}:{op['stop']}]",
        "pool": _pool,
        "flatten": lambda op, read: f"torch.flatten({read[0]}, 1)",
    }
)
