"""What an operation is: a kind, its shapes and what follows from them. Pure Python, no torch.

A kind is one row of `OPERATIONS`: shape, MACs, parameters, memory, what autograd keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from types import MappingProxyType
from typing import Any

from cspnas.errors import ArchitectureError, SmallMapError

# float32.
BYTES = 4
# One image: (channels, height, width), or (features,) after flatten.
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OperationSpec:
    """What an operation is on inputs of known shapes, whatever it is called and reads; `shape` of its result.

    All that follows from that is worked out once, for one image: `memory` as in `OperationKind`; `bytes` of the result;
    `macs`, `params`, `weight_bytes` and `traffic` (elements); `layers` that compute, and the MACs of the busiest of them;
    whether autograd `keeps_input` and `keeps_output`, and the bytes that it keeps besides, per image and per batch.
    """

    kind: str
    shape: Shape
    attributes: tuple[tuple[str, Any], ...] = ()
    memory: str = field(default="new", compare=False)
    bytes: int = field(default=0, compare=False)
    macs: int = field(default=0, compare=False)
    params: int = field(default=0, compare=False)
    weight_bytes: int = field(default=0, compare=False)
    traffic: int = field(default=0, compare=False)
    layers: int = field(default=0, compare=False)
    busiest_macs: int = field(default=0, compare=False)
    keeps_input: bool = field(default=False, compare=False)
    keeps_output: bool = field(default=False, compare=False)
    saved_per_image: int = field(default=0, compare=False)
    saved_per_batch: int = field(default=0, compare=False)


Attributes = Mapping[str, Any]
Shapes = tuple[Shape, ...]
# Of (the result's shape, the inputs' shapes, all attributes).
Count = Callable[[Shape, Shapes, Attributes], int]


def _nothing(shape: Shape, inputs: Shapes, attributes: Attributes) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class OperationKind:
    """How a kind shapes its result, what it costs, and what it does to memory.

    `memory`: `new` makes a storage, `view` shares its input's, `first` and `any` overwrite their first input or any where
    they may, `image` is the caller's. `traffic`: elements that it reads and writes, where the paper's CIO counts them.
    `saves`: which of `input` and `output` autograd keeps for the backward pass; `saved_extra` and `saved_per_batch`: bytes
    that it keeps besides, per image and per batch.
    """

    shape: Callable[[Shapes, Attributes], Shape]
    memory: Callable[[Attributes], str] = lambda attributes: "new"
    macs: Count = _nothing
    params: Count = _nothing
    traffic: Count = _nothing
    saves: Callable[[Attributes], str] = lambda attributes: ""
    saved_extra: Count = _nothing
    saved_per_batch: Count = _nothing
    defaults: Attributes = field(default_factory=lambda: MappingProxyType({}))


@lru_cache(maxsize=1 << 15)
def form_of(kind: str, inputs: Shapes, attributes: tuple[tuple[str, Any], ...]) -> OperationSpec:
    """The form of an operation on inputs of these shapes. Remembered: a pool of networks is made of few forms.

    Raises ArchitectureError where the shapes do not fit.
    """
    row = OPERATIONS[kind]
    given = {key: _typed(value, row.defaults[key]) for key, value in attributes}
    settled = {**row.defaults, **given}
    shape = row.shape(inputs, settled)
    macs, params = (count(shape, inputs, settled) for count in (row.macs, row.params))
    return OperationSpec(
        kind,
        shape,
        tuple(sorted((key, value) for key, value in given.items() if value != row.defaults[key])),
        memory=row.memory(settled),
        bytes=BYTES * prod(shape),
        macs=macs,
        params=params,
        weight_bytes=BYTES * params,
        traffic=row.traffic(shape, inputs, settled),
        layers=int(macs > 0),
        busiest_macs=macs,
        keeps_input=row.saves(settled) == "input",
        keeps_output=row.saves(settled) == "output",
        saved_per_image=row.saved_extra(shape, inputs, settled),
        saved_per_batch=row.saved_per_batch(shape, inputs, settled),
    )


def _typed(value: Any, default: Any) -> Any:
    """1 as True where the default is a bool, 3.0 as 3 where it is an int: they would be two digests of one network."""
    typed = type(default)(value)
    return typed if typed == value or isinstance(default, bool) else value


def _same(shapes: Shapes, attributes: Attributes) -> Shape:
    return shapes[0]


def _window(shape: Shape, attributes: Attributes, what: str) -> tuple[int, int]:
    """Height and width after a sliding window."""
    kernel, stride, padding = attributes["kernel"], attributes["stride"], attributes["padding"]
    if kernel < 1 or stride < 1 or padding < 0:
        raise ArchitectureError(
            f"a {what} with kernel {kernel}, stride {stride}, padding {padding}",
            expected="kernel and stride of at least 1, padding of at least 0",
        )
    height, width = [(size + 2 * padding - kernel) // stride + 1 for size in shape[1:]]
    found, least = "", ""
    if height < 1 or width < 1:
        found, least = f"{kernel}x{kernel}", "window"
    # Padding makes the window fit, but there is nothing to step over.
    elif stride > min(shape[1:]):
        found, least = f"stride {stride}", "stride"
    if found:
        raise SmallMapError(
            f"a {what} of {found} on a map of {shape[1]}x{shape[2]}",
            expected=f"a map at least as large as the {least}",
            hint="use fewer poolings or strides, or a larger input",
        )
    return height, width


def _conv_shape(shapes: Shapes, attributes: Attributes) -> Shape:
    groups, out = attributes["groups"], attributes["out_channels"]
    if out < 1 or groups < 1:
        raise ArchitectureError(
            f"a convolution of {out} channels in {groups} groups", expected="at least 1 channel and 1 group"
        )
    if shapes[0][0] % groups or out % groups:
        raise ArchitectureError(
            f"{groups} groups for {shapes[0][0]} -> {out} channels", expected="groups that divide both"
        )
    return (out, *_window(shapes[0], attributes, "convolution"))


def _in_and_out(shape: Shape, inputs: Shapes, attributes: Attributes) -> int:
    return prod(shape) + prod(inputs[0])


def _conv_weights(shape: Shape, inputs: Shapes, attributes: Attributes) -> int:
    kernel: int = attributes["kernel"]
    groups: int = attributes["groups"]
    return shape[0] * (inputs[0][0] // groups) * kernel * kernel


def _linear_weights(shape: Shape, inputs: Shapes, attributes: Attributes) -> int:
    return inputs[0][0] * shape[0]


def _concat_shape(shapes: Shapes, attributes: Attributes) -> Shape:
    if len({shape[1:] for shape in shapes}) > 1:
        raise ArchitectureError(f"a concat of maps {[shape[1:] for shape in shapes]}", expected="maps of one size")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _add_shape(shapes: Shapes, attributes: Attributes) -> Shape:
    assert len(shapes) == 2, "an add has two operands"
    # Darknet's shortcut: the channels that both have, every stride-th position of the second.
    if attributes["common"]:
        strided = tuple((size - 1) // attributes["stride"] + 1 for size in shapes[1][1:])
        if strided != shapes[0][1:]:
            raise ArchitectureError(f"a sum of maps {shapes[0][1:]} and {strided}", expected="maps of one size")
        return shapes[0]
    if len(set(shapes)) > 1:
        raise ArchitectureError(f"a sum of shapes {list(shapes)}", expected="equal shapes")
    return shapes[0]


def _slice_shape(shapes: Shapes, attributes: Attributes) -> Shape:
    start, stop = attributes["start"], attributes["stop"]
    if not 0 <= start < stop <= shapes[0][0]:
        raise ArchitectureError(
            f"a slice {start}:{stop} of {shapes[0][0]} channels", expected="channels that are there"
        )
    return (stop - start, *shapes[0][1:])


def _pool_shape(shapes: Shapes, attributes: Attributes) -> Shape:
    function, kernel, padding = attributes["function"], attributes["kernel"], attributes["padding"]
    check_name("pool", function, POOLS)
    if function == "global_avg":
        return (shapes[0][0], 1, 1)
    # torch refuses it: a window could lie in the padding alone.
    if 2 * padding > kernel:
        raise ArchitectureError(
            f"a pool of {kernel}x{kernel} with padding {padding}", expected="padding of at most half the kernel"
        )
    return (shapes[0][0], *_window(shapes[0], attributes, "pool"))


def _act_shape(shapes: Shapes, attributes: Attributes) -> Shape:
    check_name("activation", attributes["function"], ACTIVATIONS)
    return shapes[0]


def _linear_shape(shapes: Shapes, attributes: Attributes) -> Shape:
    if attributes["out_features"] < 1:
        raise ArchitectureError(f"a linear layer of {attributes['out_features']} outputs", expected="at least 1")
    return (attributes["out_features"],)


def check_name(what: str, name: Any, known: tuple[str, ...]) -> None:
    """Raises ArchitectureError for a name that is not among the known ones."""
    if name not in known:
        raise ArchitectureError(f"{what} {name!r}", expected=f"one of {', '.join(known)}")


# Functions that can overwrite their input, and what their backward pass reads. gelu has no in-place form in torch.
IN_PLACE_ACTIVATIONS = frozenset({"relu", "leaky_relu", "silu", "mish", "hardswish"})
ACTIVATIONS = (*sorted(IN_PLACE_ACTIVATIONS), "gelu")
POOLS = ("avg", "max", "global_avg")
_SAVES_OUTPUT = frozenset({"relu", "leaky_relu"})


def _pool_saves(attributes: Attributes) -> str:
    # The mean over a whole map needs only its size; a max pool keeps the indices (int64) of its winners.
    return "" if attributes["function"] == "global_avg" else "input"


OPERATIONS: Mapping[str, OperationKind] = MappingProxyType(
    {
        "input": OperationKind(shape=_same, memory=lambda a: "image"),
        "given": OperationKind(shape=_same),
        "conv": OperationKind(
            shape=_conv_shape,
            macs=lambda shape, inputs, a: _conv_weights(shape, inputs, a) * shape[1] * shape[2],
            params=lambda shape, inputs, a: _conv_weights(shape, inputs, a) + shape[0] * a["bias"],
            traffic=_in_and_out,
            saves=lambda a: "input",
            defaults=MappingProxyType(
                {"out_channels": 0, "kernel": 1, "stride": 1, "padding": 0, "groups": 1, "bias": False}
            ),
        ),
        "norm": OperationKind(
            shape=_same,
            params=lambda shape, inputs, a: 2 * shape[0],
            saves=lambda a: "input",
            # The batch's mean and inverse deviation, float32.
            saved_per_batch=lambda shape, inputs, a: 8 * shape[0],
        ),
        "act": OperationKind(
            shape=_act_shape,
            memory=lambda a: "first" if a["function"] in IN_PLACE_ACTIVATIONS else "new",
            saves=lambda a: "output" if a["function"] in _SAVES_OUTPUT else "input",
            # Darknet's slope; leaky_relu alone.
            defaults=MappingProxyType({"function": "relu", "negative_slope": 0.1}),
        ),
        "concat": OperationKind(shape=_concat_shape),
        "add": OperationKind(
            shape=_add_shape,
            memory=lambda a: (
                "first" if a["common"] else "any"
                # Of two that differ in shape only the first can take it.
            ),
            defaults=MappingProxyType({"common": False, "stride": 1}),
        ),
        "slice": OperationKind(
            shape=_slice_shape, memory=lambda a: "view", defaults=MappingProxyType({"start": 0, "stop": 0})
        ),
        "pool": OperationKind(
            shape=_pool_shape,
            traffic=_in_and_out,
            saves=_pool_saves,
            saved_extra=lambda shape, inputs, a: 8 * prod(shape) if a["function"] == "max" else 0,
            defaults=MappingProxyType({"function": "avg", "kernel": 2, "stride": 2, "padding": 0}),
        ),
        "flatten": OperationKind(shape=lambda shapes, attributes: (prod(shapes[0]),), memory=lambda a: "view"),
        "linear": OperationKind(
            shape=_linear_shape,
            macs=_linear_weights,
            params=lambda shape, inputs, a: _linear_weights(shape, inputs, a) + shape[0],
            saves=lambda a: "input",
            defaults=MappingProxyType({"out_features": 0}),
        ),
        # What a backbone gives: its inputs, all alive to the end.
        "maps": OperationKind(shape=lambda shapes, attributes: (0,)),
    }
)
