"""The costs of a deployment: closed forms by hand, and tracked runs in half precision on the CPU."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch
from random_architectures import random_architecture

from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.cost import cost_of
from cspnas.network.deployment import DEFAULT_DEPLOYMENT, Deployment, Precision
from cspnas.network.layer_costs import parts_of, whole
from cspnas.network.wiring import wire
from cspnas.training.measured_memory import measured_peak
from cspnas.training.module import NetworkModule, fold

# Stem 2 x 7 x 7, one dense layer of growth 2 with bottleneck 2, a transition to 4.
SMALL = Architecture("densenet", (1, 28, 28), 10, Stem(2, 7, 4), (Stage(1, 2, 2, 4),))
# Weights and biases: stem 2 x 49 + 2; the layer 2 x 2 + 2 and 2 x 2 x 9 + 2; transition 4 x 4 + 4; head 4 x 10 + 10.
VALUES = 100 + 6 + 38 + 20 + 50
# The image and the stem's result are alive together with the greatest of the rest: concat reads 2 + 2 and writes 4 maps.
ALIVE = 28 * 28 + 7 * 7 * (2 + 2 + 4)
# Stem, bottleneck, growth, transition, global pool: input + output.
MOVED = (28 * 28 + 98) + (98 + 98) + (98 + 98) + (196 + 196) + (196 + 4)


@pytest.mark.parametrize(("precision", "size"), [("float32", 4), ("float16", 2), ("int8", 1)])
@pytest.mark.parametrize("batch", [1, 4])
def test_memory_and_traffic_are_those_worked_out_by_hand(precision: Precision, size: int, batch: int) -> None:
    cost = cost_of(wire(SMALL)).deployed(Deployment(precision, batch))
    assert (cost.weight_bytes, cost.peak_memory) == (size * VALUES, size * batch * ALIVE)
    assert cost.traffic == batch * MOVED


@pytest.mark.parametrize("seed", range(10))
def test_half_precision_takes_what_a_tracked_run_on_the_cpu_takes(seed: int) -> None:
    graph = wire(random_architecture(random.Random(seed)))
    cost = cost_of(graph).deployed(Deployment("float16", 3))
    assert cost.peak_memory == measured_peak(graph, batch_size=3, device="cpu", dtype=torch.float16)
    halved = fold(NetworkModule(graph)).half()
    assert cost.weight_bytes == sum(p.numel() * p.element_size() for p in halved.parameters())


def test_what_does_not_run_in_deployment_stays_as_it_is() -> None:
    cost = cost_of(wire(SMALL))
    deployed = cost.deployed(Deployment("int8", 8))
    assert cost.deployed(DEFAULT_DEPLOYMENT) == cost
    memory = {"weight_bytes": 0, "peak_memory": 0, "traffic": 0}
    assert replace(deployed, **memory) == replace(cost, **memory)
    assert deployed.training_memory(64) == cost.training_memory(64)


@pytest.mark.parametrize("seed", range(3))
def test_the_layers_of_a_deployment_add_up_to_the_network(seed: int) -> None:
    architecture, deployment = random_architecture(random.Random(seed)), Deployment("float16", 5)
    network, cost = whole(parts_of(architecture, deployment)), cost_of(wire(architecture)).deployed(deployment)
    assert (network.peak.live_memory, network.traffic) == (cost.peak_memory, cost.traffic)
