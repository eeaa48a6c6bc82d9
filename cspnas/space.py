"""The search space: genes and their choices; sample, decode, neighbours, size. Pure Python.

A genotype is a dict from gene name (`stage2.growth_rate`) to value, with exactly the genes that have an effect: a stage
that is not CSP has no `split_ratio` and no `fusion`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields
from math import prod
from random import Random
from typing import Any

from cspnas.architecture import Architecture, Fusion, Stem, resolve_stage
from cspnas.errors import ArchitectureError

Genotype = dict[str, Any]
CONDITIONAL = ("split_ratio", "fusion")  # these exist only in a stage that is CSP


@dataclass(frozen=True, slots=True)
class StageChoices:
    """The choices of one stage, each a tuple; a tuple of one is a fixed value, not a gene. A new gene is a new field."""

    depth: tuple[int, ...]
    growth_rate: tuple[int, ...]
    csp: tuple[bool, ...]
    split_ratio: tuple[float, ...]
    fusion: tuple[Fusion, ...]
    bottleneck_ratio: tuple[float, ...]
    compression: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Gene:
    """`name` is `stageN.FIELD`; `condition` names the CSP switch that must be on, None where the gene always exists."""

    name: str
    choices: tuple[Any, ...]
    condition: str | None

    @property
    def ordered(self) -> bool:
        """Whether the choices are numbers with an order."""
        return not isinstance(self.choices[0], bool | str)


@dataclass(frozen=True, slots=True)
class SearchSpace:
    """A family of architectures on one input."""

    family: str
    input_shape: tuple[int, int, int]
    classes: int
    stem: Stem
    activation: str
    stages: tuple[StageChoices, ...]

    def genes(self) -> tuple[Gene, ...]:
        """All genes with more than one choice, each stage's CSP switch before what depends on it."""
        found = []
        for number, stage in enumerate(self.stages, start=1):
            for field in fields(stage):
                choices = getattr(stage, field.name)
                if len(choices) > 1 and not (field.name in CONDITIONAL and True not in stage.csp):
                    conditional = field.name in CONDITIONAL and len(stage.csp) > 1
                    found.append(
                        Gene(f"stage{number}.{field.name}", choices, f"stage{number}.csp" if conditional else None)
                    )
        return tuple(found)

    def active(self, genotype: Genotype) -> Genotype:
        """`genotype` without the genes that have no effect in it, in the order of `genes()`."""
        return {
            gene.name: genotype[gene.name]
            for gene in self.genes()
            if gene.condition is None or genotype[gene.condition]
        }

    def sample(self, random: Random) -> Genotype:
        """Each gene drawn evenly; the result may be an invalid or a rejected architecture."""
        return self.active({gene.name: random.choice(gene.choices) for gene in self.genes()})

    def neighbours(self, genotype: Genotype) -> Iterator[Genotype]:
        """Every genotype that differs in one gene; switching CSP on gives each ratio and fusion."""
        for gene in self.genes():
            if gene.name not in genotype:
                continue
            for choice in gene.choices:
                if choice != genotype[gene.name]:
                    yield from self._completed({**genotype, gene.name: choice})

    def _completed(self, partial: Genotype) -> Iterator[Genotype]:
        """All ways to add the genes that `partial` needs and lacks."""
        missing = [
            gene
            for gene in self.genes()
            if gene.name not in partial and (gene.condition is None or partial.get(gene.condition))
        ]
        for values in itertools.product(*(gene.choices for gene in missing)):
            yield self.active({**partial, **{gene.name: v for gene, v in zip(missing, values, strict=True)}})

    def enumerate(self) -> Iterator[Genotype]:
        """Every genotype once."""
        free = [gene for gene in self.genes() if gene.condition is None]
        for values in itertools.product(*(gene.choices for gene in free)):
            yield from self._completed({gene.name: v for gene, v in zip(free, values, strict=True)})

    @property
    def size(self) -> int:
        """Number of genotypes."""
        total = 1
        for stage in self.stages:
            wirings = sum(len(stage.split_ratio) * len(stage.fusion) if csp else 1 for csp in stage.csp)
            others = (f.name for f in fields(stage) if f.name not in (*CONDITIONAL, "csp"))
            total *= wirings * prod(len(getattr(stage, name)) for name in others)
        return total

    def decode(self, genotype: Genotype) -> Architecture:
        """The architecture of `genotype`; values need not be among the choices. Raises ArchitectureError with the stage."""
        channels, resolved = self.stem.channels, []
        for number, stage in enumerate(self.stages, start=1):
            genes = {f.name: genotype.get(f"stage{number}.{f.name}", getattr(stage, f.name)[0]) for f in fields(stage)}
            if not genes.pop("csp"):
                genes["split_ratio"] = genes["fusion"] = None
            try:
                resolved.append(resolve_stage(channels, pool=number < len(self.stages), **genes))
            except ArchitectureError as error:
                raise ArchitectureError(
                    error.found, expected=error.expected, where=f"stage{number}", do=error.do
                ) from None
            channels = resolved[-1].out
        return Architecture(self.family, self.input_shape, self.classes, self.stem, tuple(resolved), self.activation)
