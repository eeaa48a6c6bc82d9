"""Why a network costs what it costs: per layer, per stage, and beside the same network without CSP. No torch here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from cspnas.network.architecture import Architecture, pieces
from cspnas.network.cost import CostTable, macs_by_operation, params_by_operation, traffic_by_operation
from cspnas.network.deployment import DEFAULT_DEPLOYMENT, Deployment
from cspnas.network.graph import Graph, Operation
from cspnas.network.liveness import fold_norms, live_bytes, plan
from cspnas.network.operations import BYTES, Shape
from cspnas.network.ordering import ordered
from cspnas.network.wiring import wire, wire_piece


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution unit (a convolution with its norm and activation) or one other operation; `shape` of its result.

    `macs` and `traffic` (elements, the paper's CIO) of one image, `params` trainable; `live_memory`: bytes of the tensors
    alive at its worst moment, its inputs and the image among them (inference, batch 1, float32, norms folded). `deployed`
    gives both in another precision and batch.
    """

    name: str
    kind: str
    shape: Shape
    macs: int
    params: int
    live_memory: int
    traffic: int

    def deployed(self, deployment: Deployment) -> Layer:
        """This layer, in float32 and for one image, as it is in a deployment."""
        live = self.live_memory // BYTES * deployment.bytes * deployment.batch
        return replace(self, live_memory=live, traffic=self.traffic * deployment.batch)


@dataclass(frozen=True, slots=True)
class PartCosts:
    """The stem, a stage, the head, or a whole network; figures as those of `Layer`."""

    name: str
    layers: tuple[Layer, ...]
    gradient_paths: int

    @property
    def macs(self) -> int:
        """Sum over the layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Sum over the layers."""
        return sum(layer.params for layer in self.layers)

    @property
    def traffic(self) -> int:
        """Sum over the layers."""
        return sum(layer.traffic for layer in self.layers)

    @property
    def peak(self) -> Layer:
        """The first layer with the most live memory."""
        return max(self.layers, key=lambda layer: layer.live_memory)

    @property
    def busiest(self) -> Layer:
        """The first layer with the most MACs."""
        return max(self.layers, key=lambda layer: layer.macs)

    @property
    def evenness(self) -> float | None:
        """Mean over greatest MACs of its convolutions and linear layers; None where it has none."""
        macs = [layer.macs for layer in self.layers if layer.macs]
        return sum(macs) / (len(macs) * max(macs)) if macs else None


def parts_of(architecture: Architecture, deployment: Deployment = DEFAULT_DEPLOYMENT) -> list[PartCosts]:
    """The stem, each stage and the head of `architecture` in a deployment. Raises ArchitectureError where it makes none."""
    graph = ordered(wire(architecture), deployment.order)
    layers = [layer.deployed(deployment) for layer in layers_of(graph)]
    shape: Shape = architecture.input_shape
    parts = []
    for piece in pieces(architecture):
        graph = wire_piece(architecture, piece, shape)
        members = tuple(layer for layer in layers if part_name(layer.name) == piece.name)
        parts.append(PartCosts(piece.name, members, gradient_paths(graph)))
        shape = graph.operations[graph.output].shape
    return parts


def whole(parts: list[PartCosts]) -> PartCosts:
    """The network of these parts. They meet in one value alone, so that its paths are the product of theirs."""
    paths = 1
    for part in parts:
        paths *= part.gradient_paths
    return PartCosts("network", tuple(layer for part in parts for layer in part.layers), paths)


def part_name(operation: str) -> str:
    """`stem`, `stageN` or `head`: where the operation of that name stands."""
    first = operation.partition(".")[0]
    return "stem" if first.startswith("stem") else first


def gradient_paths(graph: Graph) -> int:
    """Distinct paths from the graph's input to its output (CSPNet, purpose 1); exact, by dynamic programming."""
    paths = [1]
    for operation in graph.operations[1:]:
        paths.append(sum(paths[source] for source in operation.inputs))
    return paths[graph.output]


def layers_of(graph: Graph) -> list[Layer]:
    """The rows of a report on `graph`, in running order; the image is none of them."""
    folded = fold_norms(graph)
    live = dict(zip((op.name for op in folded.operations), live_bytes(folded, plan(folded)), strict=True))
    macs, params, traffic = macs_by_operation(graph), params_by_operation(graph), traffic_by_operation(graph)
    rows = []
    for members in _units(graph):
        operations = [graph.operations[index] for index in members]
        rows.append(
            Layer(
                _unit_name(operations),
                " ".join(map(_kind, operations)),
                operations[-1].shape,
                sum(macs[index] for index in members),
                sum(params[index] for index in members),
                # A folded norm takes no memory of its own.
                max(live.get(op.name, 0) for op in operations),
                sum(traffic[index] for index in members),
            )
        )
    return rows


_UNIT = re.compile(r"(.+)\.(?:conv|norm|act)")


def _units(graph: Graph) -> Iterator[list[int]]:
    """Indices of the operations of each row: neighbours whose names differ only in conv, norm and act are one unit."""

    def unit(index: int) -> str:
        match = _UNIT.fullmatch(graph.operations[index].name)
        return match[1] if match else f"operation {index}"

    for _, members in groupby(range(1, len(graph.operations)), key=unit):
        yield list(members)


def _unit_name(operations: list[Operation]) -> str:
    return operations[0].name if len(operations) == 1 else operations[0].name.rpartition(".")[0]


def _kind(operation: Operation) -> str:
    """In short, as Darknet users write it: `conv 3x3/2 g32`, `max pool 2x2/2`, `relu`."""
    if operation.kind == "act":
        return str(operation["function"])
    if operation.kind == "pool" and operation["function"] == "global_avg":
        return "global avg pool"
    if operation.kind not in ("conv", "pool"):
        return operation.kind
    stride = f"/{operation['stride']}" if operation["stride"] > 1 else ""
    window = f"{operation['kernel']}x{operation['kernel']}{stride}"
    if operation.kind == "pool":
        return f"{operation['function']} pool {window}"
    groups = f" g{operation['groups']}" if operation["groups"] > 1 else ""
    return f"conv {window}{groups}"


def peak_place(architecture: Architecture, table: CostTable) -> str:
    """`stem`, `stageN` or `head`: where the peak of inference memory first lies."""
    # its pieces fold into each other
    if architecture.norm == "before":
        graph = fold_norms(ordered(wire(architecture), table.order))
        live = live_bytes(graph, plan(graph))
        return part_name(graph.operations[live.index(max(live))].name)
    peaks = table.peaks(architecture)
    return max(peaks, key=peaks.__getitem__)
