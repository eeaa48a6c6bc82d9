"""The reference networks compute what the implementations compute whose names they bear: torchvision's, timm's, and the
authors' Darknet files, read here layer by layer. The weights are the same, mapped by order and shape.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
import torchvision
from darknet_files import DARKNET, Layer
from random_architectures import randomise
from torch import Tensor, nn
from torch.nn import functional

from cspnas.documents.architecture_file import find_architecture, read_architecture
from cspnas.network.architecture import Architecture
from cspnas.network.wiring import wire
from cspnas.training.module import NetworkModule

SIZE = 64
WITH_WEIGHTS = (nn.Conv2d, nn.BatchNorm2d, nn.Linear)


def reference(name: str) -> Architecture:
    """The reference network on a small image."""
    architecture = read_architecture(find_architecture(name)).architecture
    return replace(architecture, input_shape=(3, SIZE, SIZE))


def our_layers(network: NetworkModule) -> dict[str, Any]:
    """Name to layer of those with weights, in running order."""
    return {op.name: network.layer(op.name) for op in network.graph.operations if op.kind in ("conv", "norm", "linear")}


def their_layers(network: nn.Module) -> list[Any]:
    """Layers with weights, in the order in which they were made."""
    return [module for module in network.modules() if isinstance(module, WITH_WEIGHTS)]


def prepare(network: nn.Module) -> nn.Module:
    """Random norms, their statistics those of a random batch: else an image's trace is lost in a deep random network."""
    randomise(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1
    with torch.no_grad():
        network.train()(torch.randn(4, 3, SIZE, SIZE))
    return network.eval()


def error(ours: Tensor, theirs: Tensor) -> float:
    """Greatest difference over the outputs' scale; the two images' outputs must differ, or nothing was compared."""
    scale = float(theirs.abs().max())
    assert float((theirs[0] - theirs[1]).abs().max()) > 0.1 * scale
    return float((ours - theirs).abs().max()) / scale


def parity(name: str, theirs: nn.Module, permutations: dict[str, Tensor] | None = None) -> float:
    """The error of our `name` against `theirs`, both with random weights and statistics.

    `permutations` say, by our layer's name, in which order their output channels (or, for a transition, their input
    channels) are ours.
    """
    prepare(theirs)
    network = NetworkModule(wire(reference(name))).eval()
    layers = our_layers(network)
    for (key, our), their in zip(layers.items(), their_layers(theirs), strict=True):
        state = dict(their.state_dict())
        order = (permutations or {}).get(key)
        if order is not None:
            dim = 1 if key.endswith("transition.conv") else 0
            state = {k: v.index_select(dim, order) if v.dim() else v for k, v in state.items()}
        our.load_state_dict(state)
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        return error(network(images), theirs(images))


@pytest.mark.parametrize("name", ["densenet121", "densenet201", "resnet50", "resnext50_32x4d"])
def test_outputs_are_those_of_torchvision(name: str) -> None:
    assert parity(name, torchvision.models.get_model(name)) < 1e-4


@pytest.mark.parametrize("name", ["cspresnet50", "cspresnext50", "cspdarknet53", "cs3darknet_m"])
def test_outputs_are_those_of_timm(name: str) -> None:
    """timm concatenates [part 1, block], we [block, part 1]; in `cs3` it sends the first half through the block."""
    orders = {}
    for number, stage in enumerate(reference(name).stages, start=1):
        assert stage.csp is not None
        half, whole = stage.csp.part1, stage.csp.part1 + stage.csp.part2
        turned = torch.cat([torch.arange(half, whole), torch.arange(half)])
        if stage.csp.fusion == "both":
            orders[f"stage{number}.transition.conv"] = turned
        else:
            orders |= {f"stage{number}.expand.{part}": turned for part in ("conv", "norm")}
    assert parity(name, timm.create_model(name), orders) < 1e-4


# The authors' files: layers as Darknet has them, relative indices and all -------------------------------------------


def run_darknet(layers: list[Layer], weights: list[Any], image: Tensor) -> Tensor:
    """What Darknet computes from `layers`; `weights` are the convolutions (or the linear layer) and norms in order."""
    outputs: list[Tensor] = []
    source = iter(weights)
    for kind, *arguments in layers:
        x = outputs[-1] if outputs else image
        if kind == "conv":
            x = _darknet_conv(x, source, *arguments)
        elif kind == "maxpool":
            x = functional.max_pool2d(x, *arguments)
        elif kind == "avgpool":
            x = x.mean((2, 3), keepdim=True)
        elif kind == "route":
            x = torch.cat([outputs[index] for index in arguments], 1)
        else:
            x = _darknet_shortcut(x, outputs[arguments[0]], arguments[1])
        outputs.append(x)
    assert next(source, None) is None
    return outputs[-1].flatten(1)


def _darknet_conv(
    x: Tensor, weights: Any, filters: int, size: int, stride: int, groups: int, slope: float, norm: bool
) -> Tensor:
    layer = next(weights)
    weight = layer.weight.view(filters, x.shape[1] // groups, size, size)
    x = functional.conv2d(x, weight, layer.bias, stride, size // 2, groups=groups)
    if norm:
        n = next(weights)
        x = functional.batch_norm(x, n.running_mean, n.running_var, n.weight, n.bias)
    return torch.where(x > 0, x, slope * x)


def _darknet_shortcut(x: Tensor, other: Tensor, slope: float) -> Tensor:
    """Adds the channels that both have, at every stride-th position of the other."""
    common, stride = min(x.shape[1], other.shape[1]), other.shape[2] // x.shape[2]
    total = torch.cat([x[:, :common] + other[:, :common, ::stride, ::stride], x[:, common:]], 1)
    return torch.where(total > 0, total, slope * total)


def in_file_order(layers: dict[str, Any]) -> list[Any]:
    """Our layers, each stage's part 1 before its part 2 as in the files."""
    names = list(layers)
    for late in [name for name in names if ".part1." in name]:
        names.remove(late)
        names.insert(names.index(late.replace("part1.", "part2.").replace("norm", "conv")), late)
    return [layers[name] for name in names]


@pytest.mark.parametrize("name", DARKNET)
def test_outputs_are_those_of_darknet(name: str) -> None:
    network = NetworkModule(wire(reference(name)))
    prepare(network)
    images = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad():
        theirs = run_darknet(DARKNET[name], in_file_order(our_layers(network)), images)
        assert error(network(images), theirs) < 1e-4
