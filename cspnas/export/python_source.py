"""A network as source code of PyTorch that needs nothing of ours, its classes named after the parts of the papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import getsource
from pprint import pformat
from types import MappingProxyType

from cspnas.export.module_tree import Branch, Leaf, module_tree
from cspnas.export.python_operations import DEFAULTS, FUNCTION_TEXTS, Value, add_common, layer_arguments
from cspnas.network.graph import Graph, Operation

_LAYER_NAMES = MappingProxyType(
    {
        "densenet": "DenseLayer",
        "peleenet": "TwoWayDenseLayer",
        "resnet": "BottleneckBlock",
        "resnext": "BottleneckBlock",
        "darknet": "DarkBlock",
    }
)
_SAID = MappingProxyType(
    {
        "ConvUnit": "Convolution, batch norm and activation.",
        "PreActivationUnit": "Batch norm, activation and convolution.",
        "DenseLayer": "DenseNet: new channels from all before them, which go on beside them.",
        "TwoWayDenseLayer": "PeleeNet: new channels by two ways, one with a wider view.",
        "BottleneckBlock": "ResNet and ResNeXt: 1x1, 3x3, 1x1, and the shortcut around them.",
        "DarkBlock": "DarkNet-53: 1x1, 3x3, and the shortcut around them.",
        "CrossStage": "CSPNet, figure 3: part 1 goes around the block, part 2 through it, the fusion joins them.",
        "Stage": "The layers between two changes of resolution.",
        "Stem": "What comes before the first stage.",
        "Head": "The classifier.",
    }
)


@dataclass(frozen=True, slots=True)
class _Call:
    """A module that is made: `maker` and its arguments by name, or, for a sequence, the modules in it."""

    maker: str
    arguments: Mapping[str, Value] = field(default_factory=dict)
    inside: tuple[tuple[str, _Call], ...] = ()

    @property
    def shape(self) -> object:
        """What it is without the values of its arguments."""
        return self.maker, tuple(self.arguments), tuple((key, call.shape) for key, call in self.inside)

    def slots(self, path: str) -> list[tuple[str, str, Value]]:
        """Every argument with the key of its module, in order."""
        own = [(path, name, value) for name, value in self.arguments.items()]
        return own + [slot for key, call in self.inside for slot in call.slots(key)]

    def text(self, words: list[str], indent: str) -> str:
        """As source, where an argument is the next of `words`, `name=value`, or an empty one to leave it out."""
        own = [word for word in (words.pop(0) for _ in self.arguments) if word]
        if self.maker.startswith("nn."):
            own = [word if word.split("=")[0] in DEFAULTS else word.split("=")[1] for word in own]
        if not self.inside:
            return f"{self.maker}({', '.join(own)})"
        lines = [f"{indent}        {key}={call.text(words, indent + ' ' * 8)},\n" for key, call in self.inside]
        return f"nn.Sequential(\n{indent}    OrderedDict(\n{''.join(lines)}{indent}    )\n{indent})"


@dataclass(frozen=True, slots=True)
class _Part:
    """A module of a class of its own: the modules that it makes, and what it runs."""

    wanted: str
    calls: tuple[tuple[str, _Call], ...]
    forward: tuple[str, ...]

    @property
    def shape(self) -> object:
        """Parts of one shape share a class."""
        return self.wanted, tuple((key, call.shape) for key, call in self.calls), self.forward

    @property
    def slots(self) -> list[tuple[str, str, Value]]:
        """Every argument of every module: (key of the module, name, value)."""
        return [slot for key, call in self.calls for slot in call.slots(key)]


def python_source(graph: Graph, family: str, docstring: str, constants: Mapping[str, object]) -> str:
    """The file: the classes, the inner ones first, and `Network`; `constants` are what else it says."""
    writer = _Source(family, graph)
    root = module_tree(graph)
    # By depth, so that all modules that share a class are known before the modules around them.
    levels: dict[int, list[Branch]] = {}
    _by_height(root, levels)
    for height in sorted(levels):
        writer.add_classes([branch for branch in levels[height] if not branch.is_chain or branch is root])
    said = "".join(f"\n{name} = {pformat(value, width=100)}\n" for name, value in constants.items())
    common = f"\n\n{getsource(add_common)}" if any(op.kind == "add" and op["common"] for op in graph.operations) else ""
    torch_parts = "Tensor, nn" if common else "nn"
    imports = f"import torch\nimport torch.nn.functional as F\nfrom torch import {torch_parts}\n"
    return (
        f'"""{docstring}"""\n\nfrom collections import OrderedDict\n\n{imports}{said}{common}{"".join(writer.classes)}'
    )


def _by_height(branch: Branch, levels: dict[int, list[Branch]]) -> int:
    height = max((1 + _by_height(child, levels) for child in branch.children if isinstance(child, Branch)), default=0)
    levels.setdefault(height, []).append(branch)
    return height


class _Source:
    """The classes so far, and the call that makes each module."""

    def __init__(self, family: str, graph: Graph) -> None:
        self.classes: list[str] = []
        self._layer_name = _LAYER_NAMES.get(family, "Layer")
        self._graph = graph
        self._names: set[str] = set()
        self._calls: dict[int, _Call] = {}

    def add_classes(self, branches: list[Branch]) -> None:
        """The classes of these modules, one for all that differ in numbers alone."""
        alike: dict[object, list[tuple[Branch, _Part]]] = {}
        for branch in branches:
            calls = tuple((c.key, self._call(c)) for c in branch.children if isinstance(c, Branch) or c.is_layer)
            part = _Part(self._wanted_name(branch), calls, tuple(_forward(branch)))
            alike.setdefault(part.shape, []).append((branch, part))
        for group in alike.values():
            self._add_class([branch for branch, _ in group], [part for _, part in group])

    def _call(self, child: Leaf | Branch) -> _Call:
        if isinstance(child, Leaf):
            return _torch_layer(child.operation, self._graph.input_shapes(child.operation)[0][0])
        if id(child) not in self._calls:
            return _Call("nn.Sequential", {}, tuple((inner.key, self._call(inner)) for inner in child.children))
        return self._calls[id(child)]

    def _wanted_name(self, branch: Branch) -> str:
        keys = [child.key for child in branch.children]
        key = branch.key.rstrip("0123456789")
        if {"conv", "norm", "act"} <= set(keys) and key != "stem":
            return "PreActivationUnit" if keys[0] == "norm" else "ConvUnit"
        if key == "stage" and "fusion" in keys:
            return "CrossStage"
        return {"": "Network", "layer": self._layer_name}.get(key, key.capitalize())

    def _add_class(self, branches: list[Branch], parts: list[_Part]) -> None:
        name = parts[0].wanted
        while name in self._names:
            name = f"{parts[0].wanted}{int(name.removeprefix(parts[0].wanted) or 1) + 1}"
        self._names.add(name)
        columns = list(zip(*(part.slots for part in parts), strict=True))
        words, parameters = _parameters(columns)
        self.classes.append(_class_text(name, parts[0], words, list(parameters)))
        for number, branch in enumerate(branches):
            values = {parameter: column[number][2] for parameter, column in parameters.items()}
            self._calls[id(branch)] = _Call(name, values)


Slot = tuple[str, str, Value]


def _parameters(columns: Sequence[Sequence[Slot]]) -> tuple[list[str], dict[str, Sequence[Slot]]]:
    """For each argument its word in the class, and the class's own parameters with their column.

    What is equal in all modules is a number, what is equal to another argument in each of them is one parameter.
    """
    first: dict[object, Sequence[Slot]] = {}
    for column in columns:
        if len({value for _, _, value in column}) > 1:
            first.setdefault(_meaning(column), column)
    # In a class of one layer its arguments need no other name; of several each has its layer's.
    roles = [column[0][1] for column in columns]
    names = {
        meaning: role
        if (role == "in_channels" and key == columns[0][0][0]) or roles.count(role) == 1
        else f"{key}_{role}"
        for meaning, ((key, role, _), *_) in first.items()
    }
    words = []
    for column in columns:
        _, role, value = column[0]
        constant = "" if value == DEFAULTS.get(role) else f"{role}={value!r}"
        words.append(f"{role}={names[_meaning(column)]}" if _meaning(column) in names else constant)
    return words, {names[meaning]: column for meaning, column in first.items()}


def _meaning(column: Sequence[Slot]) -> object:
    """Equal for arguments that are one thing: channels may be those of a neighbour, a stride is never a kernel."""
    role = column[0][1].rpartition("_")[2]
    return "channels" if role == "features" else role, tuple(value for _, _, value in column)


def _class_text(name: str, part: _Part, words: list[str], parameters: list[str]) -> str:
    base = name.rstrip("0123456789")
    said = f'    """{_SAID[base]}"""\n\n' if base in _SAID else ""
    made = "".join(f"        self.{key} = {call.text(words, ' ' * 8)}\n" for key, call in part.calls)
    # Those without a default come first.
    given = [f"{word}={DEFAULTS[word]!r}" if word in DEFAULTS else word for word in parameters]
    given.sort(key=lambda word: "=" in word)
    start = f"    def __init__({', '.join(['self', *given])}):\n        super().__init__()\n{made}\n" if made else ""
    run = "".join(f"        {line}\n" for line in part.forward)
    return f"\n\nclass {name}(nn.Module):\n{said}{start}    def forward(self, x):\n{run}"


def _forward(branch: Branch) -> list[str]:
    """The lines of `forward`: a value is `x` while it is the only one that is still needed, else it has its module's name."""
    assert len(branch.reads) == 1, f"{branch.key} reads {len(branch.reads)} values"
    names, lines = {branch.reads[0]: "x"}, []
    for number, child in enumerate(branch.children):
        later = {value for other in branch.children[number + 1 :] for value in other.reads} | set(branch.results)
        read = [names[value] for value in child.reads]
        names = {value: name for value, name in names.items() if value in later}
        if len(child.results) > 1:
            given = [f"{child.key}{place}" for place in range(1, 1 + len(child.results))]
        else:
            given = [child.key if names else "x"]
        names |= dict(zip(child.results, given, strict=True))
        lines.append(f"{', '.join(given)} = {_expression(child, read)}")
    result = ", ".join(names[value] for value in branch.results)
    if lines[-1].startswith(f"{result} = "):
        return [*lines[:-1], "return " + lines[-1].removeprefix(f"{result} = ")]
    return [*lines, f"return {result}"]


def _expression(child: Leaf | Branch, read: list[str]) -> str:
    if isinstance(child, Branch) or child.is_layer:
        return f"self.{child.key}({', '.join(read)})"
    return FUNCTION_TEXTS[child.operation.kind](child.operation, read)


def _torch_layer(op: Operation, channels: int) -> _Call:
    """The module of torch's of an operation with weights."""
    return _Call(*layer_arguments(op, channels))
