"""Every figure of a Cost against an independent count: flop counter, ptflops, module, tracked runs, hand."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from ptflops import get_model_complexity_info
from random_architectures import random_architecture
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode
from training_memory import measured_training_memory

from cspnas.errors import InputError
from cspnas.network.architecture import Architecture, Csp, Stage, Stem
from cspnas.network.blocks import ConvUnits, dense_block
from cspnas.network.cost import Cost, cost_of, macs_by_operation
from cspnas.network.graph import Graph, GraphBuilder
from cspnas.network.wiring import wire
from cspnas.objectives.objectives import exact_values
from cspnas.training.measured_memory import measured_peak, parameters_of
from cspnas.training.module import NetworkModule, fold

SEEDS = range(100)


@cache
def graph_of(seed: int) -> Graph:
    return wire(random_architecture(random.Random(seed)))


@cache
def on_meta(graph: Graph) -> tuple[NetworkModule, Tensor]:
    """The network in evaluation and one image of its size, built once for all tests; no numbers are computed."""
    with torch.device("meta"):
        return NetworkModule(graph).eval(), torch.empty(1, *graph.operations[0].shape)


def test_the_random_architectures_reach_every_wiring_activation_and_input() -> None:
    drawn = [random_architecture(random.Random(seed)) for seed in SEEDS]
    wirings = {stage.csp.fusion if stage.csp else "plain" for one in drawn for stage in one.stages}
    assert wirings == {"plain", "first", "last", "both"}
    assert {one.activation for one in drawn} == {"relu", "leaky_relu", "silu", "mish", "hardswish", "gelu"}
    assert {one.input_shape for one in drawn} == {(1, 28, 28), (3, 28, 28), (1, 32, 32), (3, 32, 32)}
    assert {one.stem.stride for one in drawn} == {1, 2}
    assert {len(one.stages) for one in drawn} == {2, 3, 4}
    assert len({graph_of(seed).digest() for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_macs_are_half_of_what_torchs_flop_counter_counts(seed: int) -> None:
    network, image = on_meta(graph_of(seed))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    cost = cost_of(graph_of(seed))
    assert (2 * cost.macs, cost.flops) == (counter.get_total_flops(),) * 2


@pytest.mark.parametrize("seed", SEEDS)
def test_macs_are_what_ptflops_counts_less_the_linear_outputs(seed: int) -> None:
    """ptflops adds one per output of the linear layer (its bias); the convolutions here have no bias."""
    graph = graph_of(seed)
    network = NetworkModule(graph)
    counted, _ = get_model_complexity_info(
        copy.deepcopy(network),
        graph.operations[0].shape,
        as_strings=False,
        print_per_layer_stat=False,
        backend="aten",
    )
    assert cost_of(graph).macs == counted - network.layer("head.linear").out_features


def test_folded_convolutions_have_biases_that_ptflops_counts_and_macs_do_not() -> None:
    graph = graph_of(0)
    folded = fold(NetworkModule(graph))
    counted, _ = get_model_complexity_info(
        copy.deepcopy(folded),
        graph.operations[0].shape,
        as_strings=False,
        print_per_layer_stat=False,
        backend="aten",
    )
    biased = sum(op.elements for op in folded.graph.operations if op.kind == "conv" and op["bias"])
    assert biased == sum(op.elements for op in graph.operations if op.kind == "conv")
    assert cost_of(graph).macs == counted - biased - graph.operations[-1].elements


@pytest.mark.parametrize("seed", SEEDS)
def test_params_and_weight_bytes_are_those_of_the_module_and_of_the_folded_module(seed: int) -> None:
    network, _ = on_meta(graph_of(seed))
    with torch.device("meta"):
        folded = fold(network)
    cost = cost_of(graph_of(seed))
    assert cost.params == parameters_of(network) == sum(p.numel() for p in network.parameters())
    assert cost.weight_bytes == exact_values(cost, 1)["weights_memory"]
    assert cost.weight_bytes == sum(p.numel() * p.element_size() for p in folded.parameters())
    assert not list(folded.buffers())  # every norm of these networks folds


@pytest.mark.parametrize("seed", SEEDS)
def test_peak_memory_is_the_measured_peak_to_the_byte_and_linear_in_the_batch(seed: int) -> None:
    peak = cost_of(graph_of(seed)).peak_memory
    assert peak == measured_peak(graph_of(seed))
    assert 3 * peak == measured_peak(graph_of(seed), batch_size=3)


@pytest.mark.parametrize("seed", SEEDS)
def test_training_memory_is_within_two_percent_of_a_tracked_step(seed: int) -> None:
    measured = measured_training_memory(graph_of(seed), 32)
    assert cost_of(graph_of(seed)).training_memory(32) == pytest.approx(measured, rel=0.02)


class _PoolTraffic(TorchFunctionMode):
    """Elements that pooling functions read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (functional.avg_pool2d, functional.max_pool2d, functional.adaptive_avg_pool2d):
            self.elements += args[0].numel() + result.numel()
        return result


