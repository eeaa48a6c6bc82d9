"""Random architectures and an independent reading of a graph: helpers that several test files share."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import (
    FUSIONS,
    SPLIT_KINDS,
    Architecture,
    Csp,
    Downsample,
    Stage,
    Stem,
)
from cspnas.network.families import FAMILIES
from cspnas.network.graph import Graph
from cspnas.network.operations import ACTIVATIONS
from cspnas.network.wiring import wire
from cspnas.space.stage_resolution import dense_stage

if TYPE_CHECKING:
    import random

    from cspnas.training.module import NetworkModule


def random_architecture(rng: random.Random) -> Architecture:
    """A dense architecture that can be wired: 2 to 4 stages, plain and CSP mixed; impossible draws are drawn again."""
    while True:
        try:
            architecture = _draw(rng)
            wire(architecture)
        except ArchitectureError:
            continue
        return architecture


def _draw(rng: random.Random) -> Architecture:
    size = rng.choice((28, 32))
    stem = Stem(rng.randint(2, 24), kernel=rng.choice((1, 3, 5)), stride=rng.choice((1, 2)))
    stages: list[Stage] = []
    channels = stem.channels
    for _ in range(rng.choice((2, 2, 2, 3, 4))):
        csp = rng.random() < 0.75
        stages.append(
            dense_stage(
                channels,
                depth=rng.choice((1, 1, 1, 2, 3)),
                growth_rate=rng.randint(1, 12),
                bottleneck_ratio=rng.choice((0.5, 1.0, 2.0, 4.0)),
                compression=rng.choice((0.25, 0.5, 0.75, 1.0)),
                pool=rng.random() < 0.6,
                split_ratio=rng.choice((0.125, 0.25, 0.5, 0.75)) if csp else None,
                fusion=rng.choice(FUSIONS) if csp else None,
            )
        )
        channels = stages[-1].out
    shape = (rng.choice((1, 3)), size, size)
    return Architecture("densenet", shape, rng.choice((2, 10, 100)), stem, tuple(stages), rng.choice(ACTIVATIONS))


# Any architecture: wider than every search space, widths set freely ------------------------------------------------


def wide_architecture(rng: random.Random) -> Architecture:
    """An architecture of any family that can be wired: every field of every part drawn; impossible draws drawn again."""
    while True:
        try:
            architecture = _draw_wide(rng)
            wire(architecture)
        except ArchitectureError:
            continue
        return architecture


def _draw_wide(rng: random.Random) -> Architecture:
    family = rng.choice(tuple(FAMILIES))
    stem = _draw_stem(rng)
    stages: list[Stage] = []
    channels = stem.out_channels
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        downsample = _draw_downsample(rng, channels) if rng.random() < 0.4 else None
        channels = downsample.width if downsample else channels
        draw = _draw_dense_stage if FAMILIES[family].kind == "dense" else _draw_residual_stage
        stages.append(replace(draw(rng, channels, family), downsample=downsample))
        channels = stages[-1].out
    activation = rng.choice(ACTIVATIONS)
    return Architecture(
        family,
        (rng.randint(1, 4), rng.randint(8, 40), rng.randint(8, 40)),
        rng.randint(1, 20),
        stem,
        tuple(stages),
        activation,
        norm=rng.choice(("after", "after", "before")),
        head=rng.choice(("linear", "conv")),
        negative_slope=rng.choice((0.1, 0.01)) if activation == "leaky_relu" else 0.1,
    )


def _draw_stem(rng: random.Random) -> Stem:
    if rng.random() < 0.25:
        return Stem(rng.randint(1, 12), kind="pelee", fuse=rng.random() < 0.5)
    hidden = tuple(rng.randint(1, 12) for _ in range(rng.choice((0, 0, 0, 1, 2))))
    kernel, stride = rng.choice((1, 3, 5, 6, 7)), rng.choice((1, 2, 4))
    return Stem(rng.randint(1, 24), kernel, stride, hidden=hidden, pool=rng.choice((0, 0, 2, 3)))


def _draw_downsample(rng: random.Random, channels: int) -> Downsample:
    groups = rng.choice([g for g in (1, 1, 2, 4) if channels % g == 0])
    return Downsample(groups * rng.randint(1, 16), rng.choice((1, 2, 3)), rng.choice(("conv", "average")), groups)


def _draw_csp(rng: random.Random, channels: int, taps: bool) -> tuple[Csp, int | None]:
    """The wiring, and the output width that it dictates, if it does."""
    split = rng.choice(SPLIT_KINDS)
    part1, part2 = rng.randint(1, 16), rng.randint(1, 16)
    if split == "slice":
        part1 = rng.randint(1, max(1, channels - 1))
        part2 = channels - part1
    fusion = rng.choice(FUSIONS)
    t1 = None if fusion == "first" else rng.randint(1, 24)
    linear = split != "slice" and rng.random() < 0.4
    csp = Csp(fusion, part1, part2, t1, split, linear, rng.choice(("last", "all")) if taps else "last")
    return csp, t1 + part1 if fusion == "last" and t1 is not None else None


def _draw_dense_stage(rng: random.Random, channels: int, family: str) -> Stage:
    depth, growth_rate = rng.choice((1, 1, 2, 3)), rng.randint(1, 12)
    csp, out = _draw_csp(rng, channels, taps=False) if rng.random() < 0.7 else (None, None)
    transition = csp is not None or rng.random() < 0.7
    if not transition:
        out = channels + depth * growth_rate
    pool = rng.random() < 0.5
    first = pool and transition and (csp is None or csp.fusion != "last") and rng.random() < 0.5
    return Stage(depth, growth_rate, rng.randint(1, 24), out or rng.randint(1, 24), pool, csp, first, transition)


def _draw_residual_stage(rng: random.Random, channels: int, family: str) -> Stage:
    groups = rng.choice((1, 1, 1, 2, 3))
    bottleneck = groups * rng.randint(1, 6)
    width = rng.choice((channels, rng.randint(1, 24), groups * rng.randint(1, 12)))
    csp, out = _draw_csp(rng, channels, taps=True) if rng.random() < 0.7 else (None, width)
    if csp is not None and rng.random() < 0.6:
        width = csp.part2
    pool = rng.random() < 0.2
    first = pool and csp is not None and csp.fusion != "last" and rng.random() < 0.5
    return Stage(
        depth=rng.choice((1, 1, 2, 3)),
        growth_rate=None,
        bottleneck=bottleneck,
        out=out or rng.randint(1, 24),
        pool=pool,
        csp=csp,
        pool_first=first,
        width=width,
        groups=groups,
        stride=1 if csp is not None else rng.choice((1, 1, 2)),
        shortcut=rng.choice(("project", "common")),
    )


def randomise(network: NetworkModule) -> None:
    """Weights, biases and running statistics as no fresh network has them, so that a forgotten one shows."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)


