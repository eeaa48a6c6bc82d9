"""The network as data: a tuple of typed operations with checked shapes. Pure Python, no torch.

Every reading of a network (cost, module, digest) starts here. An operation kind is one row of `OPERATIONS`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any

from cspnas.errors import ArchitectureError

Shape = tuple[int, ...]  # one image: (channels, height, width), or (features,) after flatten


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: what it is, where it stands (`name`), which operations it reads (indices), what it gives (`shape`)."""

    kind: str
    name: str
    inputs: tuple[int, ...]
    shape: Shape
    attributes: tuple[tuple[str, Any], ...] = ()

    def __getitem__(self, attribute: str) -> Any:
        """The value of `attribute`, its kind's default where it is not set."""
        for key, value in self.attributes:
            if key == attribute:
                return value
        return OPERATIONS[self.kind].defaults[attribute]

    @property
    def elements(self) -> int:
        """Elements of the result, one image."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Graph:
    """Operations in running order; the first is the image; `output` is the index of the result."""

    operations: tuple[Operation, ...]
    output: int

    def input_shapes(self, operation: Operation) -> tuple[Shape, ...]:
        """The shapes that `operation` reads."""
        return tuple([self.operations[index].shape for index in operation.inputs])

    def readers(self) -> list[list[int]]:
        """For each operation the operations that read it, in order; the graph's output is read once more, at the end."""
        readers: list[list[int]] = [[] for _ in self.operations]
        for index, operation in enumerate(self.operations):
            for source in operation.inputs:
                readers[source].append(index)
        readers[self.output].append(len(self.operations))
        return readers

    def digest(self) -> str:
        """sha256 of the canonical JSON: kinds, inputs, shapes and attributes that differ from their default; no names."""
        rows = [[op.kind, op.inputs, op.shape, dict(op.attributes)] for op in self.operations]
        text = json.dumps([rows, self.output], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class GraphBuilder:
    """Adds operations one by one, each shape checked as it comes."""

    def __init__(self, input_shape: Shape, *, piece: bool = False) -> None:
        """`piece`: the input is not the caller's image but a value that earlier layers made. Raises ArchitectureError for
        an empty one.
        """
        if min(input_shape, default=0) < 1:
            raise ArchitectureError(f"an input of {input_shape}", expected="at least 1 in every dimension")
        first = ("given", "before") if piece else ("input", "image")
        self._operations = [Operation(*first, (), input_shape)]

    def add(self, kind: str, name: str, *inputs: int, **attributes: Any) -> int:
        """Append an operation and give its index. Raises ArchitectureError where the shapes do not fit."""
        row = OPERATIONS[kind]
        assert attributes.keys() <= row.defaults.keys(), f"{kind} has no {attributes.keys() - row.defaults.keys()}"
        shapes = tuple([self._operations[index].shape for index in inputs])
        try:
            shape = row.shape(shapes, {**row.defaults, **attributes})
        except ArchitectureError as error:
            raise ArchitectureError(
                error.found, expected=error.expected, where=error.where or name, do=error.do
            ) from None
        # bias=1 is bias=True: they would be two digests of one network
        settled = [
            (k, bool(v) if row.defaults[k] is False else v) for k, v in attributes.items() if v != row.defaults[k]
        ]
        kept = tuple(sorted(settled))
        self._operations.append(Operation(kind, name, inputs, shape, kept))
        return len(self._operations) - 1

    def part(self, wire: Callable[..., int], units: Any, name: str, x: int, settings: tuple[Any, ...]) -> int:
        """Wire a part that reads `x` alone and gives one value. A builder that only costs may know its cost already."""
        return wire(units, name, x, *settings)

    def channels(self, index: int) -> int:
        """Channels of the operation at `index`."""
        return self._operations[index].shape[0]

    def graph(self) -> Graph:
        """The graph so far; the last operation is its output."""
        return Graph(tuple(self._operations), len(self._operations) - 1)


# One row an operation kind ------------------------------------------------------------------------------------------

Attributes = Mapping[str, Any]


def _nothing(operation: Operation, inputs: tuple[Shape, ...]) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class OperationKind:
    """How a kind shapes its result, what it costs, and what it does to memory.

    `memory`: `new` makes a storage, `view` shares its input's, `activation` and `add` overwrite an input where they may,
    `image` is the caller's. `traffic`: elements that it reads and writes, where the paper's CIO counts them. `saves`:
    which of `input` and `output` autograd keeps for the backward pass; `saved_extra(operation)` is (bytes per image, bytes
    per batch) that it keeps besides. `defaults` are compared and unpacked for every operation: a plain dict, never changed.
    """

    shape: Callable[[tuple[Shape, ...], Attributes], Shape]
    memory: str = "new"
    macs: Callable[[Operation, tuple[Shape, ...]], int] = _nothing
    params: Callable[[Operation, tuple[Shape, ...]], int] = _nothing
    traffic: Callable[[Operation, tuple[Shape, ...]], int] = _nothing
    saves: Callable[[Operation], str] = lambda operation: ""
    saved_extra: Callable[[Operation], tuple[int, int]] = lambda operation: (0, 0)
    defaults: dict[str, Any] = field(default_factory=dict)


def _same(shapes: tuple[Shape, ...], attributes: Attributes) -> Shape:
    return shapes[0]


def _window(shape: Shape, attributes: Attributes, what: str) -> tuple[int, int]:
    """Height and width after a sliding window."""
    kernel, stride, padding = attributes["kernel"], attributes["stride"], attributes["padding"]
    if kernel < 1 or stride < 1 or padding < 0:
        raise ArchitectureError(
            f"a {what} with kernel {kernel}, stride {stride}, padding {padding}",
            expected="kernel and stride of at least 1, padding of at least 0",
        )
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in shape[1:])
    if height < 1 or width < 1:
        raise ArchitectureError(
            f"a {what} of {kernel}x{kernel} on a map of {shape[1]}x{shape[2]}",
            expected="a map at least as large as the window",
            do="use fewer poolings or strides, or a larger input",
        )
    return height, width


