"""An architecture as a frozen value: input shape, classes and resolved widths, nothing derived and nothing without effect."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import Literal

from cspnas.errors import ArchitectureError

Fusion = Literal["first", "last", "both"]
FUSIONS: tuple[Fusion, ...] = ("first", "last", "both")


@dataclass(frozen=True, slots=True)
class Csp:
    """The Cross Stage Partial wiring of a stage (CSPNet, section 3.1), its input split by a channel slice.

    `part1` channels are routed around the block, `part2` channels go through it. `t1` is the width of the transition on
    the block's side (`last`, `both`); fusion `first` has none.
    """

    fusion: Fusion
    part1: int
    part2: int
    t1: int | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """`depth` dense layers, each conv 1x1 to `bottleneck` channels and conv 3x3 to `growth_rate`; a transition to `out`.

    `pool` halves the resolution at the stage's end, after the last transition or concat.
    """

    depth: int
    growth_rate: int
    bottleneck: int
    out: int
    pool: bool
    csp: Csp | None = None


@dataclass(frozen=True, slots=True)
class Stem:
    """One convolution before the first stage: `channels` wide, `kernel` x `kernel`, with `stride`."""

    channels: int
    kernel: int = 3
    stride: int = 1


@dataclass(frozen=True, slots=True)
class Architecture:
    """`input_shape` is (channels, height, width) of one image."""

    family: str
    input_shape: tuple[int, int, int]
    classes: int
    stem: Stem
    stages: tuple[Stage, ...]
    activation: str = "relu"


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
            do="widen the stage's input or change the ratio",
        )
    return part1, channels - part1


def resolve_stage(
    channels: int,
    *,
    depth: int,
    growth_rate: int,
    bottleneck_ratio: float,
    compression: float,
    pool: bool,
    split_ratio: float | None = None,
    fusion: Fusion | None = None,
) -> Stage:
    """The stage that these genes give on an input of `channels`; `split_ratio` None is the plain stage.

    Every fusion and the plain stage have the same output width floor(compression * (channels + depth * growth_rate)), so
    that they are compared at equal width. Raises ArchitectureError for an empty part or a transition with no channel.
    """
    out = _floor(compression * (channels + depth * growth_rate))
    if out < 1:
        raise ArchitectureError(
            f"compression {compression:g}, which leaves no channel of {channels + depth * growth_rate}",
            expected="an output of at least 1 channel",
        )
    bottleneck = max(1, _floor(bottleneck_ratio * growth_rate + 0.5))
    csp = None
    if split_ratio is not None and fusion is not None:
        csp = _resolve_csp(channels, depth * growth_rate, out, split_ratio, fusion)
    return Stage(depth, growth_rate, bottleneck, out, pool, csp)


def _resolve_csp(channels: int, grown: int, out: int, split_ratio: float, fusion: Fusion) -> Csp:
    part1, part2 = split(channels, split_ratio)
    t1 = {"first": None, "last": out - part1, "both": part2 + grown}[fusion]
    if t1 is not None and t1 < 1:
        raise ArchitectureError(
            f"fusion last with {part1} of {out} output channels routed around the block",
            expected="at least 1 channel left for the transition",
            do="lower split_ratio or raise compression",
        )
    return Csp(fusion, part1, part2, t1)
