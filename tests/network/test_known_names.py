"""What an architecture or a graph from an untrusted caller may have wrong is an ArchitectureError, never another one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture, Csp, Downsample, Stage, Stem
from cspnas.network.graph import Graph, GraphBuilder
from cspnas.network.wiring import wire
from cspnas.training.module import NetworkModule

DENSE = Architecture("densenet", (3, 16, 16), 10, Stem(8), (Stage(2, 4, 8, 8, csp=Csp("both", 4, 4, 12)),))
DARK = Architecture("darknet", (3, 16, 16), 10, Stem(8), (Stage(2, None, 4, 8, width=8, downsample=Downsample(8)),))


def staged(architecture: Architecture, **changes: Any) -> Architecture:
    return replace(architecture, stages=(replace(architecture.stages[0], **changes),))


CSP = DENSE.stages[0].csp
assert CSP is not None
WRONG = {
    "family": (replace(DENSE, family="vgg"), "family 'vgg'", ""),
    "activation": (replace(DENSE, activation="tanh"), "activation 'tanh'", "stem.act"),
    "norm": (replace(DENSE, norm="between"), "norm 'between'", ""),
    "head": (replace(DENSE, head="mlp"), "head 'mlp'", ""),
    "stem kind": (replace(DENSE, stem=Stem(8, kind="vit")), "stem 'vit'", ""),
    "fusion": (staged(DENSE, csp=replace(CSP, fusion="middle")), "fusion 'middle'", "stage1"),
    "split": (staged(DENSE, csp=replace(CSP, split="shuffle")), "split 'shuffle'", "stage1"),
    "taps": (staged(DENSE, csp=replace(CSP, taps="some")), "taps 'some'", "stage1"),
    "shortcut": (staged(DARK, shortcut="none"), "shortcut 'none'", "stage1"),
    "downsample": (staged(DARK, downsample=Downsample(8, kind="max")), "downsample 'max'", "stage1"),
    "no channel in the image": (replace(DENSE, input_shape=(0, 16, 16)), "input", ""),
    "no image": (replace(DENSE, input_shape=(3, 0, 16)), "input", ""),
    "no class": (replace(DENSE, classes=0), "0 outputs", "head.linear"),
    "no class of a convolution": (replace(DENSE, classes=0, head="conv"), "0 channels", "head.conv"),
    "stem of no channel": (replace(DENSE, stem=Stem(0)), "0 channels", "stem.conv"),
    "stem without stride": (replace(DENSE, stem=Stem(8, stride=0)), "stride 0", "stem.conv"),
    "stem without kernel": (replace(DENSE, stem=Stem(8, kernel=0)), "kernel 0", "stem.conv"),
    "no layer": (staged(DENSE, depth=0), "depth 0", "stage1"),
    "no block": (staged(DARK, depth=0), "depth 0", "stage1"),
    "no growth": (staged(DENSE, growth_rate=0), "0 channels", "stage1.block.layer1.grow.conv"),
    "negative growth": (staged(DENSE, growth_rate=-4), "-4 channels", "stage1.block.layer1.grow.conv"),
    "no bottleneck": (staged(DENSE, bottleneck=0), "0 channels", "stage1.block.layer1.reduce.conv"),
    "no output": (staged(DENSE, out=0), "0 channels", "stage1.transition.conv"),
    "no width": (staged(DARK, width=0, out=0, bottleneck=0), "0 channels", "stage1"),
    "no group": (staged(DARK, groups=0), "0 groups", "stage1.block.layer1.widen.conv"),
    "groups that do not divide": (staged(DARK, groups=3), "3 groups", "stage1.block.layer1.widen.conv"),
    "downsample to nothing": (staged(DARK, downsample=Downsample(0)), "0 channels", "stage1.downsample.conv"),
    "downsample without stride": (staged(DARK, downsample=Downsample(8, 0)), "stride 0", "stage1.downsample.conv"),
    "no part": (staged(DENSE, csp=replace(CSP, part1=0, part2=8)), "part1 0", "stage1"),
    "no transition": (staged(DENSE, csp=replace(CSP, t1=0)), "0 channels", "stage1.transition1.conv"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_architecture_is_refused_with_its_place(case: str) -> None:
    architecture, found, where = WRONG[case]
    with pytest.raises(ArchitectureError) as error:
        wire(architecture)
    assert found in error.value.found
    assert error.value.where.startswith(where)


def test_the_architectures_that_were_changed_are_right() -> None:
    assert NetworkModule(wire(DENSE))(torch.zeros(2, 3, 16, 16)).shape == (2, 10)
    assert NetworkModule(wire(DARK))(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


# Graphs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("padding", [0, 1, 2, 3])
@pytest.mark.parametrize("function", ["max", "avg"])
def test_a_pool_is_refused_exactly_where_torch_refuses_it(function: str, kernel: int, padding: int) -> None:
    pool = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[function](kernel, 1, padding)
    graph = GraphBuilder((2, 8, 8))
    try:
        shape = tuple(pool(torch.zeros(1, 2, 8, 8)).shape[1:])
    except RuntimeError:
        with pytest.raises(ArchitectureError, match="at most half the kernel"):
            graph.add("pool", "pool", 0, function=function, kernel=kernel, stride=1, padding=padding)
        return
    graph.add("pool", "pool", 0, function=function, kernel=kernel, stride=1, padding=padding)
    assert graph.graph().operations[-1].shape == shape


def test_a_pool_of_an_unknown_function_is_refused() -> None:
    with pytest.raises(ArchitectureError, match="pool 'median'"):
        GraphBuilder((2, 8, 8)).add("pool", "pool", 0, function="median")


def test_a_switch_given_as_a_number_is_the_same_network() -> None:
    graphs = []
    for value in (True, 1):
        builder = GraphBuilder((2, 8, 8))
        builder.add("conv", "conv", 0, out_channels=2, bias=value)
        builder.add("add", "add", 1, 0, common=value)
        graphs.append(builder.graph())
    assert graphs[0].digest() == graphs[1].digest()
    off = GraphBuilder((2, 8, 8))
    off.add("conv", "conv", 0, out_channels=2, bias=0)
    assert off.graph().operations[1].attributes == (("out_channels", 2),)


def graph_of(*names: str) -> Graph:
    builder = GraphBuilder((2, 4, 4))
    for index, name in enumerate(names):
        builder.add("conv", name, index, out_channels=2)
    return builder.graph()


@pytest.mark.parametrize("names", [("a.conv", "a.conv"), ("a", "a"), ("a", "a.conv"), ("a.conv", "a"), ("forward",)])
def test_a_module_refuses_layers_that_share_a_name(names: tuple[str, ...]) -> None:
    with pytest.raises(ArchitectureError, match=r"a name of its own"):
        NetworkModule(graph_of(*names))
    assert len(list(NetworkModule(graph_of("a.conv", "a.norm", "b.conv")).parameters())) == 3
