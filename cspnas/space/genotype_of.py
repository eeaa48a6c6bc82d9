"""From an architecture back to the genotype that gives it, where it is a point of the space."""

from __future__ import annotations

from itertools import product
from typing import Any

from cspnas.errors import ArchitectureError, InputError
from cspnas.network.architecture import Architecture, Stage
from cspnas.space.search_space import Genotype, SearchSpace
from cspnas.space.stage_choices import StageChoices


def genotype_of(space: SearchSpace, architecture: Architecture, where: str) -> Genotype:
    """The first genotype that decodes to `architecture`. Raises InputError, with what differs, where none does; `where` names
    the architecture.
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
    known = {
        "family": (architecture.family, (space.family,)),
        "input_shape": (architecture.input_shape, (space.input_shape,)),
        "classes": (architecture.classes, (space.classes,)),
        "stem": (architecture.stem, space.stems),
        "activation": (architecture.activation, space.activations),
        "norm": (architecture.norm, space.norms),
        "head": (architecture.head, ("linear",)),
        "number of stages": (len(architecture.stages), (len(space.stages),)),
    }
    for name, (found, choices) in known.items():
        if found not in choices:
            raise _differs(f"{name} {found}", choices, where)


def _stage_genes(space: SearchSpace, number: int, channels: int, stage: Stage, where: str) -> Genotype:
    choices = space.stages[number - 1]
    said: dict[str, Any] = {
        "depth": stage.depth,
        "csp": stage.csp is not None,
        "growth_rate": stage.growth_rate,
        "width": stage.out,
    }
    if stage.csp is not None:
        said |= {"fusion": stage.csp.fusion, "split": stage.csp.split, "taps": stage.csp.taps}
    for field, value in said.items():
        if field in choices.fixed and value not in getattr(choices, field):
            raise _differs(f"{field} {value} in stage{number}", getattr(choices, field), where)
    for values in _ways(choices, said):
        genes = {f"stage{number}.{field}": value for field, value in values.items()}
        try:
            if space.stage(number, channels, genes) == stage:
                return genes
        except ArchitectureError:
            continue
    raise _differs(f"stage{number} with {_widths(stage)}", "what the choices of its ratios give", where)


def _ways(choices: StageChoices, said: dict[str, Any]) -> Any:
    """Every way to choose that agrees with what the stage says itself."""
    for variant in choices.variants:
        kept = {field: [v for v in values if said.get(field, v) == v] for field, values in variant.items()}
        for values in product(*kept.values()):
            yield dict(zip(kept, values, strict=True))


def _widths(stage: Stage) -> str:
    parts = f", part1 {stage.csp.part1}" if stage.csp else ""
    return f"out {stage.out}, bottleneck {stage.bottleneck}{parts}"


def _differs(found: str, expected: Any, where: str) -> InputError:
    shown = expected if isinstance(expected, str) else f"one of {', '.join(str(one) for one in expected)}"
    return InputError(found, expected=f"{shown}, as the space has it", where=where, hint="it is no point of the space")
