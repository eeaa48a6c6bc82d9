"""An architecture as a frozen value: input shape, classes and resolved widths, nothing derived and nothing without effect.

Files are checked against the bounds of the fields, and described by the words beside them (`documents.schema`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from annotated_types import Interval, MaxLen, MinLen

from cspnas.io.bounds import Depth, Share, Width

Fusion = Literal["first", "last", "both"]
SplitKind = Literal["slice", "project", "expand"]
Taps = Literal["last", "all"]
Shortcut = Literal["project", "common"]
NormOrder = Literal["after", "before"]
# In files; a value built in Python may have any.
Stride = Annotated[int, Literal[1, 2, 4]]
Activation = Literal["relu", "leaky_relu", "silu", "mish", "hardswish", "gelu"]

FUSIONS: tuple[Fusion, ...] = ("first", "last", "both")
SPLIT_KINDS: tuple[SplitKind, ...] = ("slice", "project", "expand")


@dataclass(frozen=True, slots=True)
class Csp:
    """The Cross Stage Partial wiring of a stage (CSPNet, section 3.1).

    `part1` channels are routed around the block, `part2` channels go through it. `t1` is the width of the transition on
    the block's side (`last`, `both`); fusion `first` has none. `split`: `slice` cuts the input's channels, `project` makes
    each part by a 1x1 convolution, `expand` makes both by one and cuts its result; `linear`: those convolutions have no
    activation. `taps`: what a residual block hands to the fusion, its `last` output or `all` of them with part 2 (C2f).
    """

    fusion: Fusion
    part1: Width
    part2: Width
    t1: Width | None = None
    split: SplitKind = "slice"
    linear: bool = False
    taps: Taps = "last"


@dataclass(frozen=True, slots=True)
class Downsample:
    """A layer before the stage: `conv` is 3x3 with `stride`, `average` a mean pool of `stride` and a 1x1 convolution."""

    width: Width
    stride: Stride = 2
    kind: Literal["conv", "average"] = "conv"
    groups: Width = 1


@dataclass(frozen=True, slots=True)
class Stage:
    """`depth` layers or blocks of the architecture's family, `bottleneck` channels wide inside.

    Dense families: each layer adds `growth_rate` channels; a `transition` to `out`; `pool` halves the resolution at the
    stage's end, after the transition or, with `pool_first`, before it. Residual families: each block gives `width`
    channels, its 3x3 convolution has `groups`; the first has `stride` and, where its shape changes, a `shortcut` that is
    projected or adds the channels both have in common (Darknet). A plain residual stage has no transition: `out` = `width`.
    """

    depth: Depth
    growth_rate: Width | None
    bottleneck: Width
    out: Width
    pool: bool = False
    csp: Csp | None = None
    pool_first: bool = False
    transition: bool = True
    width: Width | None = None
    groups: Width = 1
    stride: Stride = 1
    shortcut: Shortcut = "project"
    downsample: Downsample | None = None

    @property
    def kind(self) -> Literal["dense", "residual"]:
        """Of its family's stages."""
        return "residual" if self.growth_rate is None else "dense"

    @property
    def size(self) -> int:
        """What the family's gene of size gives: the growth rate, or the output width."""
        return self.growth_rate or self.out


@dataclass(frozen=True, slots=True)
class Stem:
    """What comes before the first stage: `kernel` x `kernel` convolutions, the first with `stride`, `hidden` wide and the
    last `channels` wide, then a max pool of size `pool` and stride 2 (0: none). Kind `pelee` is PeleeNet's stem block:
    a convolution of `channels`, then a max pool and a strided branch side by side, and a 1x1 convolution of both to
    `channels`; with `fuse` off that of CSPPeleeNet, which has it in the pooled branch instead and gives twice as many.
    """

    channels: Annotated[Width, "output channels of its convolutions"]
    kernel: Annotated[Literal[1, 3, 5, 6, 7], "height and width of the filters"] = 3
    stride: Annotated[Stride, "of the first convolution"] = 1
    kind: Annotated[
        Literal["conv", "pelee"], "conv: convolutions in a row; pelee: PeleeNet's two branches, stride 4"
    ] = "conv"
    hidden: Annotated[tuple[Width, ...], MaxLen(8), "convolutions before the last one (deep stem)"] = ()
    pool: Annotated[Literal[0, 2, 3], "max pool of this size and stride 2 at the end; 0: none"] = 0
    fuse: Annotated[bool, "pelee: a 1x1 convolution over both branches; false: in the pooled branch, twice as wide"] = (
        True
    )

    @property
    def label(self) -> str:
        """A short name that tells two stems apart: `3x3/2-8`, `7x7/2-64+max3`, `pelee-32`."""
        if self.kind == "pelee":
            return f"pelee-{self.channels}" + ("" if self.fuse else "x2")
        widths = "-".join(map(str, (*self.hidden, self.channels)))
        return f"{self.kernel}x{self.kernel}/{self.stride}-{widths}" + (f"+max{self.pool}" if self.pool else "")

    @property
    def out_channels(self) -> int:
        """Channels that the first stage gets."""
        return 2 * self.channels if self.kind == "pelee" and not self.fuse else self.channels


@dataclass(frozen=True, slots=True)
class Architecture:
    """`input_shape` is (channels, height, width) of one image. `norm`: `after` the convolution (conv, norm, activation)
    or `before` it (norm, activation, convolution). `head`: `linear` pools, then classifies; `conv` classifies each
    position by a 1x1 convolution, then pools. `negative_slope` is that of leaky_relu.
    """

    family: str
    input_shape: tuple[Width, Width, Width]
    classes: Annotated[int, Interval(ge=1, le=10_000_000)]
    stem: Stem
    stages: Annotated[tuple[Stage, ...], MinLen(1)]
    activation: Activation = "relu"
    norm: NormOrder = "after"
    head: Literal["linear", "conv"] = "linear"
    negative_slope: Share = 0.1


class Piece(NamedTuple):
    """A part of a network with one value in and one out: its name (`stem`, `stageN`, `head`) and what says its layers, which
    of the head is the number of classes.
    """

    name: str
    part: Stem | Stage | int


def pieces(architecture: Architecture) -> tuple[Piece, ...]:
    """The stem, each stage and the head, in running order."""
    stages = [Piece(f"stage{number}", stage) for number, stage in enumerate(architecture.stages, start=1)]
    return (Piece("stem", architecture.stem), *stages, Piece("head", architecture.classes))
