"""What a network costs, exact and in closed form, from one pass over its graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import prod
from numbers import Integral
from typing import Any

from cspnas.errors import InputError
from cspnas.network.architecture import Architecture, Piece, pieces
from cspnas.network.blocks import ConvUnits
from cspnas.network.deployment import Deployment, Order
from cspnas.network.graph import Graph, GraphBuilder, Topology
from cspnas.network.liveness import Saved, folding_of, live_of, plan_of, saved_of
from cspnas.network.operations import BYTES, OperationSpec, Shape
from cspnas.network.ordering import least_peak
from cspnas.network.validation import check_piece
from cspnas.network.wiring import add_piece, wire, wire_piece

# Operations of a training step over those of an inference.
STEP_OVER_INFERENCE = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of one network. Conventions: `macs` counts the multiply-accumulates of convolutions and linear layers, one
    image; `flops` = 2 * macs (the CSPNet paper's BFLOPs); `params` are trainable.

    `peak_memory` (bytes): greatest sum of live storages, inference, float32, batch 1, norms folded, operations in this
    `order`; weights apart (`weight_bytes`, norms folded). `traffic` (elements): input + output of every convolution and
    pool, the paper's CIO. `deployed` gives these three in another precision and batch. `training_memory(batch_size)` in
    bytes. `layers` counts convolutions and linear layers, `busiest_macs` are those of the one with the most.
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
    order: Order = "written"

    @property
    def flops(self) -> int:
        """2 * macs."""
        return 2 * self.macs

    @property
    def evenness(self) -> float:
        """Mean over greatest MACs of a layer, above 0 to 1: 1 where all layers compute the same (CSPNet, purpose 2)."""
        return self.macs / (self.layers * self.busiest_macs) if self.macs else 1.0

    def deployed(self, deployment: Deployment) -> Cost:
        """This cost, in float32 and for one image, as it is in a deployment: traffic, in elements, grows with the batch.
        Raises InputError for a deployment in another order, which another cost is worked out for.
        """
        if deployment.order != self.order:
            raise InputError(
                f"a cost in order {self.order!r}", expected=repr(deployment.order), hint="cost it in that order"
            )
        return replace(
            self,
            weight_bytes=self.weight_bytes // BYTES * deployment.bytes,
            peak_memory=self.peak_memory // BYTES * deployment.bytes * deployment.batch,
            traffic=self.traffic * deployment.batch,
        )

    def training_memory(self, batch_size: int, *, optimiser_states: int = 1) -> int:
        """Bytes of parameters, gradients, `optimiser_states` values per parameter (SGD with momentum has one) and all
        tensors that autograd keeps, float32. Raises InputError for a negative number.
        """
        for name, value in (("batch_size", batch_size), ("optimiser_states", optimiser_states)):
            if not isinstance(value, Integral) or isinstance(value, bool) or value < 0:
                raise InputError(f"{name}={value!r}", expected="an integer of at least 0", where="training_memory")
        per_parameter = BYTES * (2 + optimiser_states)
        return per_parameter * self.params + batch_size * self.saved_per_image + self.saved_per_batch


def cost_of(graph: Graph, order: Order = "written") -> Cost:
    """The exact cost of `graph`, norms unfolded in it. Raises InputError as `ordering.ordered`."""
    return _composed([_whole(graph, order)], 0, order)


# Composition: an architecture's cost from its stem's, stages' and head's, theirs from layers', each computed once ----


@dataclass(frozen=True, slots=True)
class _PartForm(OperationSpec):
    """Several operations as one. `above`: bytes alive inside it beside input and output; `above_held`: the same where
    something after it still reads the input.
    """

    above: int = field(default=0, compare=False)
    above_held: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class _Costed:
    """A piece, or a part of one: what it is as one operation; its `peak` of live bytes, without the caller's image; what
    autograd keeps of it.
    """

    form: _PartForm
    peak: int
    saved: Saved


class CostTable:
    """Costs of many architectures in one `order`. They share stages and layers, each computed once; at most `size` of them
    are kept. `operations` were costed so far, a measure of the work that is the same on every machine.

    A network's pieces meet in one value alone, so that `peak = max(stem, stage + image, head + image)`, exact where no
    piece begins with a norm that could fold into the convolution before it: with norms before the convolutions the whole
    graph is costed. A piece's own parts are its units and layers (`ConvUnits.part`). All that comes before that one value
    runs before all that comes after it, so that the best order is the best order of each piece, one after the other.
    """

    def __init__(self, order: Order = "written", *, size: int = 100_000) -> None:
        self.order, self.size, self.operations = order, size, 0
        self._known: dict[Any, _Costed] = {}

    def cost(self, architecture: Architecture) -> Cost:
        """The exact cost of `architecture`. Raises ArchitectureError where it cannot be wired."""
        if architecture.norm == "before":
            graph = wire(architecture)
            self.operations += len(graph.operations)
            return cost_of(graph, self.order)
        return _composed(self._pieces_of(architecture), BYTES * prod(architecture.input_shape), self.order)

    def peaks(self, architecture: Architecture) -> dict[str, int]:
        """Peak bytes in each piece, by its name; not for norms before the convolutions."""
        # The stem has it in its own peak.
        image = BYTES * prod(architecture.input_shape)
        costed = zip(pieces(architecture), self._pieces_of(architecture), strict=True)
        return {piece.name: one.peak + (image if piece.name != "stem" else 0) for piece, one in costed}

    def _pieces_of(self, architecture: Architecture) -> list[_Costed]:
        common = (architecture.family, architecture.activation, architecture.negative_slope, architecture.head)
        shape: Shape = architecture.input_shape
        found: list[_Costed] = []
        # A piece is made where its cost is not known: of a pool's pieces nearly all are.
        for index, part in enumerate((architecture.stem, *architecture.stages, architecture.classes)):
            key = (shape, part, common)
            known = self._known.get(key)
            if known is None:
                known = self._piece(key, architecture, pieces(architecture)[index], shape)
            found.append(known)
            shape = known.form.shape
        return found

    def _piece(self, key: Any, architecture: Architecture, piece: Piece, shape: Shape) -> _Costed:
        check_piece(architecture, piece)
        network = GraphBuilder(shape, piece=piece.name != "stem")
        units = _CostingConvUnits(network, architecture.activation, "after", architecture.negative_slope, table=self)
        add_piece(units, architecture, piece, 0)
        found = self._keep(key, network)
        if self.order == "best":
            # A part's operations may run among those of the parts beside it.
            found = self._known[key] = _in_order(found, wire_piece(architecture, piece, shape), self.order)
        return found

    def part(
        self, wire: Callable[..., int], units: ConvUnits, name: str, shape: Shape, settings: tuple[Any, ...]
    ) -> OperationSpec:
        """What `wire(units, name, x, *settings)` is as one operation, where x has `shape`."""
        key = (wire, units.activation, units.negative_slope, shape, settings)
        found = self._known.get(key)
        if found is None:
            network = GraphBuilder(shape, piece=True)
            wire(ConvUnits(network, units.activation, units.norm, units.negative_slope), name, 0, *settings)
            found = self._keep(key, network)
        return found.form

    def _keep(self, key: Any, network: GraphBuilder) -> _Costed:
        """The cost of what `network` has, found under `key` from now on."""
        if len(self._known) >= self.size:
            self._known.clear()
        self.operations += len(network.forms)
        found = self._known[key] = _costed(network.forms, network.inputs, len(network.forms) - 1)
        return found


@dataclass(frozen=True, slots=True)
class _CostingConvUnits(ConvUnits):
    """Adds every part as one operation whose form the table knows."""

    table: CostTable = field(kw_only=True)

    def part(self, wire: Callable[..., int], name: str, x: int, *settings: Any) -> int:
        form = self.table.part(wire, self, name, self.network.forms[x].shape, settings)
        return self.network.append(form, name, (x,))


def stage_costs(architecture: Architecture, order: Order = "written") -> list[Cost]:
    """Each stage's cost by itself, on the input that it gets in the network; the image is not counted."""
    shape: Shape = architecture.input_shape
    costs = []
    for piece in pieces(architecture)[:-1]:
        costed = _whole(wire_piece(architecture, piece, shape), order)
        costs.append(_composed([costed], 0, order))
        shape = costed.form.shape
    return costs[1:]


