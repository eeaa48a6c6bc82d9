"""A built network is a module like any other: what stands at a layer's name runs, and what is saved loads.

The oracle of a changed network is `run_without_reuse`: every value a tensor of its own, layers looked up when they run.
"""

from __future__ import annotations

import copy
import io
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from random_architectures import random_architecture, randomise, run_without_reuse
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture, NormOrder, Stem
from cspnas.network.graph import GraphBuilder
from cspnas.network.operations import ACTIVATIONS, IN_PLACE_ACTIVATIONS
from cspnas.network.wiring import wire
from cspnas.space.stage_resolution import dense_stage
from cspnas.training.module import NetworkModule, fold, initialise

if TYPE_CHECKING:
    from collections.abc import Callable


def small(activation: str = "relu", norm: NormOrder = "after") -> NetworkModule:
    """Two CSP stages on images of 3 x 16 x 16, 7 classes, 12 features before the head."""
    stages = [
        dense_stage(
            12,
            depth=2,
            growth_rate=4,
            bottleneck_ratio=1.5,
            compression=0.6,
            pool=pool,
            split_ratio=0.25,
            fusion="both",
        )
        for pool in (True, False)
    ]
    network = NetworkModule(wire(Architecture("densenet", (3, 16, 16), 7, Stem(12), tuple(stages), activation, norm)))
    initialise(network, 0)
    torch.manual_seed(0)
    randomise(network)
    return network.eval()


