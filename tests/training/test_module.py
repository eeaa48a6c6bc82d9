"""The module that runs a graph: against the wirings written by hand, folded, exported, changed gene by gene."""

from __future__ import annotations

import copy
import hashlib
import random
import weakref
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_architectures import random_architecture, randomise, run_without_reuse
from torch import Tensor, nn

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture, Csp, Fusion, Stage, Stem
from cspnas.network.cost import Cost, cost_of
from cspnas.network.graph import Graph, GraphBuilder
from cspnas.network.operations import ACTIVATIONS
from cspnas.network.wiring import wire
from cspnas.space.stage_resolution import dense_stage, split
from cspnas.training.measured_memory import LiveStorages, measured_peak, parameters_of
from cspnas.training.module import NetworkModule, fold, initialise

if TYPE_CHECKING:
    from collections.abc import Callable

# The paper's wirings, written from its figure 3 and DenseNet's equation 2, knowing nothing of Graph -------------------


class ConvNormRelu(nn.Sequential):
    def __init__(self, channels: int, width: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )


class DenseBlock(nn.Module):
    """x_k = w_k * [x_0, x_1, ..., x_{k-1}]; gives [x_0, ..., x_m]."""

    def __init__(self, channels: int, depth: int, growth: int, bottleneck: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                ConvNormRelu(channels + number * growth, bottleneck), ConvNormRelu(bottleneck, growth, kernel=3)
            )
            for number in range(depth)
        )

    def forward(self, x0: Tensor) -> Tensor:
        features = [x0]
        for layer in self.layers:
            features.append(layer(torch.cat(features, dim=1)))
        return torch.cat(features, dim=1)


class PlainStage(nn.Module):
    def __init__(self, channels: int, depth: int, growth: int, bottleneck: int, out: int) -> None:
        super().__init__()
        self.block = DenseBlock(channels, depth, growth, bottleneck)
        self.transition = ConvNormRelu(channels + depth * growth, out)

    def forward(self, x: Tensor) -> Tensor:
        return self.transition(self.block(x))


class FusionFirstStage(nn.Module):
    def __init__(self, part1: int, part2: int, depth: int, growth: int, bottleneck: int, out: int) -> None:
        super().__init__()
        self.part1 = part1
        self.block = DenseBlock(part2, depth, growth, bottleneck)
        self.transition = ConvNormRelu(part1 + part2 + depth * growth, out)

    def forward(self, x: Tensor) -> Tensor:
        around, through = x[:, : self.part1], x[:, self.part1 :]
        return self.transition(torch.cat([self.block(through), around], dim=1))


class FusionLastStage(nn.Module):
    def __init__(self, part1: int, part2: int, depth: int, growth: int, bottleneck: int, out: int) -> None:
        super().__init__()
        self.part1 = part1
        self.block = DenseBlock(part2, depth, growth, bottleneck)
        self.transition = ConvNormRelu(part2 + depth * growth, out - part1)

    def forward(self, x: Tensor) -> Tensor:
        around, through = x[:, : self.part1], x[:, self.part1 :]
        return torch.cat([self.transition(self.block(through)), around], dim=1)


class FusionBothStage(nn.Module):
    def __init__(self, part1: int, part2: int, depth: int, growth: int, bottleneck: int, out: int) -> None:
        super().__init__()
        self.part1 = part1
        dense = part2 + depth * growth
        self.block = DenseBlock(part2, depth, growth, bottleneck)
        self.transition1 = ConvNormRelu(dense, dense)
        self.transition2 = ConvNormRelu(part1 + dense, out)

    def forward(self, x: Tensor) -> Tensor:
        around, through = x[:, : self.part1], x[:, self.part1 :]
        return self.transition2(torch.cat([self.transition1(self.block(through)), around], dim=1))


HAND_WRITTEN: dict[str, Callable[[], nn.Module]] = {
    # 12 channels into a stage of depth 3, growth 4, bottleneck 6, out 12 = .5 * (12 + 3 * 4); 3 of 12 go around
    "plain": lambda: PlainStage(12, 3, 4, 6, 12),
    "first": lambda: FusionFirstStage(3, 9, 3, 4, 6, 12),
    "last": lambda: FusionLastStage(3, 9, 3, 4, 6, 12),
    "both": lambda: FusionBothStage(3, 9, 3, 4, 6, 12),
}
WIRINGS = list(HAND_WRITTEN)