def run_without_reuse(graph: Graph, network: NetworkModule, image: Tensor) -> Tensor:
    """The output of `graph` with the layers of `network`: every value a tensor of its own, kept to the end."""
    activations = {
        "relu": lambda x: x.clamp(min=0),
        "leaky_relu": lambda x: torch.where(x > 0, x, 0.1 * x),
        "silu": lambda x: x * torch.sigmoid(x),
        "mish": lambda x: x * torch.tanh(nn.functional.softplus(x)),
        "hardswish": lambda x: x * (x + 3).clamp(0, 6) / 6,
        "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    }
    values = [image]
    for operation in graph.operations[1:]:
        read = [values[index] for index in operation.inputs]
        match operation.kind:
            case "conv" | "norm" | "linear":
                value = network.get_submodule(operation.name)(read[0])
            case "act":
                value = activations[operation["function"]](read[0])
            case "add":
                value = torch.stack(read).sum(0)
            case "concat":
                value = torch.cat(read, 1)
            case "slice":
                value = read[0].narrow(1, operation["start"], operation["stop"] - operation["start"]).clone()
            case "flatten":
                value = read[0].reshape(len(image), -1).clone()
            case "pool" if operation["function"] == "global_avg":
                value = read[0].mean((2, 3), keepdim=True)
            case "pool":
                pool = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[operation["function"]]
                value = pool(operation["kernel"], operation["stride"], operation["padding"])(read[0])
            case kind:
                raise AssertionError(f"no reading of {kind}")
        values.append(value)
    return values[graph.output]