def images(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def outputs(network: nn.Module, of: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return network(images() if of is None else of)


# Layers that are replaced ---------------------------------------------------------------------------------------------


def test_a_new_head_gives_its_classes_and_alone_learns_where_the_body_is_frozen() -> None:
    network = small().requires_grad_(False)
    network.head.linear = nn.Linear(network.head.linear.in_features, 3)
    before = outputs(network)
    nn.functional.cross_entropy(network(images()), torch.tensor([0, 1, 2, 0])).backward()
    assert network.head.linear.weight.grad.abs().max() > 0
    torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1).step()
    assert before.shape == (4, 3)
    assert (outputs(network) - before).abs().max() > 0


class LayerScale(nn.Module):
    """Gives its input itself, as nn.Identity does, while it is switched off."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def halves(layer: Any) -> nn.Module:
    """Of the same type, all weights one half."""
    layer = copy.deepcopy(layer)
    nn.init.constant_(layer.weight, 0.5)
    return layer


# What a user may put in a layer's place, from that layer. Some give their input, some read their result in backward.
CHANGES: dict[str, Callable[[Any], nn.Module]] = {
    "conv": lambda layer: nn.Sequential(layer, nn.Sigmoid()),
    "of its type": halves,
    "identity": lambda layer: nn.Identity() if isinstance(layer, nn.BatchNorm2d) else layer,
    "own identity": lambda layer: LayerScale() if isinstance(layer, nn.BatchNorm2d) else layer,
    "group norm": lambda layer: nn.GroupNorm(1, layer.num_features) if isinstance(layer, nn.BatchNorm2d) else layer,
    "tanh": lambda layer: nn.Sequential(layer, nn.Tanh()) if isinstance(layer, nn.BatchNorm2d) else layer,
    "view": lambda layer: nn.Sequential(halves(layer), nn.Unflatten(0, (-1, 2)), nn.Flatten(0, 1)),
}


def changed(seed: int) -> NetworkModule:
    """A random network of any family in which each layer but the first and last may be another."""
    rng = random.Random(seed)
    network = NetworkModule(wire(random_architecture(rng))).double()
    randomise(network)
    layers = [op.name for op in network.graph.operations if op.kind in ("conv", "norm")]
    kept, every = rng.random() < 0.5, CHANGES[rng.choice(list(CHANGES))]
    for name in layers:
        change = every if kept else CHANGES[rng.choice(list(CHANGES))]
        if rng.random() < 0.7:
            network.set_submodule(name, change(network.layer(name)).double())
    return network


@pytest.mark.parametrize("seed", range(40))
def test_any_layers_replaced_in_any_network_give_the_outputs_and_gradients_of_a_plain_run(seed: int) -> None:
    """In-place activations and sums overwrite nothing that a new layer gave away, kept for backward, or only passed on."""
    network = changed(seed)
    batch = torch.randn(4, *network.graph.operations[0].shape).double()
    given = batch.clone()
    for training in (False, True):
        network.train(training)
        state = copy.deepcopy(network.state_dict())
        results = []
        for run in (network, lambda x: run_without_reuse(network.graph, network, x)):
            network.load_state_dict(state)
            network.zero_grad()
            logits = run(batch)
            logits.square().sum().backward()
            results.append([logits.detach(), *(p.grad for p in network.parameters() if p.grad is not None)])
        assert len(results[0]) > 1
        for ours, plain in zip(*results, strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-9)
    assert torch.equal(batch, given)


def test_an_activation_behind_an_identity_leaves_the_callers_image_and_other_readers_values_alone() -> None:
    builder = GraphBuilder((3, 4, 4))
    x = builder.add("conv", "conv", 0, out_channels=3)
    for source in (0, x):
        norm = builder.add("norm", f"norm{source}", source)
        act = builder.add("act", f"act{source}", norm)
    builder.add("add", "sum", x, act)
    network = NetworkModule(builder.graph()).eval()
    network.norm0 = network.norm1 = nn.Identity()
    image = images()[:, :, :4, :4].contiguous()
    before, conv = image.clone(), outputs(network.conv, image)
    assert torch.equal(outputs(network, image), conv + conv.relu())
    assert torch.equal(image, before)


def test_a_name_in_place_of_a_layer_is_refused_in_one_line_that_names_the_layer() -> None:
    network = small()
    network.head = nn.Linear(12, 3)
    with pytest.raises(ArchitectureError, match=r"no layer 'head\.linear'") as caught:
        network(images())
    assert "\n" not in str(caught.value)


def test_a_copy_with_a_new_head_leaves_the_original_as_it_was() -> None:
    network = small()
    before = outputs(network)
    copied = copy.deepcopy(network)
    copied.head.linear = nn.Linear(copied.head.linear.in_features, 3)
    assert outputs(copied).shape == (4, 3)
    assert torch.equal(outputs(network), before)


# Tools that change modules --------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:torch.ao.quantization is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor, torch.quantize_per_channel:UserWarning")
def test_dynamic_quantisation_runs_the_quantised_head() -> None:
    network = small()
    features: list[Tensor] = []
    network.head.linear.register_forward_pre_hook(lambda module, given: features.append(given[0]))
    expected = outputs(network)
    quantised = torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    assert torch.equal(outputs(quantised), outputs(quantised.head.linear, features[0]))
    assert 0 < (outputs(quantised) - expected).abs().max() < 0.05 * expected.abs().max()


def test_converted_batch_norms_are_the_ones_that_run_and_fold() -> None:
    network = small()
    expected, norms = outputs(network), [op.name for op in network.graph.operations if op.kind == "norm"]
    network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    folded = fold(network)
    assert not any(isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm) for module in folded.modules())
    torch.testing.assert_close(outputs(folded), expected, rtol=1e-5, atol=1e-5)
    ran = []
    for name in norms:
        network.layer(name).register_forward_hook(lambda module, given, result: ran.append(type(module)))
    torch.testing.assert_close(outputs(network), expected)
    assert ran == len(norms) * [nn.SyncBatchNorm]


def test_fused_convolutions_keep_the_outputs() -> None:
    network = small()
    expected = outputs(network)
    fused = torch.ao.quantization.fuse_modules(network, [["stem.conv", "stem.norm"]])
    fused.stage1.transition.conv = fuse_conv_bn_eval(fused.stage1.transition.conv, fused.stage1.transition.norm)
    fused.stage1.transition.norm = nn.Identity()
    assert isinstance(fused.stem.norm, nn.Identity)
    torch.testing.assert_close(outputs(fused), expected, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        fused.stem.conv.bias.add_(1)
    assert not torch.allclose(outputs(fused), expected, rtol=1e-2)


class Zero(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return torch.zeros_like(weight)


def test_parametrized_pruned_and_normalised_weights_are_the_ones_that_run() -> None:
    """Also in layers that were replaced and in copies."""
    network = small()
    head = network.head.linear = nn.Linear(network.head.linear.in_features, 3)
    expected = outputs(network)
    parametrizations.weight_norm(head)
    torch.testing.assert_close(outputs(network), expected)
    with torch.no_grad():
        head.parametrizations.weight.original0.mul_(2)  # the lengths of the rows
    torch.testing.assert_close(outputs(network) - head.bias, 2 * (expected - head.bias))
    torch.nn.utils.parametrize.register_parametrization(head, "weight", Zero())
    assert torch.equal(outputs(network), head.bias.detach().expand(4, 3))
    prune.l1_unstructured(network.stem.conv, "weight", 1.0)
    ran = []
    network.stem.conv.register_forward_hook(lambda module, given, result: ran.append(result))
    outputs(network)
    assert not ran[0].any()


# Hooks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", sorted(IN_PLACE_ACTIVATIONS))
@pytest.mark.parametrize("norm", ["after", "before"])
def test_a_hook_sees_each_layers_result_and_keeps_it_as_it_was(activation: str, norm: NormOrder) -> None:
    """No activation and no sum overwrites what a hook holds."""
    network = small(activation, norm)
    expected = outputs(network)
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    layers = [op.name for op in network.graph.operations if op.kind in ("conv", "norm", "linear")]
    for name in layers:
        network.layer(name).register_forward_hook(
            lambda module, given, result, name=name: seen.update({name: (result, result.clone())})
        )
    assert torch.equal(outputs(network), expected)
    assert list(seen) == layers
    assert all(torch.equal(held, as_it_was) for held, as_it_was in seen.values())


def test_the_result_of_a_new_layers_hook_takes_the_place_of_the_layers() -> None:
    network = small()
    network.stem.conv = copy.deepcopy(network.stem.conv)
    network.stem.conv.register_forward_hook(lambda module, given, result: 2 * result)
    expected = small()
    with torch.no_grad():
        expected.stem.conv.weight.mul_(2)
    torch.testing.assert_close(outputs(network), outputs(expected))


@pytest.mark.parametrize("activation", sorted(IN_PLACE_ACTIVATIONS))
def test_backward_hooks_fire_on_every_layer_and_change_no_gradient(activation: str) -> None:
    plain, hooked = small(activation).train(), small(activation).train()
    layers = [op.name for op in plain.graph.operations if op.kind in ("conv", "norm", "linear")]
    fired = []
    for name in layers:
        hooked.layer(name).register_full_backward_hook(lambda *given, name=name: fired.append(name))
        hooked.layer(name).register_full_backward_pre_hook(lambda *given, name=name: fired.append(name))
    for network in (plain, hooked):
        network(images().requires_grad_()).square().sum().backward()
    assert sorted(fired) == sorted(2 * layers)
    for one, other in zip(plain.parameters(), hooked.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


# Saved and loaded -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_any_network_is_pickled_and_gives_the_same_outputs(seed: int) -> None:
    network = NetworkModule(wire(random_architecture(random.Random(seed)))).eval()
    randomise(network)
    batch = torch.randn(2, *network.graph.operations[0].shape)
    for one in (network, fold(network)):
        loaded = pickle.loads(pickle.dumps(one))
        assert torch.equal(outputs(loaded, batch), outputs(one, batch))
        assert loaded.graph == one.graph


def test_saved_networks_with_new_heads_load_in_a_fresh_process(tmp_path: Path) -> None:
    networks = [small(activation) for activation in ACTIVATIONS]
    for network in networks:
        network.head.linear = nn.Linear(network.head.linear.in_features, 3)
    torch.save((networks, images(), [outputs(network) for network in networks]), tmp_path / "saved.pt")
    code = (
        "import torch\ntorch.set_num_threads(1)\n"
        "networks, images, expected = torch.load('saved.pt', weights_only=False)\n"
        "with torch.no_grad():\n    print([torch.equal(one(images), it) for one, it in zip(networks, expected)])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, f"{len(networks) * [True]}\n"), run.stderr


def test_a_loaded_network_is_trained_on_like_the_one_that_was_saved() -> None:
    network = small().train()
    stream = io.BytesIO()
    torch.save(network, stream)
    loaded = torch.load(io.BytesIO(stream.getvalue()), weights_only=False)
    for one in (network, loaded):
        one(images()).square().sum().backward()
        torch.optim.SGD(one.parameters(), lr=0.1).step()
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in network.state_dict().items())


# Compiled and traced --------------------------------------------------------------------------------------------------


def altered() -> NetworkModule:
    """With a new head, an identity for a norm, and a hook that changes a result."""
    network = small()
    network.head.linear = nn.Linear(network.head.linear.in_features, 3)
    network.stem.norm = nn.Identity()
    network.stage1.transition.conv.register_forward_hook(lambda module, given, result: 2 * result)
    return network


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_compiles_in_one_graph_and_again_once_it_is_changed(backend: str) -> None:
    torch.compiler.reset()
    network = small()
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    torch.testing.assert_close(outputs(compiled), outputs(network))
    network.head.linear = nn.Linear(network.head.linear.in_features, 3)
    network.stem.norm = nn.Identity()
    assert outputs(compiled).shape == (4, 3)
    torch.testing.assert_close(outputs(compiled), outputs(network))
    network.train()
    compiled(images()).square().sum().backward()
    assert network.head.linear.weight.grad.abs().max() > 0


def test_a_network_with_a_hook_compiles_in_one_graph() -> None:
    torch.compiler.reset()  # torch takes a module for one without hooks that it compiled before
    network = altered()
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    assert outputs(compiled).shape == (4, 3)
    torch.testing.assert_close(outputs(compiled), outputs(network))


TRACERS: dict[str, Callable[[NetworkModule], Any]] = {
    "fx": torch.fx.symbolic_trace,
    "export": lambda network: torch.export.export(network, (images(),)).module(),
    "export, strict": lambda network: torch.export.export(network, (images(),), strict=True).module(),
    "jit": lambda network: torch.jit.trace(network, images()),
}


@pytest.mark.filterwarnings("ignore:.torch.jit.trace:FutureWarning")
@pytest.mark.filterwarnings("ignore:.torch.jit.trace:DeprecationWarning")
@pytest.mark.parametrize("tracer", TRACERS)
def test_what_is_traced_is_the_changed_network(tracer: str) -> None:
    network = altered()
    traced = TRACERS[tracer](network)
    assert outputs(traced).shape == (4, 3)
    torch.testing.assert_close(outputs(traced), outputs(network))


# Folded ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_folding_a_changed_network_keeps_its_outputs(seed: int) -> None:
    network = changed(seed).eval()
    batch = torch.randn(2, *network.graph.operations[0].shape).double()
    expected = outputs(network, batch)
    torch.testing.assert_close(outputs(fold(network), batch), expected, rtol=1e-6, atol=1e-6)
    assert torch.equal(outputs(network, batch), expected)


def test_folding_takes_what_the_norm_says_now_and_carries_hooks_over() -> None:
    network = small()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.5
    torch.testing.assert_close(outputs(fold(network)), outputs(network), rtol=1e-5, atol=1e-5)
    network.stem.norm.register_forward_hook(lambda module, given, result: 3 * result)
    network.register_forward_hook(lambda module, given, result: result + 1)
    torch.testing.assert_close(outputs(fold(network)), outputs(network), rtol=1e-5, atol=1e-5)


def test_folding_weights_that_a_hook_computes_is_refused_until_they_are_parameters() -> None:
    network = small()
    prune.l1_unstructured(network.stem.conv, "weight", 0.5)
    expected = network(images()).detach()
    with pytest.raises(ArchitectureError, match=r"prune\.remove") as caught:
        fold(network)
    assert "\n" not in str(caught.value)
    prune.remove(network.stem.conv, "weight")
    torch.testing.assert_close(outputs(fold(network)), expected, rtol=1e-5, atol=1e-5)