class HandWritten(nn.Sequential):
    """Stem, the same stage twice (a pool behind the first), global pool, linear."""

    def __init__(self, wiring: str) -> None:
        super().__init__(
            ConvNormRelu(3, 12, kernel=3, stride=2),
            HAND_WRITTEN[wiring](),
            nn.AvgPool2d(2),
            HAND_WRITTEN[wiring](),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(12, 7),
        )


def described(wiring: str) -> Architecture:
    """The architecture whose network should be `HandWritten(wiring)`; resolved from genes, not from widths."""
    fusion: Any = None if wiring == "plain" else wiring
    stages = []
    for pool in (True, False):
        stage = dense_stage(
            12,
            depth=3,
            growth_rate=4,
            bottleneck_ratio=1.5,
            compression=0.5,
            pool=pool,
            split_ratio=0.25 if fusion else None,
            fusion=fusion,
        )
        stages.append(stage)
    return Architecture("densenet", (3, 16, 16), 7, Stem(12, kernel=3, stride=2), tuple(stages))


def twins(wiring: str) -> tuple[NetworkModule, HandWritten]:
    """Both networks with the same weights, copied over in order."""
    network, hand = NetworkModule(wire(described(wiring))), HandWritten(wiring)
    randomise(network)
    ours, theirs = list(network.state_dict().values()), hand.state_dict()
    assert [tensor.shape for tensor in ours] == [tensor.shape for tensor in theirs.values()]
    hand.load_state_dict(dict(zip(theirs, ours, strict=True)))
    return network, hand


