"""From genes to resolved widths: the rounding rules of split ratio, bottleneck and compression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import floor
from typing import Any

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture, Csp, Downsample, Fusion, Shortcut, SplitKind, Stage, Taps
from cspnas.network.families import Family


def _floor(value: float) -> int:
    """floor; the tiny term keeps a product that is whole in exact arithmetic (.7 * 45 + .5) from falling below it."""
    return floor(value + 1e-9)


def split(channels: int, split_ratio: float) -> tuple[int, int]:
    """(part1, part2) of `channels`: part1 = floor(split_ratio * channels + 1/2) go around the block.

    Raises ArchitectureError where a part would be empty.
    """
    part1 = _floor(split_ratio * channels + 0.5)
    if not 0 < part1 < channels:
        raise ArchitectureError(
            f"split_ratio {split_ratio:g} of {channels} channels, which routes {part1} of them around the block",
            expected="both parts to keep a channel",
            hint="widen the stage's input or change the ratio",
        )
    return part1, channels - part1


def scaled(ratio: float, channels: int) -> int:
    """`ratio` times `channels` in whole channels, at least 1: the width inside a layer or block, say."""
    return max(1, _floor(ratio * channels + 0.5))


def resolve_stage(family: Family, channels: int, genes: Mapping[str, Any], *, first: bool, last: bool) -> Stage:
    """The stage that a stage's genes, by name, give on an input of `channels`; `first` and `last`: its place.

    Raises ArchitectureError where they give none.
    """
    sizes = {**genes, "split_by": genes["split"]}
    csp, pool, _ = sizes.pop("csp"), sizes.pop("pool", "after"), sizes.pop("split")
    if not csp:
        sizes["split_ratio"] = sizes["fusion"] = None
    if family.kind == "dense":
        return dense_stage(channels, pool=not last, pool_first=pool == "before", **sizes)
    stage = residual_stage(channels, **{"stride": 1 if first else 2, **sizes})
    if family.grouped_output and stage.width is not None and stage.width % stage.groups:
        raise ArchitectureError(
            f"{stage.groups} groups for blocks of {stage.width} channels",
            expected="groups that divide the channels",
        )
    return stage


def dense_stage(
    channels: int,
    *,
    depth: int,
    growth_rate: int,
    bottleneck_ratio: float,
    compression: float,
    pool: bool,
    split_ratio: float | None = None,
    fusion: Fusion | None = None,
    split_by: SplitKind = "slice",
    pool_first: bool = False,
) -> Stage:
    """The dense stage that these genes give on an input of `channels`; `split_ratio` None is the plain stage.

    Every fusion and the plain stage have the same output width floor(compression * (channels + depth * growth_rate)), so
    that they are compared at equal width. Raises ArchitectureError for an empty part or a transition with no channel.
    """
    out = _floor(compression * (channels + depth * growth_rate))
    if out < 1:
        raise ArchitectureError(
            f"compression {compression:g}, which leaves no channel of {channels + depth * growth_rate}",
            expected="an output of at least 1 channel",
        )
    csp = None
    if split_ratio is not None and fusion is not None:
        part1, part2 = split(channels, split_ratio)
        csp = Csp(fusion, part1, part2, _t1(fusion, part1, part2 + depth * growth_rate, out), split_by)
    pool_first = pool and pool_first and fusion != "last"
    bottleneck = scaled(bottleneck_ratio, growth_rate)
    return Stage(depth, growth_rate, bottleneck, out, pool, csp, pool_first)


def residual_stage(
    channels: int,
    *,
    depth: int,
    width: int,
    bottleneck_ratio: float,
    groups: int = 1,
    stride: int = 1,
    split_ratio: float | None = None,
    fusion: Fusion | None = None,
    split_by: SplitKind = "project",
    taps: Taps = "last",
    down_growth: bool = True,
    down_grouped: bool = False,
    expand_ratio: float = 1.0,
    block_ratio: float = 1.0,
    cross_linear: bool = False,
    shortcut: Shortcut = "project",
) -> Stage:
    """The residual stage that these genes give on `channels`: a 3x3 convolution (where `stride` is not 1 or the width
    changes), then `depth` blocks, on part 2 alone where the stage is CSP.

    With the other genes at their defaults, plain and CSP stages have the same downsampling and the same output width, so
    that CSP is compared at equal depth, width and order. Raises ArchitectureError for an empty part, a transition with no
    channel or groups that do not divide.
    """
    entry = width if down_growth else channels
    downsample = None
    if stride > 1 or channels != entry:
        downsample = Downsample(entry, stride, groups=groups if down_grouped else 1)
        _check_groups(downsample.groups, "a downsampling convolution", channels, entry)
    if split_ratio is None or fusion is None:
        block, keeps, csp = width, width == entry, None
    else:
        sliced = split_by == "slice"
        part1, part2 = split(entry if sliced else scaled(expand_ratio, width), split_ratio)
        block = scaled(block_ratio, part2)
        side = part2 + depth * block if taps == "all" else block
        linear, keeps = cross_linear and not sliced, block == part2
        csp = Csp(fusion, part1, part2, _t1(fusion, part1, side, width), split_by, linear, taps)
    bottleneck = scaled(bottleneck_ratio, block)
    _check_groups(groups, "a bottleneck", bottleneck)
    # Where blocks keep their shape, how a shortcut would be fitted has no effect.
    fitted: Shortcut = "project" if keeps else shortcut
    return Stage(
        depth, None, bottleneck, width, csp=csp, width=block, groups=groups, shortcut=fitted, downsample=downsample
    )


def _check_groups(groups: int, noun: str, *channels: int) -> None:
    for width in channels:
        if width % groups:
            raise ArchitectureError(
                f"{groups} groups for {noun} of {width} channels", expected="groups that divide the channels"
            )


def _t1(fusion: Fusion, part1: int, side: int, out: int) -> int | None:
    """Width of the transition on the block's side, which is `side` channels wide."""
    if fusion == "first":
        return None
    t1 = side if fusion == "both" else out - part1
    if t1 < 1:
        raise ArchitectureError(
            f"fusion last with {part1} of {out} output channels routed around the block",
            expected="at least 1 channel left for the transition",
            hint="lower split_ratio or raise compression",
        )
    return t1


def plain_stage(stage: Stage) -> Stage:
    """The same stage without CSP: equal depth, output width, bottleneck width, downsampling and pool order.

    A residual stage's blocks run at the stage's full width, as those of the paper's baselines do: DarkNet-53 is
    CSPDarkNet-53 made plain.
    """
    if stage.csp is None:
        return stage
    if stage.kind == "dense":
        return replace(stage, csp=None)
    return replace(stage, csp=None, width=stage.out, bottleneck=min(stage.bottleneck, stage.out))


def plain_network(architecture: Architecture) -> Architecture:
    """The same network with every stage made plain."""
    return replace(architecture, stages=tuple(map(plain_stage, architecture.stages)))
