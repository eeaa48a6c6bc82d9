"""What an architecture's values must fulfil beside what the operations' shapes check: its names are known (it may not come
through a checked file), they describe a network of the family, and none is without effect, so that what a file says is
what is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import get_args

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import (
    FUSIONS,
    SPLIT_KINDS,
    Architecture,
    Csp,
    NormOrder,
    Piece,
    Stage,
    Stem,
    Taps,
    pieces,
)
from cspnas.network.families import Family, family_of, named_by_size
from cspnas.network.operations import check_name

# A network of so many is costed in a second; the deepest that were published have as many.
MOST_LAYERS = 1024
_DEFAULTS = {kind: {f.name: f.default for f in fields(kind)} for kind in (Architecture, Stem, Stage, Csp)}


def check_names(architecture: Architecture) -> None:
    """Raises ArchitectureError for a name that is no choice of its field, for a stage without layers, and as `check_depth`.

    Activations and widths are checked where they are wired.
    """
    check_depth([stage.depth for stage in architecture.stages])
    for piece in pieces(architecture):
        check_piece(architecture, piece)


def check_depth(depths: Sequence[int]) -> None:
    """Raises ArchitectureError for stages that together have more than `MOST_LAYERS` layers or blocks."""
    if sum(depths) > MOST_LAYERS:
        raise ArchitectureError(
            f"{sum(depths):,} layers or blocks in {len(depths):,} stages",
            expected=f"at most {MOST_LAYERS:,} in all",
            where="stages",
            hint="lower depth, or take fewer stages",
        )


def check_piece(architecture: Architecture, piece: Piece) -> None:
    """`check_names` of one stage, or with the stem of the whole network's names."""
    if isinstance(piece.part, Stem):
        family_of(architecture.family)
        check_name("norm", architecture.norm, get_args(NormOrder))
        check_name("head", architecture.head, ("linear", "conv"))
        check_name("stem", architecture.stem.kind, ("conv", "pelee"))
    elif isinstance(piece.part, Stage):
        try:
            _check_stage_names(piece.part)
        except ArchitectureError as error:
            raise ArchitectureError(error.found, expected=error.expected, where=piece.name) from None


def _check_stage_names(stage: Stage) -> None:
    if stage.depth < 1:
        raise ArchitectureError(f"depth {stage.depth}", expected="at least 1 layer")
    check_name("shortcut", stage.shortcut, ("project", "common"))
    if stage.downsample is not None:
        check_name("downsample", stage.downsample.kind, ("conv", "average"))
    if stage.csp is not None:
        check_name("fusion", stage.csp.fusion, FUSIONS)
        check_name("split", stage.csp.split, SPLIT_KINDS)
        check_name("taps", stage.csp.taps, get_args(Taps))


def _check_idle(value: Architecture | Stem | Stage | Csp, names: tuple[str, ...], there: str, where: str) -> None:
    """Raises ArchitectureError where one of the fields `names`, which do nothing `there`, is not at its default."""
    for name in names:
        found, default = getattr(value, name), _DEFAULTS[type(value)][name]
        if found != default:
            raise ArchitectureError(
                f"{name} {found} {there}, where it has no effect",
                where=where if where == name else f"{where}.{name}",
                hint=f"leave {name} out",
            )


def check_stem(architecture: Architecture) -> None:
    """Raises ArchitectureError where the stem, or the slope of the activation, says what has no effect."""
    pelee = architecture.stem.kind == "pelee"
    idle = ("kernel", "stride", "hidden", "pool") if pelee else ("fuse",)
    _check_idle(architecture.stem, idle, f"in a stem of kind {architecture.stem.kind}", "stem")
    if architecture.activation != "leaky_relu":
        _check_idle(architecture, ("negative_slope",), f"with activation {architecture.activation}", "negative_slope")


def check_stage(family: Family, name: str, stage: Stage, channels: int) -> None:
    """Raises ArchitectureError where `stage`, on `channels` after its downsampling, is no stage of `family`."""
    _check_kind(family, name, stage)
    dense = stage.kind == "dense"
    if dense:
        _check_idle(stage, ("groups", "stride", "shortcut"), "in a dense stage", name)
    elif stage.stride == 1 and stage.width == (channels if stage.csp is None else stage.csp.part2):
        _check_idle(stage, ("shortcut",), "in a stage whose blocks all keep their shape", name)
    if not dense or stage.csp is not None:
        _check_idle(stage, ("transition",), "in a CSP stage" if dense else f"in a {family.name} stage", name)
    if stage.csp is not None:
        _check_csp(name, stage, stage.csp, channels)
    _check_pool(name, stage)


def _check_kind(family: Family, name: str, stage: Stage) -> None:
    if stage.kind != family.kind or (stage.width is None) != (stage.kind == "dense"):
        raise ArchitectureError(
            f"a stage with {'width' if stage.growth_rate is None else 'growth_rate'} in family {family.name}",
            expected=", ".join(f"{gene} for {named_by_size(gene)}" for gene in ("growth_rate", "width")),
            where=name,
        )
    if stage.width is not None and stage.bottleneck > stage.width:
        raise ArchitectureError(
            f"a bottleneck of {stage.bottleneck} in blocks {stage.width} wide",
            expected="a bottleneck no wider than its block",
            where=name,
        )


def _check_pool(name: str, stage: Stage) -> None:
    if not stage.pool:
        _check_idle(stage, ("pool_first",), "in a stage without a pool", name)
    if stage.pool_first and not ends_in_transition(stage):
        raise ArchitectureError(
            "pool_first of a stage that ends in no transition", expected="one to pool before", where=name
        )


def ends_in_transition(stage: Stage) -> bool:
    """Whether the stage's last layer, a pool apart, is a transition."""
    if stage.csp is not None:
        return stage.csp.fusion != "last"
    return stage.kind == "dense" and stage.transition


def _check_csp(name: str, stage: Stage, csp: Csp, channels: int) -> None:
    if stage.stride > 1:
        raise ArchitectureError(
            f"stride {stage.stride} in the block of a CSP stage", expected="a downsample layer before it", where=name
        )
    _check_parts(name, csp, channels)
    if csp.split == "slice":
        _check_idle(csp, ("linear",), "of parts that are sliced", name)
    if stage.kind == "dense":
        _check_idle(csp, ("taps",), "in a dense stage, whose output holds every tap", name)
    if (csp.t1 is None) != (csp.fusion == "first"):
        raise ArchitectureError(
            f"{'no t1' if csp.t1 is None else f't1 {csp.t1}'} with fusion {csp.fusion}",
            expected="t1 for last and both, none for first",
            where=name,
        )
    if csp.fusion == "last" and csp.t1 is not None and csp.t1 + csp.part1 != stage.out:
        raise ArchitectureError(
            f"out {stage.out} with fusion last", expected=f"t1 + part1 = {csp.t1 + csp.part1}", where=name
        )


def _check_parts(name: str, csp: Csp, channels: int) -> None:
    expected = ""
    if min(csp.part1, csp.part2) < 1:
        expected = "at least 1 channel each"
    elif csp.split == "slice" and csp.part1 + csp.part2 != channels:
        expected = f"two parts that share the stage's {channels} input channels"
    if expected:
        raise ArchitectureError(f"part1 {csp.part1} and part2 {csp.part2}", expected=expected, where=name)


def check_out(name: str, stage: Stage, channels: int) -> None:
    """Raises ArchitectureError where the stage's layers give another width than it says."""
    if channels != stage.out:
        raise ArchitectureError(f"out {stage.out} of a stage that gives {channels} channels", where=name)