def _conv_shape(shapes: tuple[Shape, ...], attributes: Attributes) -> Shape:
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


def _in_and_out(operation: Operation, inputs: tuple[Shape, ...]) -> int:
    return operation.elements + prod(inputs[0])


def _conv_weights(operation: Operation, inputs: tuple[Shape, ...]) -> int:
    kernel: int = operation["kernel"]
    groups: int = operation["groups"]
    return operation.shape[0] * (inputs[0][0] // groups) * kernel * kernel


def _concat_shape(shapes: tuple[Shape, ...], attributes: Attributes) -> Shape:
    if len({shape[1:] for shape in shapes}) > 1:
        raise ArchitectureError(f"a concat of maps {[shape[1:] for shape in shapes]}", expected="maps of one size")
    return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _add_shape(shapes: tuple[Shape, ...], attributes: Attributes) -> Shape:
    assert len(shapes) == 2, "an add has two operands"
    if attributes["common"]:  # Darknet's shortcut: the channels that both have, every stride-th position of the second
        strided = tuple((size - 1) // attributes["stride"] + 1 for size in shapes[1][1:])
        if strided != shapes[0][1:]:
            raise ArchitectureError(f"a sum of maps {shapes[0][1:]} and {strided}", expected="maps of one size")
        return shapes[0]
    if len(set(shapes)) > 1:
        raise ArchitectureError(f"a sum of shapes {list(shapes)}", expected="equal shapes")
    return shapes[0]


def _slice_shape(shapes: tuple[Shape, ...], attributes: Attributes) -> Shape:
    start, stop = attributes["start"], attributes["stop"]
    if not 0 <= start < stop <= shapes[0][0]:
        raise ArchitectureError(
            f"a slice {start}:{stop} of {shapes[0][0]} channels", expected="channels that are there"
        )
    return (stop - start, *shapes[0][1:])


def _pool_shape(shapes: tuple[Shape, ...], attributes: Attributes) -> Shape:
    function, kernel, padding = attributes["function"], attributes["kernel"], attributes["padding"]
    check_name("pool", function, POOLS)
    if function == "global_avg":
        return (shapes[0][0], 1, 1)
    if 2 * padding > kernel:  # torch refuses it: a window could lie in the padding alone
        raise ArchitectureError(
            f"a pool of {kernel}x{kernel} with padding {padding}", expected="padding of at most half the kernel"
        )
    return (shapes[0][0], *_window(shapes[0], attributes, "pool"))


def _act_shape(shapes: tuple[Shape, ...], attributes: Attributes) -> Shape:
    check_name("activation", attributes["function"], ACTIVATIONS)
    return shapes[0]


def _linear_shape(shapes: tuple[Shape, ...], attributes: Attributes) -> Shape:
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


def _pool_saves(operation: Operation) -> str:
    # The mean over a whole map needs only its size; a max pool keeps the indices (int64) of its winners.
    return "" if operation["function"] == "global_avg" else "input"


OPERATIONS: Mapping[str, OperationKind] = MappingProxyType(
    {
        "input": OperationKind(shape=_same, memory="image"),
        "given": OperationKind(shape=_same),
        "conv": OperationKind(
            shape=_conv_shape,
            macs=lambda op, inputs: _conv_weights(op, inputs) * op.shape[1] * op.shape[2],
            params=lambda op, inputs: _conv_weights(op, inputs) + op.shape[0] * op["bias"],
            traffic=_in_and_out,
            saves=lambda op: "input",
            defaults={"out_channels": 0, "kernel": 1, "stride": 1, "padding": 0, "groups": 1, "bias": False},
        ),
        "norm": OperationKind(
            shape=_same,
            params=lambda op, inputs: 2 * op.shape[0],
            saves=lambda op: "input",
            saved_extra=lambda op: (0, 8 * op.shape[0]),  # the batch's mean and inverse deviation, float32
        ),
        "act": OperationKind(
            shape=_act_shape,
            memory="activation",
            saves=lambda op: "output" if op["function"] in _SAVES_OUTPUT else "input",
            defaults={"function": "relu", "negative_slope": 0.1},  # Darknet's slope; leaky_relu alone
        ),
        "concat": OperationKind(shape=_concat_shape),
        "add": OperationKind(shape=_add_shape, memory="add", defaults={"common": False, "stride": 1}),
        "slice": OperationKind(shape=_slice_shape, memory="view", defaults={"start": 0, "stop": 0}),
        "pool": OperationKind(
            shape=_pool_shape,
            traffic=_in_and_out,
            saves=_pool_saves,
            saved_extra=lambda op: (8 * op.elements if op["function"] == "max" else 0, 0),
            defaults={"function": "avg", "kernel": 2, "stride": 2, "padding": 0},
        ),
        "flatten": OperationKind(shape=lambda shapes, attributes: (prod(shapes[0]),), memory="view"),
        "linear": OperationKind(
            shape=_linear_shape,
            macs=lambda op, inputs: inputs[0][0] * op.shape[0],
            params=lambda op, inputs: inputs[0][0] * op.shape[0] + op.shape[0],
            saves=lambda op: "input",
            defaults={"out_features": 0},
        ),
        # Several operations that read one value and give one, of which only the costs are known: for costing alone.
        "part": OperationKind(
            shape=lambda shapes, attributes: attributes["cost"].shape,
            macs=lambda op, inputs: op["cost"].macs,
            params=lambda op, inputs: op["cost"].params,
            traffic=lambda op, inputs: op["cost"].traffic,
            saves=lambda op: op["cost"].saved.ends,
            saved_extra=lambda op: (op["cost"].saved.per_image, op["cost"].saved.per_batch),
            defaults={"cost": None},
        ),
    }
)
