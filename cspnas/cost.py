"""What a network costs, exact and in closed form, from one pass over its graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any

from cspnas.architecture import Architecture
from cspnas.blocks import Units
from cspnas.families import add_piece, wire, wire_piece
from cspnas.graph import OPERATIONS, Graph, GraphBuilder, Operation, Shape
from cspnas.liveness import BYTES, Saved, fold_norms, live_bytes, plan, saved_storages
from cspnas.names import check_names


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of one network. Conventions: `macs` counts the multiply-accumulates of convolutions and linear layers, one
    image; `flops` = 2 * macs (the CSPNet paper's BFLOPs); `params` are trainable.

    `peak_memory` (bytes): greatest sum of live storages, inference, float32, batch 1, norms folded, in graph order;
    weights apart (`weight_bytes`, norms folded). `traffic` (elements): input + output of every convolution and pool, the
    paper's CIO. `training_memory(batch_size)` in bytes. `layers` counts convolutions and linear layers, `busiest_macs`
    are those of the one with the most.
    """

    macs: int
    params: int
    weight_bytes: int
    peak_memory: int
    traffic: int
    saved_per_image: int
    saved_per_batch: int
    layers: int
    busiest_macs: int

    @property
    def flops(self) -> int:
        """2 * macs."""
        return 2 * self.macs

    @property
    def evenness(self) -> float:
        """Mean over greatest MACs of a layer, above 0 to 1: 1 where all layers compute the same (CSPNet, purpose 2)."""
        return self.macs / (self.layers * self.busiest_macs) if self.macs else 1.0

    def training_memory(self, batch_size: int, *, optimiser_states: int = 1) -> int:
        """Bytes of parameters, gradients, `optimiser_states` values per parameter (SGD with momentum has one) and all
        tensors that autograd keeps, float32.
        """
        per_parameter = BYTES * (2 + optimiser_states)
        return per_parameter * self.params + batch_size * self.saved_per_image + self.saved_per_batch


def cost_of(graph: Graph) -> Cost:
    """The exact cost of `graph`, norms unfolded in it."""
    return _composed([_piece_of(graph)], 0)


# Composition: an architecture's cost from its stem's, stages' and head's, theirs from layers', each computed once ----


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a piece of a network, with one value in and one out, adds to its cost; `shape` of its result.

    `peak` of live bytes without the caller's image; `above` is what of it is neither input nor output, `above_held` the
    same where something after the piece still reads the input.
    """

    macs: int
    params: int
    weight_bytes: int
    peak: int
    above: int
    above_held: int
    traffic: int
    saved: Saved
    shape: Shape
    layers: int
    busiest_macs: int


class CostTable:
    """Costs of many architectures that share stages and layers, each computed once; at most `size` of them are kept.

    A network's pieces meet in one value alone, so that `peak = max(stem, stage + image, head + image)`, exact where no
    piece begins with a norm that could fold into the convolution before it: with norms before the convolutions the whole
    graph is costed. A stage's own pieces are its units and layers (`GraphBuilder.part`).
    """

    def __init__(self, size: int = 100_000) -> None:
        self.size = size
        self._pieces: dict[Any, _Piece] = {}

    def cost(self, architecture: Architecture) -> Cost:
        """The exact cost of `architecture`. Raises ArchitectureError where it cannot be wired."""
        if architecture.norm == "before":
            return cost_of(wire(architecture))
        common = (architecture.family, architecture.activation, architecture.head)
        key: Any = ("stem", architecture.input_shape, architecture.stem, common[1])
        pieces = [self._piece(key, architecture, 0, architecture.input_shape)]
        for number, stage in enumerate(architecture.stages, start=1):
            shape = pieces[-1].shape
            pieces.append(self._piece((shape, stage, common[:2]), architecture, number, shape))
        shape, number = pieces[-1].shape, len(architecture.stages) + 1
        pieces.append(self._piece((shape, architecture.classes, common[2]), architecture, number, shape))
        return _composed(pieces, BYTES * prod(architecture.input_shape))

    def _piece(self, key: Any, architecture: Architecture, number: int, shape: Shape) -> _Piece:
        found = self._pieces.get(key)
        if found is None:
            check_names(architecture)
            network = _Costing(shape, self, piece=number > 0)
            add_piece(network, architecture, number)
            found = self.keep(key, _piece_of(network.graph()))
        return found

    def part(
        self, wire: Callable[..., int], units: Units, name: str, shape: Shape, settings: tuple[Any, ...]
    ) -> _Piece:
        """The cost of `wire(units, name, x, *settings)` where x has `shape`."""
        key = (wire, units.activation, units.negative_slope, shape, settings)
        found = self._pieces.get(key)
        if found is None:
            network = GraphBuilder(shape, piece=True)
            wire(replace(units, network=network), name, 0, *settings)
            found = self.keep(key, _piece_of(network.graph()))
        return found

    def keep(self, key: Any, piece: _Piece) -> _Piece:
        """`piece`, found under `key` from now on."""
        if len(self._pieces) >= self.size:
            self._pieces.clear()
        self._pieces[key] = piece
        return piece


class _Costing(GraphBuilder):
    """Builds a piece's graph in which every part is one operation whose cost the table knows."""

    def __init__(self, shape: Shape, table: CostTable, *, piece: bool) -> None:
        super().__init__(shape, piece=piece)
        self._table = table

    def part(self, wire: Callable[..., int], units: Any, name: str, x: int, settings: tuple[Any, ...]) -> int:
        cost = self._table.part(wire, units, name, self._operations[x].shape, settings)
        self._operations.append(Operation("part", name, (x,), cost.shape, (("cost", cost),)))
        return len(self._operations) - 1