def _whole(graph: Graph, order: Order) -> _Costed:
    costed = _costed(graph.forms, [operation.inputs for operation in graph.operations], graph.output)
    return _in_order(costed, graph, order)


def _in_order(costed: _Costed, graph: Graph, order: Order) -> _Costed:
    """The cost of `graph` in this order, from that in the order written."""
    if order == "written":
        return costed
    return replace(costed, peak=least_peak(graph))


def _costed(forms: list[OperationSpec], inputs: list[tuple[int, ...]], output: int) -> _Costed:
    topology = Topology.of(forms, inputs, output)
    folding = folding_of(topology)
    layout = plan_of(folding.topology, False)
    folded = [forms[index] for index in folding.kept]
    live = live_of(folded, layout)
    for index, one in enumerate(folded):
        if isinstance(one, _PartForm):
            held = layout.last_use[layout.storage[folding.topology.inputs[index][0]]] > index
            live[index] += one.above_held if held else one.above
    saved = saved_of(forms, topology)
    ends = forms[0].bytes + forms[output].bytes
    form = _PartForm(
        "part",
        forms[output].shape,
        bytes=forms[output].bytes,
        macs=sum([form.macs for form in forms]),
        params=sum([form.params for form in forms]),
        weight_bytes=sum([form.weight_bytes for form in folded]) + _bias_bytes([forms[i] for i in folding.biased]),
        traffic=sum([form.traffic for form in forms]),
        layers=sum([form.layers for form in forms]),
        busiest_macs=max([form.busiest_macs for form in forms]),
        keeps_input=saved.input > 0,
        keeps_output=saved.output > 0,
        saved_per_image=saved.per_image,
        saved_per_batch=saved.per_batch,
        above=max(live) - ends,
        above_held=_held_peak(live, layout.last_use[0], forms[0].bytes) - ends,
    )
    return _Costed(form, max(live), saved)


