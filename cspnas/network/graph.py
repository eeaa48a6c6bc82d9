"""The network as data: a tuple of typed operations with checked shapes. Pure Python, no torch.

Every reading of a network (cost, module, digest) starts here. What an operation is, is in `operations`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

from cspnas.errors import ArchitectureError
from cspnas.network.operations import OPERATIONS, OperationSpec, Shape, form_of


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: what it is, where it stands (`name`) and which operations it reads (indices)."""

    form: OperationSpec
    name: str
    inputs: tuple[int, ...]

    def __getitem__(self, attribute: str) -> Any:
        """The value of `attribute`, its kind's default where it is not set."""
        for key, value in self.form.attributes:
            if key == attribute:
                return value
        return OPERATIONS[self.form.kind].defaults[attribute]

    @property
    def kind(self) -> str:
        """A key of `OPERATIONS`."""
        return self.form.kind

    @property
    def shape(self) -> Shape:
        """Of the result."""
        return self.form.shape

    @property
    def attributes(self) -> tuple[tuple[str, Any], ...]:
        """Those that are not at their default, sorted."""
        return self.form.attributes

    @property
    def elements(self) -> int:
        """Elements of the result, one image."""
        return prod(self.form.shape)


class Topology(NamedTuple):
    """Which operation reads which, and what each does to memory: all that a plan of it depends on, whatever the widths."""

    kinds: tuple[str, ...]
    memories: tuple[str, ...]
    inputs: tuple[tuple[int, ...], ...]
    output: int

    @classmethod
    def of(cls, forms: Sequence[OperationSpec], inputs: Sequence[tuple[int, ...]], output: int) -> Topology:
        """Of operations with these forms that read these."""
        return cls(tuple([form.kind for form in forms]), tuple([form.memory for form in forms]), tuple(inputs), output)


@dataclass(frozen=True, slots=True)
class Graph:
    """Operations in running order; the first is the image; `output` is the index of the result."""

    operations: tuple[Operation, ...]
    output: int

    @property
    def forms(self) -> list[OperationSpec]:
        """Of the operations."""
        return [operation.form for operation in self.operations]

    @property
    def topology(self) -> Topology:
        """What the layout of memory depends on."""
        return Topology.of(self.forms, [operation.inputs for operation in self.operations], self.output)

    def input_shapes(self, operation: Operation) -> tuple[Shape, ...]:
        """The shapes that `operation` reads."""
        return tuple(self.operations[index].form.shape for index in operation.inputs)

    def digest(self) -> str:
        """sha256 of the canonical JSON: kinds, inputs, shapes and attributes that differ from their default; no names."""
        rows = [[op.kind, op.inputs, op.shape, dict(op.attributes)] for op in self.operations]
        text = json.dumps([rows, self.output], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class GraphBuilder:
    """Adds operations one by one, each shape checked as it comes. `forms`, `inputs` and `names` of those so far."""

    def __init__(self, input_shape: Shape, *, piece: bool = False) -> None:
        """`piece`: the input is not the caller's image but a value that earlier layers made. Raises ArchitectureError for
        an empty one.
        """
        if min(input_shape, default=0) < 1:
            raise ArchitectureError(f"an input of {input_shape}", expected="at least 1 in every dimension")
        kind, name = ("given", "before") if piece else ("input", "image")
        self.forms, self.names = [form_of(kind, (input_shape,), ())], [name]
        self.inputs: list[tuple[int, ...]] = [()]

    def add(self, kind: str, name: str, *inputs: int, **attributes: Any) -> int:
        """Append an operation and give its index. Raises ArchitectureError where the shapes do not fit."""
        shapes = tuple([self.forms[index].shape for index in inputs])
        try:
            form = form_of(kind, shapes, tuple(attributes.items()))
        except ArchitectureError as error:
            raise type(error)(
                error.found, expected=error.expected, where=error.where or name, hint=error.hint
            ) from None
        return self.append(form, name, inputs)

    def append(self, form: OperationSpec, name: str, inputs: tuple[int, ...]) -> int:
        """Append an operation whose form is known and give its index."""
        self.forms.append(form)
        self.names.append(name)
        self.inputs.append(inputs)
        return len(self.forms) - 1

    def channels(self, index: int) -> int:
        """Channels of the operation at `index`."""
        return self.forms[index].shape[0]

    def graph(self) -> Graph:
        """The graph so far; the last operation is its output."""
        return Graph(tuple(map(Operation, self.forms, self.names, self.inputs)), len(self.forms) - 1)
