"""The choices of one stage, and which of them have an effect where."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import product
from math import prod
from typing import Annotated, Any, Literal

from cspnas.errors import ArchitectureError
from cspnas.io.bounds import Depth, Positive, Ratio, Width
from cspnas.network.architecture import Fusion, Shortcut, SplitKind, Stride, Taps
from cspnas.network.families import NEUTRAL, Family
from cspnas.space.stage_resolution import scaled, split

# These exist only in a stage that is CSP.
OF_CSP = ("split_ratio", "fusion", "split", "taps", "expand_ratio", "block_ratio", "cross_linear")
# What decides whether a later field has an effect, where the space has that field; of csp and fusion always.
DECIDES = {
    "csp": (),
    "fusion": (),
    "split": ("expand_ratio", "cross_linear"),
    "groups": ("down_grouped",),
    "down_growth": ("shortcut",),
    "block_ratio": ("shortcut",),
}


@dataclass(frozen=True)
class StageChoices:
    """The choices of one stage, each a tuple; a tuple of one is a fixed value, not a gene; an empty one belongs to other
    families. A new gene is a new field, after those that its existence depends on.
    """

    depth: Annotated[tuple[Depth, ...], "layers or blocks"]
    growth_rate: Annotated[tuple[Width, ...], "channels that each dense layer adds"] = ()
    csp: Annotated[tuple[bool, ...], "whether the stage is Cross Stage Partial"] = (True, False)
    split_ratio: Annotated[tuple[Ratio, ...], "fraction of channels routed around the block"] = (0.5,)
    fusion: Annotated[tuple[Fusion, ...], "where the branches fuse"] = ("both",)
    bottleneck_ratio: Annotated[
        tuple[Positive, ...],
        "width inside a layer over growth_rate (2 where not said), or inside a block over the block's width "
        "(at most 1; 0.5 where not said)",
    ] = (1.0,)
    compression: Annotated[
        tuple[Positive, ...], "output channels over channels before the transition; 0.5 where not said"
    ] = ()
    split: Annotated[
        tuple[SplitKind, ...],
        "how the parts are made: slice of the input, project (two 1x1), expand (one 1x1, cut in two); "
        "slice where not said, project in families of residual blocks",
    ] = ("slice",)
    taps: Annotated[tuple[Taps, ...], "what the block hands to the fusion; last where not said"] = ()
    pool: Annotated[
        tuple[Literal["after", "before"], ...],
        "pool after or before the last transition; not in the last stage; after where not said",
    ] = ()
    width: Annotated[tuple[Width, ...], "output channels of the stage"] = ()
    groups: Annotated[tuple[Width, ...], "groups of the blocks' 3x3 convolutions; 1 where not said"] = ()
    stride: Annotated[
        tuple[Stride, ...], "of the 3x3 convolution before the stage; 1 in the first stage, then 2, where not said"
    ] = ()
    down_growth: Annotated[
        tuple[bool, ...],
        "whether that convolution gives the stage's width, or keeps its input's (and is left out at stride 1); "
        "true where not said",
    ] = ()
    down_grouped: Annotated[
        tuple[bool, ...], "whether that convolution has the groups of the blocks; false where not said"
    ] = ()
    expand_ratio: Annotated[
        tuple[Positive, ...],
        "width of part 1 and part 2 together over the stage's, where 1x1 convolutions make them; 1 where not said",
    ] = ()
    block_ratio: Annotated[tuple[Positive, ...], "width of the blocks over part 2's; 1 where not said"] = ()
    cross_linear: Annotated[
        tuple[bool, ...], "whether the 1x1 convolutions of the parts have no activation; false where not said"
    ] = ()
    shortcut: Annotated[
        tuple[Shortcut, ...],
        "of a block that is wider than its input: project it, or add the channels both have in common; "
        "project where not said",
    ] = ()

    def stated(self) -> dict[str, tuple[Any, ...]]:
        """Field to choices, without those that came after studies were made where the space does not say them."""
        said = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: choices for name, choices in said.items() if choices or name not in NEUTRAL}

    @cached_property
    def fixed(self) -> Mapping[str, Any]:
        """The first choice of every field of the family: its value where no genotype says another."""
        return {f.name: getattr(self, f.name)[0] for f in fields(self) if getattr(self, f.name)}

    def exists(self, field: str, values: Mapping[str, Any]) -> bool:
        """Whether `field` has an effect, given those of `deciding` before it."""
        if field in ("expand_ratio", "cross_linear"):
            return bool(values["csp"]) and values["split"] != "slice"
        if field in OF_CSP:
            return bool(values["csp"])
        match field:
            # After the fusion `last` no transition comes, before which the pool could stand.
            case "pool":
                return not (values["csp"] and values["fusion"] == "last")
            case "down_grouped":
                return bool(values.get("groups", 1) != 1)
            case "shortcut":
                fits = values.get("block_ratio", 1) == 1 if values["csp"] else values.get("down_growth", True)
                return not fits
        return True

    @cached_property
    def deciding(self) -> tuple[str, ...]:
        """The fields that decide whether another one has an effect."""
        always = ("csp", "fusion")
        return tuple(f for f in self.fixed if f in always or any(getattr(self, g) for g in DECIDES.get(f, ())))

    def greatest_split(self, channels: int) -> int:
        """The most channels that the stage can split, where at most `channels` come to it."""
        kept = channels if not self.width or False in self.down_growth else 0
        return max(kept, scaled(max(self.expand_ratio, default=1), max(self.width, default=0)))

    def bottlenecks(self, family: Family) -> set[tuple[int, int]]:
        """(another width that the groups must divide, or 0; the bottleneck's width) of every block that a residual stage
        can have.
        """
        insides = set(self.width) if False in self.csp else set()
        ratios = product(self.split_ratio, self.expand_ratio or (1,), self.block_ratio or (1,))
        for width, (ratio, expand, block) in product(self.width, ratios if True in self.csp else ()):
            with suppress(ArchitectureError):
                insides.add(scaled(block, split(scaled(expand, width), ratio)[1]))
        widths = product(insides, self.bottleneck_ratio)
        return {(inside if family.grouped_output else 0, scaled(ratio, inside)) for inside, ratio in widths}

    @cached_property
    def variants(self) -> tuple[dict[str, tuple[Any, ...]], ...]:
        """Field to choices, once for each way to choose what is `deciding`: of what has no effect there the first choice
        alone, so that the products of all variants are every way to choose, once.
        """
        found: list[dict[str, tuple[Any, ...]]] = [{}]
        for name in self.fixed:
            found = [longer for variant in found for longer in self._longer(variant, name)]
        return tuple(found)

    def _longer(self, variant: dict[str, tuple[Any, ...]], name: str) -> list[dict[str, tuple[Any, ...]]]:
        """`variant` with the choices of `name` there."""
        values = {field: choices[0] for field, choices in variant.items()}
        choices = getattr(self, name) if self.exists(name, values) else getattr(self, name)[:1]
        return [{**variant, name: one} for one in (product(choices) if name in self.deciding else (choices,))]

    @property
    def size(self) -> int:
        """Number of ways to choose."""
        return sum(prod(map(len, variant.values())) for variant in self.variants)