def _bias_bytes(convolutions: list[OperationSpec]) -> int:
    """Bytes of the biases that folding adds to `convolutions`."""
    return BYTES * sum([form.shape[0] for form in convolutions if ("bias", True) not in form.attributes])


def _held_peak(live: list[int], last_use: int, entry: int) -> int:
    """The greatest of `live` bytes where the input of `entry` bytes stays alive after its last use."""
    return max(*live[: last_use + 1], entry + max(live[last_use + 1 :], default=-entry))


def _composed(costed: list[_Costed], image: int, order: Order) -> Cost:
    """Pieces in order; the first has the image in its own peak."""
    forms, saved = [one.form for one in costed], [one.saved for one in costed]
    # One storage, kept once.
    met = [max(before.output, after.input) for before, after in pairwise(saved)]
    return Cost(
        macs=sum([form.macs for form in forms]),
        params=sum([form.params for form in forms]),
        weight_bytes=sum([form.weight_bytes for form in forms]),
        peak_memory=max(costed[0].peak, image + max([one.peak for one in costed[1:]], default=0)),
        traffic=sum([form.traffic for form in forms]),
        saved_per_image=sum([one.per_image for one in saved]) + saved[0].input + sum(met) + saved[-1].output,
        saved_per_batch=sum([one.per_batch for one in saved]),
        layers=sum([form.layers for form in forms]),
        busiest_macs=max([form.busiest_macs for form in forms]),
        order=order,
    )


def macs_by_operation(graph: Graph) -> list[int]:
    """Multiply-accumulates of each operation, one image."""
    return [operation.form.macs for operation in graph.operations]


def params_by_operation(graph: Graph) -> list[int]:
    """Trainable parameters of each operation."""
    return [operation.form.params for operation in graph.operations]


def traffic_by_operation(graph: Graph) -> list[int]:
    """Elements that each convolution and pool reads and writes, one image; 0 for other operations (the paper's CIO)."""
    return [operation.form.traffic for operation in graph.operations]