@pytest.mark.parametrize("wiring", WIRINGS)
def test_outputs_in_evaluation_are_those_of_the_hand_written_wiring(wiring: str) -> None:
    network, hand = twins(wiring)
    images = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(images), hand.eval()(images), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_outputs_gradients_and_running_statistics_in_training_are_those_of_the_hand_written_wiring(wiring: str) -> None:
    network, hand = (module.double().train() for module in twins(wiring))
    images, labels = torch.randn(4, 3, 16, 16).double(), torch.tensor([0, 3, 6, 1])
    ours, theirs = network(images), hand(images)
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)
    for logits in (ours, theirs):
        nn.functional.cross_entropy(logits, labels).backward()
    for one, other in zip(network.parameters(), hand.parameters(), strict=True):
        assert other.grad is not None
        assert other.grad.abs().max() > 0
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=1e-9)
    for one, other in zip(network.buffers(), hand.buffers(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("wiring", WIRINGS)
def test_parameters_are_counted_as_the_hand_written_wiring_has_them(wiring: str) -> None:
    counted = sum(parameter.numel() for parameter in HandWritten(wiring).parameters())
    graph = wire(described(wiring))
    assert parameters_of(NetworkModule(graph)) == cost_of(graph).params == counted


def test_the_four_wirings_differ_from_each_other() -> None:
    assert len({wire(described(wiring)).digest() for wiring in WIRINGS}) == 4
    assert len({cost_of(wire(described(wiring))) for wiring in WIRINGS}) == 4


def test_part1_of_the_split_goes_around_the_block() -> None:
    """split_ratio is the share routed around: the first channels are the last of a `last` stage's output, unchanged."""
    graph = wire(described("last"))
    network = NetworkModule(graph).eval()
    names = [op.name for op in graph.operations]
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        stem = run_without_reuse(Graph(graph.operations, names.index("stem.act")), network, images)
        fused = run_without_reuse(Graph(graph.operations, names.index("stage1.fusion")), network, images)
    assert torch.equal(fused[:, -3:], stem[:, :3])


# Folding ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_folding_keeps_the_outputs_of_any_architecture(seed: int) -> None:
    graph = wire(random_architecture(random.Random(seed)))
    network = NetworkModule(graph).eval()
    randomise(network)
    images = torch.randn(2, *graph.operations[0].shape)
    with torch.no_grad():
        expected, actual = network(images), fold(network)(images)
    assert (actual - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_folding_leaves_the_network_as_it_was_and_shares_no_weights_with_it() -> None:
    network = NetworkModule(wire(described("both"))).train()
    randomise(network)
    before = copy.deepcopy(network.state_dict())
    folded = fold(network)
    with torch.no_grad():
        for parameter in folded.parameters():
            parameter.add_(1)
    assert network.training
    assert not folded.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_folded_network_has_no_norm_left_and_a_bias_in_each_convolution() -> None:
    folded = fold(NetworkModule(wire(described("both"))))
    kinds = [type(module) for module in folded.modules()]
    assert nn.BatchNorm2d not in kinds
    convolutions = [module for module in folded.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 1 + 2 * (3 * 2 + 2)
    assert all(module.bias is not None for module in convolutions)


def test_folding_carries_a_convolutions_own_bias_into_the_folded_one() -> None:
    builder = GraphBuilder((3, 5, 5))
    x = builder.add("conv", "a.conv", 0, out_channels=4, kernel=3, padding=1, bias=True)
    builder.add("norm", "a.norm", x)
    network = NetworkModule(builder.graph()).eval()
    randomise(network)
    images = torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(fold(network)(images), network(images), rtol=1e-5, atol=1e-5)


# Initialisation and names -------------------------------------------------------------------------------------------


def test_initialise_gives_the_same_weights_for_a_seed_whatever_torchs_own_generator_did() -> None:
    networks = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        networks.append(NetworkModule(wire(described("both"))))
        initialise(networks[-1], 5)
    first, second = (network.state_dict() for network in networks)
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_initialise_differs_between_seeds_in_every_drawn_layer() -> None:
    network = NetworkModule(wire(described("both")))
    drawn = []
    for seed in (0, 1):
        initialise(network, seed)
        drawn.append({name: t.clone() for name, t in network.state_dict().items() if t.dim() > 1})
    assert len(drawn[0]) == 1 + 2 * (3 * 2 + 2) + 1
    assert not any(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


def test_initialise_leaves_torchs_own_generator_alone() -> None:
    network = NetworkModule(wire(described("plain")))
    before = torch.get_rng_state()
    initialise(network, 3)
    assert torch.equal(before, torch.get_rng_state())


def test_initialise_draws_convolutions_kaiming_fan_out_and_a_small_linear_layer() -> None:
    stage = Stage(1, 64, 128, 256, pool=False)
    network = NetworkModule(wire(Architecture("densenet", (3, 8, 8), 100, Stem(64), (stage,))))
    initialise(network, 0)
    grow = network.layer("stage1.block.layer1.grow.conv").weight
    assert grow.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    linear = network.layer("head.linear")
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert torch.equal(linear.bias, torch.zeros(100))
    norm = network.layer("stem.norm")
    assert torch.equal(norm.weight, torch.ones(64))
    assert torch.equal(norm.bias, torch.zeros(64))


def test_state_dict_names_say_where_a_layer_stands() -> None:
    stage = replace(described("both").stages[0], depth=2, csp=Csp("both", 3, 9, 17))
    architecture = replace(described("both"), stages=(stage,))
    names = [name for name in NetworkModule(wire(architecture)).state_dict() if name.endswith("weight")]
    assert names == [
        "stem.conv.weight",
        "stem.norm.weight",
        "stage1.block.layer1.reduce.conv.weight",
        "stage1.block.layer1.reduce.norm.weight",
        "stage1.block.layer1.grow.conv.weight",
        "stage1.block.layer1.grow.norm.weight",
        "stage1.block.layer2.reduce.conv.weight",
        "stage1.block.layer2.reduce.norm.weight",
        "stage1.block.layer2.grow.conv.weight",
        "stage1.block.layer2.grow.norm.weight",
        "stage1.transition1.conv.weight",
        "stage1.transition1.norm.weight",
        "stage1.transition.conv.weight",
        "stage1.transition.norm.weight",
        "head.linear.weight",
    ]


def test_a_deep_copy_runs_on_weights_of_its_own() -> None:
    network = NetworkModule(wire(described("first"))).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        before = network(images)
        copied = copy.deepcopy(network)
        assert torch.equal(copied(images), before)
        for parameter in copied.parameters():
            parameter.zero_()
        assert torch.equal(network(images), before)
        assert torch.equal(copied(images), torch.zeros(2, 7))


# Memory of a real run -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_real_run_on_the_cpu_peaks_at_the_predicted_bytes(wiring: str) -> None:
    graph = wire(described(wiring))
    folded = fold(NetworkModule(graph))
    images = torch.randn(2, 3, 16, 16)
    tracker = LiveStorages(folded.parameters())
    with torch.inference_mode(), tracker:
        tracker.hold(images)
        folded(images)
    assert tracker.peak == 2 * cost_of(graph).peak_memory == 2 * measured_peak(graph)


def test_each_value_is_freed_when_its_last_reader_has_run() -> None:
    """A chain of eight convolutions: whenever one starts, only its input of all earlier results is still there."""
    builder = GraphBuilder((3, 6, 6))
    x = 0
    for number in range(8):
        x = builder.add("conv", f"layer{number}", x, out_channels=4)
    network = NetworkModule(builder.graph())
    made: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    for number in range(8):
        layer = network.layer(f"layer{number}")
        layer.register_forward_pre_hook(lambda module, args: alive.append(sum(ref() is not None for ref in made)))
        layer.register_forward_hook(lambda module, args, output: made.append(weakref.ref(output)))
    with torch.inference_mode():
        network(torch.randn(1, 3, 6, 6))
    assert alive == [0, 1, 1, 1, 1, 1, 1, 1]


def test_a_network_dies_with_its_last_reference_without_the_garbage_collector() -> None:
    network = NetworkModule(wire(described("both")))
    weight = weakref.ref(network.layer("stem.conv").weight)
    del network
    assert weight() is None


# Export -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folded", [False, True], ids=["unfolded", "folded"])
@pytest.mark.parametrize("wiring", ["last", "both"])
def test_torch_export_takes_the_network_and_keeps_its_outputs(wiring: str, folded: bool) -> None:
    network = NetworkModule(wire(described(wiring))).eval()
    randomise(network)
    network = fold(network) if folded else network
    example, images = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16)
    exported = torch.export.export(network, (example,))
    assert set(exported.state_dict) == set(network.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(exported.module()(images), network(images), rtol=1e-6, atol=1e-6)


# One gene at a time -------------------------------------------------------------------------------------------------

GENES: dict[str, Any] = {
    "stem_channels": 12,
    "stem_kernel": 3,
    "stem_stride": 1,
    "depth": 3,
    "growth_rate": 4,
    "bottleneck_ratio": 1.5,
    "compression": 0.5,
    "split_ratio": 0.25,
    "fusion": "both",
    "pool": True,
    "activation": "relu",
    "classes": 7,
}
UP, DOWN, SAME = "up", "down", "same"
# Gene, new value, and what it does to macs, params and peak memory. In maps of 16 x 16, the peak is 60, at the fusion:
# image 3, stem 12, transition 21, concat 24. `first` has the same widths there; `last` peaks at layer 3's concat, 57.
CHANGES: list[tuple[dict[str, Any], tuple[str, str, str]]] = [
    ({"stem_channels": 16}, (UP, UP, UP)),
    ({"stem_kernel": 5}, (UP, UP, SAME)),
    ({"stem_stride": 2}, (DOWN, SAME, DOWN)),
    ({"depth": 4}, (UP, UP, UP)),
    ({"growth_rate": 5}, (UP, UP, UP)),
    ({"bottleneck_ratio": 2.0}, (UP, UP, SAME)),
    ({"compression": 0.75}, (UP, UP, SAME)),
    ({"split_ratio": 0.5}, (DOWN, DOWN, DOWN)),
    ({"split_ratio": None, "fusion": None}, (DOWN, DOWN, DOWN)),
    ({"fusion": "first"}, (DOWN, DOWN, SAME)),
    ({"fusion": "last"}, (DOWN, DOWN, DOWN)),
    ({"pool": False}, (UP, SAME, SAME)),
    ({"activation": "gelu"}, (SAME, SAME, SAME)),
    ({"activation": "silu"}, (SAME, SAME, SAME)),
    ({"activation": "leaky_relu"}, (SAME, SAME, SAME)),
    ({"classes": 9}, (UP, UP, SAME)),
]


def one_stage(genes: dict[str, Any]) -> Architecture:
    """The architecture with one stage that `genes` give."""
    names = ("depth", "growth_rate", "bottleneck_ratio", "compression", "pool", "split_ratio", "fusion")
    stage = dense_stage(genes["stem_channels"], **{name: genes[name] for name in names})
    stem = Stem(genes["stem_channels"], genes["stem_kernel"], genes["stem_stride"])
    return Architecture("densenet", (3, 16, 16), genes["classes"], stem, (stage,), genes["activation"])


@cache
def images_of_one_stage() -> Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(4))


def two_stages(genes: dict[str, Any]) -> Architecture:
    """`one_stage` and a small plain stage behind it: a pool before the global pool would not show in the output."""
    first = one_stage(genes)
    tail = dense_stage(first.stages[0].out, depth=1, growth_rate=2, bottleneck_ratio=1, compression=0.5, pool=False)
    return replace(first, stages=(*first.stages, tail))


def output_of(architecture: Architecture) -> Tensor:
    """The logits of two fixed images, weights drawn from one seed."""
    network = NetworkModule(wire(architecture)).eval()
    initialise(network, 0)
    with torch.no_grad():
        return network(images_of_one_stage())


def direction(before: int, after: int) -> str:
    return SAME if before == after else UP if after > before else DOWN


@pytest.mark.parametrize(
    ("change", "expected"), CHANGES, ids=lambda value: str(value) if isinstance(value, dict) else ""
)
def test_a_gene_changed_alone_changes_digest_output_and_the_costs_it_should(
    change: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    base, changed = two_stages(GENES), two_stages(GENES | change)
    assert wire(base).digest() != wire(changed).digest()
    before, after = output_of(base), output_of(changed)
    assert before.shape != after.shape or (before - after).abs().max() > 1e-4 * before.abs().max()
    costs: tuple[Cost, Cost] = (cost_of(wire(base)), cost_of(wire(changed)))
    seen = tuple(direction(*(getattr(cost, name) for cost in costs)) for name in ("macs", "params", "peak_memory"))
    assert seen == expected


def test_an_activation_without_an_in_place_form_costs_memory_where_activations_are_the_peak() -> None:
    """Bottleneck 32, in maps of 16 x 16: relu peaks in layer 3's 3x3 convolution, 3 + 12 + 17 + 32 + 4 (image,
    stem, dense, ...); gelu in its first activation, 3 + 12 + 17 + 32 + 32.
    """
    peaks = []
    for activation in ("relu", "gelu"):
        graph = wire(one_stage(GENES | {"bottleneck_ratio": 8, "activation": activation}))
        peaks.append(cost_of(graph).peak_memory // (4 * 16 * 16))
    assert peaks == [68, 96]


def test_a_pool_changes_the_traffic_and_a_later_stages_macs() -> None:
    """The pool reads 12 x 16 x 16 and writes a quarter; the global pool behind it then reads a quarter."""
    with_pool, without = one_stage(GENES), one_stage(GENES | {"pool": False})
    full, quarter = 12 * 16 * 16, 12 * 8 * 8
    assert cost_of(wire(with_pool)).traffic - cost_of(wire(without)).traffic == full + quarter + quarter - full
    two = [cost_of(wire(replace(one, stages=one.stages * 2))).macs for one in (with_pool, without)]
    stem_and_linear = 16 * 16 * 12 * 3 * 9 + 12 * 7
    stage = cost_of(wire(without)).macs - stem_and_linear
    assert two == [stem_and_linear + stage + stage // 4, stem_and_linear + 2 * stage]


@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 16, 20), (3, 20, 16)])
def test_the_input_shape_is_part_of_the_digest(shape: tuple[int, int, int]) -> None:
    base = one_stage(GENES)
    changed = replace(base, input_shape=shape)
    assert wire(base).digest() != wire(changed).digest()
    assert cost_of(wire(base)).macs != cost_of(wire(changed)).macs


def test_every_activation_gives_a_network_of_its_own() -> None:
    architectures = [one_stage(GENES | {"activation": activation}) for activation in ACTIVATIONS]
    assert len({wire(one).digest() for one in architectures}) == len(ACTIVATIONS) == 6
    outputs = [output_of(one) for one in architectures]
    for number, output in enumerate(outputs):
        assert not any(torch.allclose(output, other, rtol=1e-4) for other in outputs[:number])


# Digests ------------------------------------------------------------------------------------------------------------


def named(prefix: str, *, spelled: bool) -> Graph:
    """One small graph; `spelled`: with each attribute given, even where it is the default."""
    builder = GraphBuilder((3, 8, 8))
    defaults = {"stride": 1, "groups": 1, "bias": False} if spelled else {}
    x = builder.add("conv", f"{prefix}.conv", 0, out_channels=4, kernel=3, padding=1, **defaults)
    x = builder.add("act", f"{prefix}.act", x, **({"function": "relu"} if spelled else {}))
    builder.add("pool", f"{prefix}.pool", x, **({"function": "avg", "kernel": 2, "stride": 2} if spelled else {}))
    return builder.graph()


def test_graphs_that_differ_only_in_names_have_one_digest() -> None:
    first, second = named("a", spelled=False), named("some.where.else", spelled=False)
    assert first != second
    assert first.digest() == second.digest()


def test_a_default_that_is_spelled_out_changes_no_digest() -> None:
    assert named("a", spelled=True).digest() == named("a", spelled=False).digest()


def test_graphs_that_differ_only_in_their_output_have_two_digests() -> None:
    graph = named("a", spelled=False)
    assert graph.digest() != replace(graph, output=graph.output - 1).digest()


def test_a_digest_is_the_sha256_of_kinds_inputs_shapes_and_attributes_that_are_no_default() -> None:
    """Results are stored under it: if this fails, recorded results no longer match their networks."""
    text = (
        '[[["input",[],[3,8,8],{}],["conv",[0],[4,8,8],{"kernel":3,"out_channels":4,"padding":1}],'
        '["act",[1],[4,8,8],{}],["pool",[2],[4,4,4],{}]],3]'
    )
    assert named("a", spelled=False).digest() == hashlib.sha256(text.encode()).hexdigest()


# What cannot be wired -----------------------------------------------------------------------------------------------


def refusal(act: Callable[[], object]) -> str:
    """The message of the ArchitectureError that `act` raises: one line."""
    with pytest.raises(ArchitectureError) as caught:
        act()
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def with_csp(csp: Csp, out: int = 12) -> Architecture:
    return Architecture(
        "densenet", (3, 16, 16), 7, Stem(12), (Stage(3, 4, 6, 12, True), Stage(3, 4, 6, out, False, csp))
    )


@pytest.mark.parametrize(("part1", "part2"), [(3, 8), (3, 10), (0, 12), (12, 0), (-1, 13)])
@pytest.mark.parametrize("fusion", ["first", "last", "both"])
def test_parts_that_do_not_share_the_stages_input_are_refused_at_the_stage(
    fusion: Fusion, part1: int, part2: int
) -> None:
    t1 = {"first": None, "last": 12 - part1, "both": part2 + 12}[fusion]
    message = refusal(lambda: wire(with_csp(Csp(fusion, part1, part2, t1))))
    assert message.startswith("stage2: ")
    assert f"part1 {part1} and part2 {part2}" in message
    assert ("12 input channels" if min(part1, part2) > 0 else "at least 1 channel each") in message


@pytest.mark.parametrize("csp", [Csp("first", 3, 9, 5), Csp("last", 3, 9), Csp("both", 3, 9)])
def test_a_transition_width_that_the_fusion_has_no_place_for_is_refused_at_the_stage(csp: Csp) -> None:
    message = refusal(lambda: wire(with_csp(csp)))
    assert message.startswith("stage2: ")
    found = "no t1" if csp.t1 is None else f"t1 {csp.t1}"
    assert f"found {found} with fusion {csp.fusion}" in message


def test_an_output_width_that_fusion_last_cannot_give_is_refused_at_the_stage() -> None:
    message = refusal(lambda: wire(with_csp(Csp("last", 3, 9, 9), out=13)))
    assert message.startswith("stage2: ")
    assert "t1 + part1 = 12" in message


def test_a_pool_with_nothing_left_to_pool_is_refused_at_the_pool() -> None:
    """4 x 4 -> 2 x 2 -> 1 x 1 -> nothing, in the third stage."""
    stages = tuple(
        dense_stage(4, depth=1, growth_rate=4, bottleneck_ratio=1, compression=0.5, pool=True) for _ in "123"
    )
    fits = Architecture("densenet", (1, 8, 8), 2, Stem(4), stages)
    assert wire(fits).operations[-3].shape == (4, 1, 1)
    message = refusal(lambda: wire(replace(fits, input_shape=(1, 4, 4))))
    assert message.startswith("stage3.pool: ")
    assert "2x2" in message
    assert "1x1" in message


def test_a_stem_whose_window_exceeds_the_image_is_refused_at_the_stem() -> None:
    builder = GraphBuilder((1, 2, 2))
    message = refusal(lambda: builder.add("conv", "stem.conv", 0, out_channels=4, kernel=5))
    assert message.startswith("stem.conv: ")
    assert "5x5" in message


@pytest.mark.parametrize(
    ("kind", "attributes", "says"),
    [("concat", {}, "(4, 4)"), ("add", {}, "(2, 4, 4)")],
)
def test_a_concat_or_a_sum_of_differing_sizes_is_refused_where_it_stands(
    kind: str, attributes: dict[str, Any], says: str
) -> None:
    builder = GraphBuilder((2, 8, 8))
    half = builder.add("pool", "half", 0)
    message = refusal(lambda: builder.add(kind, "stage7.fusion", 0, half, **attributes))
    assert message.startswith("stage7.fusion: ")
    assert says in message


def test_a_refused_operation_is_not_added() -> None:
    builder = GraphBuilder((2, 8, 8))
    half = builder.add("pool", "half", 0)
    refusal(lambda: builder.add("concat", "bad", 0, half))
    assert [op.name for op in builder.graph().operations] == ["image", "half"]


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (1, 1), (2, 1), (-1, 1)])
def test_a_slice_of_channels_that_are_not_there_is_refused(start: int, stop: int) -> None:
    builder = GraphBuilder((2, 8, 8))
    message = refusal(lambda: builder.add("slice", "stage1.part1", 0, start=start, stop=stop))
    assert message.startswith("stage1.part1: ")
    assert f"{start}:{stop} of 2 channels" in message


def test_groups_that_do_not_divide_the_channels_are_refused() -> None:
    builder = GraphBuilder((4, 8, 8))
    message = refusal(lambda: builder.add("conv", "stage1.conv", 0, out_channels=6, groups=4))
    assert message.startswith("stage1.conv: ")


# Widths from genes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "ratio", "parts"),
    [
        (12, 0.25, (3, 9)),
        (64, 0.5, (32, 32)),
        (7, 0.5, (4, 3)),
        (10, 0.75, (8, 2)),
        (3, 0.17, (1, 2)),
        (2, 0.25, (1, 1)),
    ],
)
def test_a_split_rounds_part1_half_up(channels: int, ratio: float, parts: tuple[int, int]) -> None:
    assert split(channels, ratio) == parts


@pytest.mark.parametrize(("channels", "ratio"), [(1, 0.5), (4, 0.1), (4, 0.9), (8, 0.0), (8, 1.0)])
def test_a_split_that_leaves_a_part_empty_is_refused(channels: int, ratio: float) -> None:
    assert f"of {channels} channels" in refusal(lambda: split(channels, ratio))


@pytest.mark.parametrize(
    ("fusion", "csp"), [(None, None), ("first", (3, 9, None)), ("last", (3, 9, 9)), ("both", (3, 9, 21))]
)
def test_every_fusion_and_the_plain_stage_have_one_output_width(
    fusion: Fusion | None, csp: tuple[int, int, int | None] | None
) -> None:
    """12 channels and 3 * 4 grown, halved: 12."""
    genes = GENES | {"fusion": fusion, "split_ratio": 0.25 if fusion else None}
    stage = one_stage(genes).stages[0]
    assert (stage.out, stage.bottleneck) == (12, 6)
    assert stage.csp == (None if csp is None or fusion is None else Csp(fusion, *csp))
    graph = wire(one_stage(genes))
    assert next(op.shape for op in graph.operations if op.name == "stage1.pool") == (12, 8, 8)


def test_fusion_last_with_no_channel_left_for_the_transition_is_refused() -> None:
    genes = GENES | {"fusion": "last", "split_ratio": 0.75, "compression": 0.25}
    assert "fusion last" in refusal(lambda: one_stage(genes))


def test_a_compression_that_leaves_no_channel_is_refused() -> None:
    assert "compression 0.01" in refusal(lambda: one_stage(GENES | {"compression": 0.01}))


def test_a_compressed_width_that_is_whole_in_exact_arithmetic_stays_whole() -> None:
    """.29 * 100 is 28.999999999999996 in floats."""
    stage = dense_stage(96, depth=1, growth_rate=4, bottleneck_ratio=1, compression=0.29, pool=False)
    assert 0.29 * 100 < 29
    assert stage.out == 29
