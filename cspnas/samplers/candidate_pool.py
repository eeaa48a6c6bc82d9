"""Candidates that the cost-aware sampler chooses from: random ones costed once a study, and mutations of the front."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from cspnas.samplers.features import raw_features
from cspnas.space.search_space import Gene, Genotype, SearchSpace
from cspnas.study.candidates import (
    WORK,
    Candidate,
    admitted,
    admitted_candidate,
    admitted_sample,
    valid_candidates,
    walked,
)
from cspnas.study.settings import Study

# A space of fewer genotypes than all of them hold is dealt out among as many as it needs.
BATCHES = 10
# Random admitted candidates of a batch; fewer where they are so deep that costing them is `WORK`.
SIZE = 1000
# At most so many draws for each of them.
DRAWS_PER_CANDIDATE = 20
# Genes that a mutation changes, drawn evenly.
STEPS = (1, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class PoolBatch:
    """Distinct admitted candidates and the features of each, unscaled."""

    candidates: list[Candidate]
    features: list[list[float]]


class Pool:
    """Batches of candidates, each made when it is first asked for: a search that goes on needs few to begin with. The same
    ones for the same study, in whatever order they are asked for.
    """

    batches = BATCHES

    def __init__(self, study: Study) -> None:
        self.study, self._table = study, study.cost_table()
        self._made: dict[int, PoolBatch] = {}
        self._sample: list[Candidate] | None = None
        self._dealt: list[Genotype] | None = None
        if study.space.size <= BATCHES * SIZE:
            self._dealt = list(study.space.enumerate())
            Random(f"{study.seed}/pool").shuffle(self._dealt)
            self.batches = -(-len(self._dealt) // SIZE)

    def batch(self, number: int) -> PoolBatch:
        """PoolBatch `number`, from 0."""
        if number not in self._made:
            drawn = list(self._drawn(number))
            self._made[number] = PoolBatch(drawn, [raw_features(one.architecture, one.costs) for one in drawn])
        return self._made[number]

    def _drawn(self, number: int) -> Iterator[Candidate]:
        if self._dealt is None:
            return islice(self._distinct(Random(f"{self.study.seed}/pool/{number}")), SIZE)
        return self._admitted(self._dealt[number :: self.batches])

    def _distinct(self, random: Random) -> Iterator[Candidate]:
        """Random ones; where draws bring nothing new any more, as where little is admitted, those around what is admitted."""
        found, in_vain, most = dict[tuple[Any, ...], Candidate](), 0, self._table.operations + WORK
        for drawn in islice(valid_candidates(self.study, random, self._table), DRAWS_PER_CANDIDATE * SIZE):
            key = tuple(drawn.genotype.items())
            in_vain += 1
            if key not in found and admitted(self.study, drawn.costs):
                found[key], in_vain = drawn, 0
                yield drawn
            if in_vain == SIZE:
                break
        left = most - self._table.operations
        for drawn in walked(self.study, self._start(found.values()), random, self._table, left):
            if tuple(drawn.genotype.items()) not in found:
                yield drawn

    def _start(self, found: Collection[Candidate]) -> Iterable[Candidate]:
        """Where a walk begins that draws did not."""
        if found:
            return found
        if self._sample is None:
            self._sample = admitted_sample(self.study)
        return self._sample

    def _admitted(self, genotypes: Iterable[Genotype]) -> Iterator[Candidate]:
        found = (admitted_candidate(self.study, genotype, self._table) for genotype in genotypes)
        return (one for one in found if one is not None)

    def mutations(self, parents: Sequence[Genotype], count: int, random: Random) -> list[Candidate]:
        """Admitted ones among `count` genotypes that differ from one of `parents` in one to three genes."""
        if not parents or not self.study.space.genes():
            return []
        return list(self._admitted(self._mutant(random.choice(parents), random) for _ in range(count)))

    def _mutant(self, genotype: Genotype, random: Random) -> Genotype:
        for _ in range(random.choice(STEPS)):
            genotype = mutated(self.study.space, genotype, random)
        return genotype


def mutated(space: SearchSpace, genotype: Genotype, random: Random) -> Genotype:
    """One gene changed; genes that come to have an effect by it are drawn evenly."""
    genes = [gene for gene in space.genes() if gene.name in genotype]
    gene = random.choice(genes)
    filled = genotype | {gene.name: random.choice([choice for choice in gene.choices if choice != genotype[gene.name]])}
    for other in space.genes():
        if other.name not in filled:
            filled[other.name] = random.choice(other.choices)
    return space.active(filled)


def mutable(study: Study, genotype: Genotype) -> bool:
    """Whether `mutated` can change it: it names a gene of the space, and for each that it names a choice, or what a baseline
    may have beyond the choices.
    """
    named = [gene for gene in study.space.genes() if gene.name in genotype]
    return bool(named) and all(_may_have(study, gene, genotype[gene.name]) for gene in named)


def _may_have(study: Study, gene: Gene, value: Any) -> bool:
    choices = gene.choices
    if gene.field in ("split_ratio", "fusion"):
        choices = (*choices, getattr(study.baselines, gene.field))
    return any(value == choice and type(value) is type(choice) for choice in choices)
