"""The search space: genes and their choices; sample, decode, neighbours, size. Pure Python.

A genotype is a dict from gene name (`stage2.growth_rate`, `activation`) to value, with exactly the genes that have an
effect: a stage that is not CSP has no `split_ratio` and no `fusion`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from random import Random
from typing import Any

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture, NormOrder, Stage, Stem
from cspnas.network.families import family_of
from cspnas.space.stage_choices import OF_CSP, StageChoices
from cspnas.space.stage_resolution import resolve_stage

Genotype = dict[str, Any]
# Decoded stages.
REMEMBERED = 50_000
# Genes of the whole network.
OF_NETWORK = {"stem": "stems", "activation": "activations", "norm": "norms"}


@dataclass(frozen=True, slots=True)
class Gene:
    """`name` is `stageN.FIELD`, or a field of the whole network; `number` counts stages from 1, 0 for the network."""

    name: str
    choices: tuple[Any, ...]
    field: str
    number: int = 0

    @property
    def ordered(self) -> bool:
        """Whether the choices are numbers with an order."""
        return not isinstance(self.choices[0], bool | str)

    def spread(self, most: int | None) -> tuple[Any, ...]:
        """All choices, or `most` of them, evenly over their list."""
        if most is None or len(self.choices) <= most:
            return self.choices
        return tuple(self.choices[place * (len(self.choices) - 1) // (most - 1)] for place in range(most))


@dataclass(frozen=True)
class SearchSpace:
    """A family of architectures on one input. Genotypes name a stem by its label."""

    family: str
    input_shape: tuple[int, int, int]
    classes: int
    stems: tuple[Stem, ...]
    activations: tuple[str, ...]
    stages: tuple[StageChoices, ...]
    norms: tuple[NormOrder, ...] = ("after",)

    def genes(self) -> tuple[Gene, ...]:
        """All genes with more than one choice, each after those that its existence depends on."""
        return self._genes

    @cached_property
    def _genes(self) -> tuple[Gene, ...]:
        found = []
        for number, stage in enumerate(self.stages, start=1):
            for field in fields(stage):
                choices = getattr(stage, field.name)
                if len(choices) > 1 and not (field.name in OF_CSP and True not in stage.csp):
                    found.append(Gene(f"stage{number}.{field.name}", choices, field.name, number))
        for field_name, attribute in OF_NETWORK.items():
            choices = getattr(self, attribute)
            if len(choices) > 1:
                found.append(Gene(field_name, tuple(getattr(c, "label", c) for c in choices), field_name))
        return tuple(found)

    def exists(self, gene: Gene, genotype: Mapping[str, Any]) -> bool:
        """Whether `gene` has an effect in a genotype that has the genes before it."""
        if not gene.number:
            return True
        stage, prefix = self.stages[gene.number - 1], f"stage{gene.number}."
        values = {field: genotype.get(prefix + field, stage.fixed[field]) for field in stage.deciding}
        return stage.exists(gene.field, values)

    def active(self, genotype: Mapping[str, Any]) -> Genotype:
        """`genotype` without the genes that have no effect in it, in the order of `genes()`."""
        return {gene.name: genotype[gene.name] for gene in self.genes() if self.exists(gene, genotype)}

    def sample(self, random: Random) -> Genotype:
        """Each gene drawn evenly; the result may be an invalid or a rejected architecture."""
        return self.active({gene.name: random.choice(gene.choices) for gene in self.genes()})

    def neighbours(self, genotype: Genotype, most: int | None = None) -> Iterator[Genotype]:
        """Every genotype that differs in one gene; switching CSP on gives each ratio and fusion. With `most` (from 2) no more
        choices of a gene than that: the first, the last and some between them.
        """
        for gene in self.genes():
            if gene.name not in genotype:
                continue
            for choice in gene.spread(most):
                if choice != genotype[gene.name]:
                    yield from self._completed({**genotype, gene.name: choice}, most)

    def _completed(self, partial: Genotype, most: int | None = None) -> Iterator[Genotype]:
        """All ways to add the genes that `partial` needs and lacks, genes without effect taken away."""
        for gene in self.genes():
            if gene.name not in partial and self.exists(gene, partial):
                for choice in gene.spread(most):
                    yield from self._completed({**partial, gene.name: choice}, most)
                return
        yield self.active(partial)

    def enumerate(self) -> Iterator[Genotype]:
        """Every genotype once."""
        return self._completed({})

    @property
    def may_be_csp(self) -> bool:
        """Whether a stage may be CSP."""
        return any(True in stage.csp for stage in self.stages)

    @property
    def size(self) -> int:
        """Number of genotypes."""
        network = len(self.stems) * len(self.activations) * len(self.norms)
        return network * prod(stage.size for stage in self.stages)

    def decode(self, genotype: Mapping[str, Any]) -> Architecture:
        """The architecture of `genotype`; values need not be among the choices. Raises ArchitectureError with the stage."""
        stem = self.stems[0]
        if "stem" in genotype:
            stem = next(stem for stem in self.stems if stem.label == genotype["stem"])
        channels, resolved = stem.out_channels, []
        for number in range(1, len(self.stages) + 1):
            resolved.append(self.stage(number, channels, genotype))
            channels = resolved[-1].out
        return Architecture(
            self.family,
            self.input_shape,
            self.classes,
            stem,
            tuple(resolved),
            genotype.get("activation", self.activations[0]),
            genotype.get("norm", self.norms[0]),
        )

    @cached_property
    def _fixed(self) -> tuple[Genotype, ...]:
        """Of each stage, gene name to first choice: a genotype may also say what the space fixes."""
        stages = enumerate(self.stages, start=1)
        return tuple({f"stage{n}.{field}": value for field, value in stage.fixed.items()} for n, stage in stages)

    @cached_property
    def _resolved(self) -> dict[tuple[Any, ...], Stage]:
        """Stages that were decoded before: the networks of a pool share most of theirs."""
        return {}

    def stage(self, number: int, channels: int, genotype: Mapping[str, Any]) -> Stage:
        """Stage `number` (from 1) on an input of `channels`. Raises ArchitectureError with the stage."""
        values = [genotype.get(name, first) for name, first in self._fixed[number - 1].items()]
        key = (number, channels, *values)
        found = self._resolved.get(key)
        if found is None:
            if len(self._resolved) >= REMEMBERED:
                self._resolved.clear()
            found = self._resolved[key] = self._stage(number, channels, values)
        return found

    def _stage(self, number: int, channels: int, values: Sequence[Any]) -> Stage:
        genes = dict(zip(self.stages[number - 1].fixed, values, strict=True))
        first, last = number == 1, number == len(self.stages)
        try:
            return resolve_stage(family_of(self.family), channels, genes, first=first, last=last)
        except ArchitectureError as error:
            raise ArchitectureError(
                error.found, expected=error.expected, where=f"stage{number}", hint=error.hint
            ) from None
