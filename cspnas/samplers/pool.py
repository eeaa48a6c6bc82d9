"""Candidates that the cost-aware sampler chooses from: random ones costed once a study, and mutations of the front."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from random import Random

from cspnas.candidates import Candidate, admitted, candidate, valid_candidates
from cspnas.cost import CostTable
from cspnas.errors import ArchitectureError
from cspnas.samplers.features import raw_features
from cspnas.space import Genotype, SearchSpace
from cspnas.study import Study

SIZE = 10_000  # random admitted candidates; of a space of fewer genotypes, all admitted ones
DRAWS = 20  # at most so many draws for each of them
STEPS = (1, 1, 2, 3)  # genes that a mutation changes, drawn evenly


class Pool:
    """`candidates`: distinct admitted genotypes, the same ones for the same study; `features` of each, unscaled."""

    def __init__(self, study: Study, size: int = SIZE) -> None:
        self.study, self._table = study, CostTable()
        self.candidates = list(islice(self._distinct(), size))
        self.features = [raw_features(drawn.architecture, drawn.costs) for drawn in self.candidates]

    def _distinct(self) -> Iterator[Candidate]:
        """All admitted candidates of a small space, else random ones."""
        if self.study.space.size <= SIZE:
            yield from self._admitted(self.study.space.enumerate())
            return
        seen = set()
        for drawn in islice(valid_candidates(self.study, Random(f"{self.study.seed}/pool")), DRAWS * SIZE):
            key = tuple(drawn.genotype.items())
            if key not in seen and admitted(self.study, drawn.costs):
                seen.add(key)
                yield drawn

    def _admitted(self, genotypes: Iterable[Genotype]) -> Iterator[Candidate]:
        for genotype in genotypes:
            try:
                drawn = candidate(self.study, genotype, self._table)
            except ArchitectureError:
                continue
            if admitted(self.study, drawn.costs):
                yield drawn

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
