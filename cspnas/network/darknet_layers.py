"""A network as the layers of a Darknet file (.cfg), each of which reads the one before it unless it says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from cspnas.errors import ArchitectureError
from cspnas.network.graph import Graph, Operation

# Ours by Darknet's names.
ACTIVATIONS_OF_DARKNET = {"leaky": "leaky_relu", "relu": "relu", "swish": "silu", "mish": "mish", "linear": "linear"}
_NAMES = {ours: theirs for theirs, ours in ACTIVATIONS_OF_DARKNET.items()}
_DARKNETS_SLOPE = 0.1


@dataclass(frozen=True, slots=True)
class DarknetLayer:
    """A section: its `kind` and what it says, as (key, text) in the order of the file. `name`: of our layer with weights."""

    kind: str
    options: tuple[tuple[str, str], ...] = ()
    name: str = ""

    def __str__(self) -> str:
        return f"[{self.kind}] " + " ".join(f"{key}={value}" for key, value in self.options)


def darknet_layers(graph: Graph) -> list[DarknetLayer]:
    """The sections after [net]. Raises ArchitectureError for an operation that no section stands for."""
    layers = _Layers(graph)
    for index in _in_file_order(graph):
        layers.add(index)
    return [*layers.sections, DarknetLayer("softmax")]


def _in_file_order(graph: Graph) -> list[int]:
    """As Darknet's files have it: of two parts of a stage the one around the block comes first."""
    order = list(range(1, len(graph.operations)))
    for index in [index for index in order if ".part1." in graph.operations[index].name]:
        beside = graph.operations[index].name.replace(".part1.", ".part2.")
        stage = [i for i in order if graph.operations[i].name.startswith(beside.rpartition(".")[0] + ".")]
        if stage and order.index(index) > order.index(stage[0]):
            order.remove(index)
            order.insert(order.index(stage[0]), index)
    return order


class _Layers:
    """The sections so far, and where each value of the graph is: the number of its section, -1 for the image."""

    def __init__(self, graph: Graph) -> None:
        self.sections: list[DarknetLayer] = []
        self._graph = graph
        self._at = {0: -1}

    def add(self, index: int) -> None:
        """The section of an operation, or what it says in the one before."""
        op = self._graph.operations[index]
        match op.kind:
            case "conv":
                self._read(op.inputs[0])
                self._append(
                    "convolutional", _window(op), filters=op["out_channels"], name=op.name, groups=op["groups"]
                )
            case "linear":
                self._read(op.inputs[0])
                window = {"size": 1, "stride": 1, "pad": 0}
                self._append("convolutional", window, filters=op["out_features"], name=op.name, groups=1)
            case "norm" if self._graph.operations[op.inputs[0]].kind == "conv":
                self._say("batch_normalize", "1", first=True)
            case "act" if self.sections[-1].kind in ("convolutional", "shortcut"):
                self._say("activation", self._activation(op))
            case "add":
                self._shortcut(op)
            case "concat":
                self.sections.append(DarknetLayer("route", (("layers", ",".join(map(self._relative, op.inputs))),)))
            case "slice":
                self._slice(op)
            case "pool" if op["function"] != "avg":
                self._pool(op)
            case "flatten":
                pass
            case _:
                raise _inexpressible(op)
        self._at[index] = len(self.sections) - 1

    def _read(self, value: int) -> None:
        """Bring `value` before the next section, if it is not there."""
        if self._at[value] != len(self.sections) - 1:
            self.sections.append(DarknetLayer("route", (("layers", self._relative(value)),)))

    def _relative(self, value: int) -> str:
        return str(self._at[value] - len(self.sections))

    def _append(self, kind: str, window: dict[str, int], *, filters: int, name: str, groups: int) -> None:
        said = {"filters": filters} | window | ({"groups": groups} if groups > 1 else {})
        options = tuple((key, str(value)) for key, value in said.items())
        self.sections.append(DarknetLayer(kind, (*options, ("activation", "linear")), name))

    def _say(self, key: str, value: str, *, first: bool = False) -> None:
        """Say something more in the last section."""
        last = self.sections[-1]
        rest = tuple(option for option in last.options if option[0] != key)
        options = ((key, value), *rest) if first else (*rest, (key, value))
        self.sections[-1] = DarknetLayer(last.kind, options, last.name)

    def _activation(self, op: Operation) -> str:
        slope = op["negative_slope"]
        if op["function"] not in _NAMES or (op["function"] == "leaky_relu" and slope != _DARKNETS_SLOPE):
            raise _inexpressible(op)
        return _NAMES[op["function"]]

    def _shortcut(self, op: Operation) -> None:
        """The sum of the section before and another one; of a sum in the common channels the first operand is before."""
        before, other = op.inputs
        if not op["common"] and self._at[other] == len(self.sections) - 1:
            before, other = other, before
        self._read(before)
        self.sections.append(DarknetLayer("shortcut", (("from", self._relative(other)), ("activation", "linear"))))

    def _slice(self, op: Operation) -> None:
        """One of several groups of equal width."""
        channels, width = self._graph.input_shapes(op)[0][0], op["stop"] - op["start"]
        if channels % width or op["start"] % width:
            raise _inexpressible(op)
        said = {"layers": self._relative(op.inputs[0]), "groups": channels // width, "group_id": op["start"] // width}
        self.sections.append(DarknetLayer("route", tuple((key, str(value)) for key, value in said.items())))

    def _pool(self, op: Operation) -> None:
        self._read(op.inputs[0])
        if op["function"] == "global_avg":
            self.sections.append(DarknetLayer("avgpool"))
            return
        said = {"size": op["kernel"], "stride": op["stride"]}
        # Darknet's own padding is size - 1 in all, which counts where the map has an odd size.
        if 2 * op["padding"] != op["kernel"] - 1 and any(
            size % op["stride"] for size in self._graph.input_shapes(op)[0][1:]
        ):
            said["padding"] = 2 * op["padding"]
        self.sections.append(DarknetLayer("maxpool", tuple((key, str(value)) for key, value in said.items())))


def _window(op: Operation) -> dict[str, int]:
    """Darknet's `pad` means half the filter's size."""
    if op["padding"] not in (0, op["kernel"] // 2):
        raise _inexpressible(op)
    return {"size": op["kernel"], "stride": op["stride"], "pad": int(op["padding"] > 0)}


def _inexpressible(op: Operation) -> ArchitectureError:
    return ArchitectureError(
        f"{op.kind} {op.name!r} ({', '.join(f'{key} {value}' for key, value in op.attributes) or 'as it is'})",
        expected="batch norm after convolutions, leaky_relu of slope 0.1, relu, silu or mish, max pools, equal slices",
        hint="a Darknet file cannot express it: choose another --format",
    )
