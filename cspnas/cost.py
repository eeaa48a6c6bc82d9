"""What a network costs, exact and in closed form, from one pass over its graph."""

from __future__ import annotations

from dataclasses import dataclass

from cspnas.graph import OPERATIONS, Graph
from cspnas.liveness import BYTES, fold_norms, live_bytes, plan, saved_bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """Costs of one network. Conventions: `macs` counts the multiply-accumulates of convolutions and linear layers, one
    image; `flops` = 2 * macs (the CSPNet paper's BFLOPs); `params` are trainable.

    `peak_memory` (bytes): greatest sum of live storages, inference, float32, batch 1, norms folded, in graph order;
    weights apart (`weight_bytes`, norms folded). `traffic` (elements): input + output of every convolution and pool, the
    paper's CIO. `training_memory(batch_size)` in bytes.
    """

    macs: int
    params: int
    weight_bytes: int
    peak_memory: int
    traffic: int
    saved_per_image: int
    saved_per_batch: int

    @property
    def flops(self) -> int:
        """2 * macs."""
        return 2 * self.macs

    def training_memory(self, batch_size: int, *, optimiser_states: int = 1) -> int:
        """Bytes of parameters, gradients, `optimiser_states` values per parameter (SGD with momentum has one) and all
        tensors that autograd keeps, float32.
        """
        per_parameter = BYTES * (2 + optimiser_states)
        return per_parameter * self.params + batch_size * self.saved_per_image + self.saved_per_batch


def cost_of(graph: Graph) -> Cost:
    """The exact cost of `graph`, norms unfolded in it."""
    folded = fold_norms(graph)
    per_image, per_batch = saved_bytes(graph)
    return Cost(
        macs=sum(macs_by_operation(graph)),
        params=_params(graph),
        weight_bytes=BYTES * _params(folded),
        peak_memory=max(live_bytes(folded, plan(folded))),
        traffic=_traffic(graph),
        saved_per_image=per_image,
        saved_per_batch=per_batch,
    )


def macs_by_operation(graph: Graph) -> list[int]:
    """Multiply-accumulates of each operation, one image."""
    return [OPERATIONS[op.kind].macs(op, graph.input_shapes(op)) for op in graph.operations]


def _params(graph: Graph) -> int:
    return sum(OPERATIONS[op.kind].params(op, graph.input_shapes(op)) for op in graph.operations)


def _traffic(graph: Graph) -> int:
    total = 0
    for op in graph.operations:
        if op.kind in ("conv", "pool"):
            total += op.elements + graph.operations[op.inputs[0]].elements
    return total
