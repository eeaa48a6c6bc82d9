"""Every figure of an architecture beside another counter's: on real, small tensors, quicker than meta ones there."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator

import torch
from ptflops import get_model_complexity_info
from torch.utils.flop_counter import FlopCounterMode
from training_memory import measured_training_memory

from cspnas.network.architecture import Architecture
from cspnas.network.cost import Cost, CostTable, cost_of
from cspnas.network.graph import Graph
from cspnas.network.ordering import ordered
from cspnas.network.serialization import architecture_from, architecture_to
from cspnas.network.wiring import wire
from cspnas.training.measured_memory import measured_peak, parameters_of
from cspnas.training.module import NetworkModule

BATCH = 4


def disagreements(architecture: Architecture, table: CostTable) -> Iterator[str]:
    """A line for each figure that another counter, the stage table or a round trip gives otherwise; none if all agree."""
    graph = wire(architecture)
    cost = cost_of(graph)
    network = NetworkModule(graph).eval()
    step, ours = measured_training_memory(graph, BATCH, device="cpu"), cost.training_memory(BATCH)
    pairs = {
        "flops by torch": (counted_flops(network), 2 * cost.macs),
        "macs by ptflops": (ptflops_macs(network), cost.macs),
        "params": (parameters_of(network), cost.params),
        "peak memory": (measured_peak(graph, device="cpu"), cost.peak_memory),
        "training memory within 2 %": (abs(ours - step) <= 0.02 * step, True),
        "cost by stages": (table.cost(architecture), cost),
        "cost by stages, best order": (CostTable("best").cost(architecture), cost_of(graph, "best")),
        "peak memory, best order": (best_peak(graph, cost), cost_of(graph, "best").peak_memory),
        "round trip": (round_trip(architecture), architecture),
        "digest": (wire(round_trip(architecture)).digest(), graph.digest()),
    }
    for name, (theirs, expected) in pairs.items():
        if theirs != expected:
            yield f"{name}: {theirs}, expected {expected} (training memory {ours}, measured {step}): {architecture}"


def best_peak(graph: Graph, written: Cost) -> int:
    """Measured in the best order; where that is the one written, it has been measured."""
    best = ordered(graph, "best")
    return measured_peak(best, device="cpu") if best != graph else written.peak_memory


def counted_flops(network: NetworkModule) -> int:
    """By torch's own counter, one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *network.graph.operations[0].shape))
    return int(counter.get_total_flops())


def ptflops_macs(network: NetworkModule) -> int:
    """By ptflops, less one for each output of a layer with a bias, which it counts besides."""
    shape = network.graph.operations[0].shape
    with contextlib.redirect_stdout(io.StringIO()):
        macs, _ = get_model_complexity_info(
            network, shape, as_strings=False, print_per_layer_stat=False, backend="aten"
        )
    return int(macs or 0) - biased_outputs(network.graph)


def biased_outputs(graph: Graph) -> int:
    """Elements that layers with a bias give."""
    return sum(op.elements for op in graph.operations if op.kind == "linear" or (op.kind == "conv" and op["bias"]))


def round_trip(architecture: Architecture) -> Architecture:
    """Through its canonical document, as JSON."""
    return architecture_from(json.loads(json.dumps(architecture_to(architecture))))
