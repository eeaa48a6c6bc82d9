"""A network's stages in a few characters each, for tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cspnas.network.families import Family, family_of
from cspnas.study.study_record import FrozenSettings


def wiring(document: Mapping[str, Any], ratios: Sequence[float | None] = ()) -> str:
    """The stages of an architecture's document: `3x12` depth by growth rate (or width), then fusion and split ratio, then
    other widths, downsampling, groups, split, taps and pool where they are not the usual ones.

    `ratios`: the split ratio that was chosen for each stage, None where that is not known. What whole channels made of it
    follows in brackets where it differs in two decimals.
    """
    known = [*ratios, *[None] * len(document["stages"])]
    family = family_of(document["family"])
    return " | ".join(_stage(stage, ratio, family) for stage, ratio in zip(document["stages"], known, strict=False))


def chosen_ratios(settings: FrozenSettings, genotype: Mapping[str, Any]) -> list[float | None]:
    """Each stage's split ratio as it was chosen: the genotype's, else the one that the study's space fixes."""
    found: list[float | None] = []
    while f"stages.{len(found)}.depth" in settings.values:
        choices = settings.values.get(f"stages.{len(found)}.split_ratio", ())
        fixed = choices[0] if len(choices) == 1 else None
        found.append(genotype.get(f"stage{len(found) + 1}.split_ratio", fixed))
    return found


def _stage(stage: Mapping[str, Any], ratio: float | None, family: Family) -> str:
    size = stage["growth_rate"] if family.size_gene == "growth_rate" else stage["out"]
    words = [f"{stage['depth']}x{size}"]
    csp = stage.get("csp")
    if csp:
        words += [csp["fusion"], _ratio(ratio, csp["part1"] / (csp["part1"] + csp["part2"]))]
    words += _residual_words(stage) if family.kind == "residual" else []
    if stage.get("groups", 1) > 1:
        words.append(f"groups {stage['groups']}")
    if csp and csp.get("split", "slice") != family.defaults["split"][0]:
        words.append(f"split {csp.get('split', 'slice')}")
    if csp and csp.get("taps", "last") != "last":
        words.append(f"taps {csp['taps']}")
    if stage.get("pool_first"):
        words.append("pool before")
    return " ".join(words)


def _residual_words(stage: Mapping[str, Any]) -> list[str]:
    """What no split ratio gives, where it is not the usual: `expand 2`, `block 1.5`, `linear`, `down 256 groups 32`."""
    csp, down, words = stage.get("csp"), stage.get("downsample", {}), list[str]()
    if csp:
        ratios = {"expand": (csp["part1"] + csp["part2"]) / stage["out"], "block": stage["width"] / csp["part2"]}
        sliced = csp.get("split", "slice") == "slice"
        words += [
            f"{name} {ratio:.2g}" for name, ratio in ratios.items() if ratio != 1 and not (sliced and name == "expand")
        ]
        words += ["linear"] if csp.get("linear") else []
    groups, width = down.get("groups", 1), down.get("width", stage["out"])
    if width != stage["out"] or groups > 1:
        words.append(f"down {width}" + (f" groups {groups}" if groups > 1 else ""))
    return words


def _ratio(chosen: float | None, became: float) -> str:
    if chosen is None or f"{chosen:.2f}" == f"{became:.2f}":
        return f"{became:.2f}"
    return f"{chosen:.2f} ({became:.2f})"
