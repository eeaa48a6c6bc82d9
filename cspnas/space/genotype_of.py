"""From an architecture back to the genotype that gives it, where it is a point of the space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import product
from typing import Any

from cspnas.errors import ArchitectureError, InputError
from cspnas.network.architecture import Architecture, Stage
from cspnas.network.families import all_families, family_of
from cspnas.space.search_space import Genotype, SearchSpace
from cspnas.space.stage_choices import StageChoices


def genotype_of(space: SearchSpace, architecture: Architecture, where: str) -> Genotype:
    """The first genotype that decodes to `architecture`, or to the same layers in a family with the same blocks.

    Raises InputError, with what differs, where none does; `where` names the architecture.
    """
    _check_network(space, architecture, where)
    genotype: Genotype = {
        "stem": architecture.stem.label,
        "activation": architecture.activation,
        "norm": architecture.norm,
    }
    channels = architecture.stem.out_channels
    for number, stage in enumerate(architecture.stages, start=1):
        genotype |= _stage_genes(space, number, channels, stage, where)
        channels = stage.out
    return space.active(genotype)


def _check_network(space: SearchSpace, architecture: Architecture, where: str) -> None:
    """Raises InputError for what no stage decides."""
    # A ResNeXt of one group is a ResNet.
    block = family_of(space.family).block
    known: dict[str, tuple[Any, Sequence[Any]]] = {
        "family": (architecture.family, [row.name for row in all_families().values() if row.block is block]),
        "input_shape": (architecture.input_shape, (space.input_shape,)),
        "classes": (architecture.classes, (space.classes,)),
        "stem": (architecture.stem.label, [stem.label for stem in space.stems]),
        "activation": (architecture.activation, space.activations),
        "norm": (architecture.norm, space.norms),
        "head": (architecture.head, ("linear",)),
        "negative_slope": (architecture.negative_slope, (0.1,)),
        "number of stages": (len(architecture.stages), (len(space.stages),)),
    }
    for name, (found, choices) in known.items():
        if found not in choices:
            raise _differs(f"{name} {found}", choices, where)


def _stage_genes(space: SearchSpace, number: int, channels: int, stage: Stage, where: str) -> Genotype:
    choices = space.stages[number - 1]
    said: Genotype = {
        "depth": stage.depth,
        "csp": stage.csp is not None,
        "growth_rate": stage.growth_rate,
        "width": stage.out,
        "groups": stage.groups,
        "stride": stage.downsample.stride if stage.downsample else 1,
    }
    if stage.csp is not None:
        said |= {"fusion": stage.csp.fusion, "split": stage.csp.split, "taps": stage.csp.taps}
    for field, value in said.items():
        if field in choices.fixed and value not in getattr(choices, field):
            raise _differs(f"{field} {value} in stage{number}", getattr(choices, field), where)
    others: list[tuple[dict[str, str], Genotype]] = []
    for values in _ways(choices, said):
        genes = {f"stage{number}.{field}": value for field, value in values.items()}
        with suppress(ArchitectureError):
            made = space.stage(number, channels, genes)
            if made == stage:
                return genes
            others.append((_differences(stage, made), values))
    if not others:
        raise _differs(
            f"stage{number} with out {stage.out}, bottleneck {stage.bottleneck}", "what its choices give", where
        )
    nearest, values = min(others, key=lambda other: len(other[0]))
    raise _differs(f"stage{number} with {', '.join(nearest)}", _nearest(nearest, choices, values), where)


def _ways(choices: StageChoices, said: Genotype) -> Iterator[Genotype]:
    """Every way to choose that agrees with what the stage says itself."""
    for variant in choices.variants:
        kept = {field: [v for v in values if said.get(field, v) == v] for field, values in variant.items()}
        for values in product(*kept.values()):
            yield dict(zip(kept, values, strict=True))


def _differences(stage: Stage, made: Stage) -> dict[str, str]:
    """What `stage` has (`bottleneck 64`, `csp part1 32`) to what `made` has in its place."""
    said, other = _flat(stage), _flat(made)
    return {
        f"{key} {said.get(key)}": f"{other.get(key)}" for key in {**said, **other} if said.get(key) != other.get(key)
    }


def _flat(stage: Stage) -> dict[str, object]:
    parts = {"csp": stage.csp, "downsample": stage.downsample}
    found = {key: value for key, value in asdict(stage).items() if key not in parts}
    for name, part in parts.items():
        found |= {f"{name} {key}": value for key, value in (asdict(part) if part else {}).items()}
    return found


def _nearest(differences: dict[str, str], choices: StageChoices, values: Genotype) -> str:
    """What the nearest stage has instead, and the ratios that give it."""
    ratios = [f"{field} {value:g}" for field, value in values.items() if field.endswith("ratio")]
    more = [
        f"{field} {value}"
        for field, value in values.items()
        if isinstance(value, bool) and len(getattr(choices, field)) > 1
    ]
    return f"{', '.join(differences.values())} (of {', '.join(ratios + more)}, the nearest)"


def _differs(found: str, expected: Any, where: str) -> InputError:
    shown = expected if isinstance(expected, str) else f"one of {', '.join(str(one) for one in expected)}"
    return InputError(found, expected=f"{shown}, as the space has it", where=where, hint="it is no point of the space")
