"""A network's counts by two independent counters, on throw-away copies, beside ours."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass, replace

import torch

from cspnas.network.cost import cost_of
from cspnas.network.deployment import DEFAULT_DEPLOYMENT, Deployment
from cspnas.network.graph import Graph
from cspnas.network.ordering import ordered
from cspnas.training.measured_memory import measured_peak, parameters_of
from cspnas.training.module import NetworkModule


@dataclass(frozen=True, slots=True)
class Check:
    """One figure by us and by another counter."""

    figure: str
    counter: str
    ours: int
    theirs: int

    @property
    def agrees(self) -> bool:
        """Equal to the last digit."""
        return self.ours == self.theirs


def cross_check_costs(graph: Graph, deployment: Deployment = DEFAULT_DEPLOYMENT) -> list[Check]:
    """MACs by ptflops and torch, parameters by the module, peak memory in the deployment by the allocation tracker; on meta
    tensors, which have shapes and no values, so that a large network is checked as quickly as a small one. Torch has no
    int8 convolution for them: the peak of int8 is checked in float32.
    """
    run = replace(deployment, precision="float32") if deployment.precision == "int8" else deployment
    cost = cost_of(graph, run.order).deployed(run)
    measured = measured_peak(ordered(graph, run.order), batch_size=run.batch, dtype=getattr(torch, run.precision))
    tracked = "storages alive, tracked" if run == DEFAULT_DEPLOYMENT else f"tracked in {run}"
    with torch.device("meta"):
        network = NetworkModule(graph)
    return [
        Check("macs", "ptflops (aten)", cost.macs, ptflops_macs(graph)),
        Check("macs", "torch FlopCounterMode / 2", cost.macs, torch_flops(graph) // 2),
        Check("params", "torch module", cost.params, parameters_of(network)),
        Check("peak_memory", tracked, cost.peak_memory, measured),
    ]


def torch_flops(graph: Graph) -> int:
    """FLOPs of one image by torch's own counter."""
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        network, image = NetworkModule(graph).eval(), torch.empty(1, *graph.operations[0].shape)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return int(counter.get_total_flops())


def ptflops_macs(graph: Graph) -> int:
    """MACs of one image by ptflops, without the bias additions that it counts besides: one an output of a linear layer.

    Its `pytorch` backend patches torch for the whole process, so only `aten` is used.
    """
    from ptflops import get_model_complexity_info

    with torch.device("meta"), contextlib.redirect_stdout(io.StringIO()):
        macs, _ = get_model_complexity_info(
            NetworkModule(graph),
            graph.operations[0].shape,
            as_strings=False,
            print_per_layer_stat=False,
            backend="aten",
        )
    biases = sum(op.elements for op in graph.operations if op.kind == "linear" or (op.kind == "conv" and op["bias"]))
    return int(macs or 0) - biases