@pytest.mark.parametrize("seed", SEEDS)
def test_traffic_is_what_hooks_see_go_in_and_out_of_convolutions_and_pools(seed: int) -> None:
    network, image = on_meta(graph_of(seed))
    seen = 0

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal seen
        seen += inputs[0].numel() + output.numel()

    hooks = [module.register_forward_hook(hook) for module in network.modules() if isinstance(module, nn.Conv2d)]
    with _PoolTraffic() as pools, torch.inference_mode():
        network(image)
    for handle in hooks:
        handle.remove()
    assert pools.elements > 0
    assert cost_of(graph_of(seed)).traffic == seen + pools.elements


def block_of(channels: int, growth: int, bottleneck: int, depth: int, size: int) -> Graph:
    """A dense block alone, on an image of `channels`."""
    builder = GraphBuilder((channels, size, size))
    dense_block(ConvUnits(builder, "relu"), "block", 0, Stage(depth, growth, bottleneck, out=1, pool=False))
    return builder.graph()


DENSE = [(3, 5, 7, 1, 4), (16, 8, 16, 4, 5), (32, 12, 48, 6, 3), (1, 1, 1, 9, 2)]


@pytest.mark.parametrize(("channels", "growth", "bottleneck", "depth", "size"), DENSE)
def test_dense_block_macs_follow_the_closed_form(
    channels: int, growth: int, bottleneck: int, depth: int, size: int
) -> None:
    """size^2 * b * (c m + d m (m - 1) / 2 + 9 d m): the 1x1 convolutions read c, c + d, ...; the 3x3 give d each."""
    c, d, b, m = channels, growth, bottleneck, depth
    expected = size * size * b * (c * m + d * m * (m - 1) // 2 + 9 * d * m)
    assert cost_of(block_of(channels, growth, bottleneck, depth, size)).macs == expected


@pytest.mark.parametrize(("channels", "growth", "bottleneck", "depth", "size"), DENSE)
def test_dense_block_traffic_follows_the_papers_cio(
    channels: int, growth: int, bottleneck: int, depth: int, size: int
) -> None:
    """The paper's c m + (m^2 + m) d / 2 an element of the map, and 2 b m for the bottlenecks written and read."""
    c, d, b, m = channels, growth, bottleneck, depth
    expected = size * size * (c * m + (m * m + m) * d // 2 + 2 * b * m)
    assert cost_of(block_of(channels, growth, bottleneck, depth, size)).traffic == expected


@pytest.mark.parametrize("fusion", ["first", "last", "both"])
def test_a_partial_block_has_the_traffic_of_a_dense_block_on_part2_alone(fusion: str) -> None:
    """The paper's CIO of a partial dense block at gamma .25: (1 - gamma) c m + (m^2 + m) d / 2."""
    csp = {"first": Csp("first", 4, 12), "last": Csp("last", 4, 12, 10), "both": Csp("both", 4, 12, 20)}[fusion]
    graph = wire(Architecture("densenet", (3, 6, 6), 2, Stem(16), (Stage(3, 5, 7, 14, False, csp),)))
    in_block = 0
    for op in graph.operations:
        if op.kind == "conv" and ".block." in op.name:
            in_block += op.elements + graph.operations[op.inputs[0]].elements
    assert in_block == 36 * (12 * 3 + (9 + 3) * 5 // 2 + 2 * 7 * 3) == cost_of(block_of(12, 5, 7, 3, 6)).traffic


# One network by hand: image 1 x 8 x 8, stem 4, one `both` stage of depth 2, growth 2, bottleneck 4, parts 2 + 2, t1 6,
# out 4, pooled; 3 classes. A map has 64 elements.
BY_HAND = Architecture("densenet", (1, 8, 8), 3, Stem(4), (Stage(2, 2, 4, 4, True, Csp("both", 2, 2, 6)),))


def test_macs_of_one_network_by_hand() -> None:
    stem = 64 * 4 * 1 * 9  # 2304
    layer1 = 64 * 2 * 4 + 64 * 4 * 2 * 9  # 512 + 4608
    layer2 = 64 * 4 * 4 + 64 * 4 * 2 * 9  # 1024 + 4608
    transitions = 64 * 6 * 6 + 64 * 8 * 4  # 2304 + 2048
    linear = 4 * 3
    assert stem + layer1 + layer2 + transitions + linear == 17420
    by_operation = macs_by_operation(wire(BY_HAND))
    assert [macs for macs in by_operation if macs] == [2304, 512, 4608, 1024, 4608, 2304, 2048, 12]
    assert cost_of(wire(BY_HAND)).macs == 17420
    assert cost_of(wire(BY_HAND)).flops == 34840


def test_params_of_one_network_by_hand() -> None:
    """Convolution weights 36 + (8 + 72) + (16 + 72) + 36 + 32, two per norm channel (4 + 4 + 2 + 4 + 2 + 6 + 4), linear
    12 + 3. Folded, a channel has one bias in place of the norm's two.
    """
    cost = cost_of(wire(BY_HAND))
    assert cost.params == 272 + 2 * 26 + 15 == 339
    assert cost.weight_bytes == 4 * (272 + 26 + 15) == 1252


def test_traffic_of_one_network_by_hand() -> None:
    in_and_out = [64 + 256, 128 + 256, 256 + 128, 256 + 256, 256 + 128, 384 + 384, 512 + 256, 256 + 64, 64 + 4]
    assert cost_of(wire(BY_HAND)).traffic == sum(in_and_out) == 3908


def test_peak_memory_of_one_network_by_hand() -> None:
    """Greatest at the fusion: image 1, the stem's 4 (part 1 is a view of it), transition 6, concat 8 channels."""
    assert cost_of(wire(BY_HAND)).peak_memory == (1 + 4 + 6 + 8) * 64 * 4 == 4864


def test_training_memory_of_one_network_by_hand() -> None:
    """Kept once: each conv's output (its norm reads it), each relu's result, the image, three concats, pooled vector:
    1 + 2 * (4 + 4 + 2 + 4 + 2 + 6 + 4) + 4 + 6 + 8 channels of 64 elements, and 4 elements. Besides: mean and inverse
    deviation a norm channel; weights, gradients and momentum.
    """
    per_image = 4 * (64 * (1 + 2 * 26 + 4 + 6 + 8) + 4)
    per_batch = 2 * 4 * 26
    cost = cost_of(wire(BY_HAND))
    assert (cost.saved_per_image, cost.saved_per_batch) == (per_image, per_batch) == (18192, 208)
    assert cost.training_memory(32) == 3 * 4 * 339 + 32 * 18192 + 208 == 586420
    assert cost.training_memory(32, optimiser_states=2) - cost.training_memory(32) == 4 * 339


def test_cost_does_not_depend_on_the_names_of_operations() -> None:
    first, second = GraphBuilder((3, 8, 8)), GraphBuilder((3, 8, 8))
    for builder, name in ((first, "a"), (second, "b.c")):
        builder.add("conv", name, 0, out_channels=5, kernel=3, padding=1)
    assert cost_of(first.graph()) == cost_of(second.graph())


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": -64},
        {"batch_size": 2.5},
        {"batch_size": True},
        {"batch_size": 1, "optimiser_states": -1},
    ],
)
def test_the_memory_of_a_training_step_of_fewer_than_no_images_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"training_memory: found .*, expected an integer of at least 0$"):
        Cost(1, 1, 1, 1, 1, 1, 1, 1, 1).training_memory(**wrong)
