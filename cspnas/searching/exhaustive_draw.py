"""Even draws among the admitted architectures that a study has not tried."""

from __future__ import annotations

from collections.abc import Container, Iterator
from random import Random

from cspnas.space.search_space import Genotype
from cspnas.study.candidates import Candidate, admitted_candidate, admitted_sample, candidate, walked
from cspnas.study.settings import Study

# A space of at most so many genotypes is listed; of a larger one so many are drawn, then it is walked.
LISTED_GENOTYPES = 20_000


class UntriedCandidates:
    """What it has found known once stays known: nothing becomes untried again."""

    def __init__(self, study: Study) -> None:
        self._study, self._table = study, study.cost_table()
        # By digest, of a space that can be listed.
        self._left: dict[str, Genotype] | None = None
        # Through a large space, once draws find nothing.
        self._walk: Iterator[Candidate] | None = None
        self._exhausted = False

    @property
    def _is_listed(self) -> bool:
        return self._study.space.size <= LISTED_GENOTYPES

    def all_of(self, known: int) -> str:
        """How a study of so many networks is told that nothing is left; of a large space some may not have been found."""
        return f"all {known} admitted architectures{'' if self._is_listed else ' found'} are trained"

    def draw(self, known: Container[str], seed: int) -> Candidate | None:
        """A candidate whose digest is not in `known`, or None where no more is found; the same one for the same seed."""
        random = Random(seed)
        if self._exhausted:
            return None
        found = self._from_list(known, random) if self._is_listed else self._sampled(known, random)
        self._exhausted = found is None
        return found

    def _from_list(self, known: Container[str], random: Random) -> Candidate | None:
        if self._left is None:
            drawn = filter(None, map(self._admitted, self._study.space.enumerate()))
            self._left = {found.digest: found.genotype for found in drawn}
        self._left = {digest: genotype for digest, genotype in self._left.items() if digest not in known}
        return candidate(self._study, random.choice(list(self._left.values()))) if self._left else None

    def _sampled(self, known: Container[str], random: Random) -> Candidate | None:
        if self._walk is None:
            draws = (self._admitted(self._study.space.sample(random)) for _ in range(LISTED_GENOTYPES))
            found = next((found for found in draws if found is not None and found.digest not in known), None)
            if found is not None:
                return found
            self._walk = walked(
                self._study, admitted_sample(self._study), Random(f"{self._study.seed}/walk"), self._table
            )
        return next((found for found in self._walk if found.digest not in known), None)

    def _admitted(self, genotype: Genotype) -> Candidate | None:
        """The candidate where it is admitted; its stages' costs tell that long before its graph is there."""
        return admitted_candidate(self._study, genotype, self._table)