def stage_costs(architecture: Architecture) -> list[Cost]:
    """Each stage's cost by itself, on the input that it gets in the network; the image is not counted."""
    shape, costs = _piece_of(wire_piece(architecture, 0, architecture.input_shape)).shape, []
    for number in range(1, len(architecture.stages) + 1):
        piece = _piece_of(wire_piece(architecture, number, shape))
        costs.append(_composed([piece], 0))
        shape = piece.shape
    return costs


def _piece_of(graph: Graph) -> _Piece:
    folded = fold_norms(graph)
    layout = plan(folded)
    live = live_bytes(folded, layout)
    entry, result = (BYTES * folded.operations[index].elements for index in (0, folded.output))
    gone = layout.last_use[0] + 1  # from here on the piece no longer reads its input
    held = max(max(live[:gone]), entry + max(live[gone:], default=0))
    return _Piece(
        **_counts(graph),
        weight_bytes=_weight_bytes(folded),
        peak=max(live),
        above=max(live) - entry - result,
        above_held=held - entry - result,
        saved=saved_storages(graph, layout if folded is graph else None),
        shape=graph.operations[graph.output].shape,
    )


def _counts(graph: Graph) -> dict[str, int]:
    """Sums over the operations, one image; `layers` are those that compute: convolutions and linear layers."""
    macs = params = traffic = layers = busiest = 0
    for operation in graph.operations:
        row, inputs = OPERATIONS[operation.kind], graph.input_shapes(operation)
        own = row.macs(operation, inputs)
        macs += own
        params += row.params(operation, inputs)
        traffic += row.traffic(operation, inputs)
        part = operation["cost"] if operation.kind == "part" else None
        layers += part.layers if part else own > 0
        busiest = max(busiest, part.busiest_macs if part else own)
    return {"macs": macs, "params": params, "traffic": traffic, "layers": layers, "busiest_macs": busiest}


def _weight_bytes(folded: Graph) -> int:
    total = 0
    for op in folded.operations:
        if op.kind == "part":
            total += op["cost"].weight_bytes
        else:
            total += BYTES * OPERATIONS[op.kind].params(op, folded.input_shapes(op))
    return total


def _composed(pieces: list[_Piece], image: int) -> Cost:
    """Pieces in order; the first has the image in its own peak."""
    saved = [piece.saved for piece in pieces]
    met = [max(before.output, after.input) for before, after in pairwise(saved)]  # one storage, kept once
    return Cost(
        macs=sum(piece.macs for piece in pieces),
        params=sum(piece.params for piece in pieces),
        weight_bytes=sum(piece.weight_bytes for piece in pieces),
        peak_memory=max(piece.peak + (image if number else 0) for number, piece in enumerate(pieces)),
        traffic=sum(piece.traffic for piece in pieces),
        saved_per_image=sum(s.per_image for s in saved) + saved[0].input + sum(met) + saved[-1].output,
        saved_per_batch=sum(s.per_batch for s in saved),
        layers=sum(piece.layers for piece in pieces),
        busiest_macs=max(piece.busiest_macs for piece in pieces),
    )


def macs_by_operation(graph: Graph) -> list[int]:
    """Multiply-accumulates of each operation, one image."""
    return [OPERATIONS[op.kind].macs(op, graph.input_shapes(op)) for op in graph.operations]


def params_by_operation(graph: Graph) -> list[int]:
    """Trainable parameters of each operation."""
    return [OPERATIONS[op.kind].params(op, graph.input_shapes(op)) for op in graph.operations]


def traffic_by_operation(graph: Graph) -> list[int]:
    """Elements that each convolution and pool reads and writes, one image; 0 for other operations (the paper's CIO)."""
    return [OPERATIONS[op.kind].traffic(op, graph.input_shapes(op)) for op in graph.operations]
