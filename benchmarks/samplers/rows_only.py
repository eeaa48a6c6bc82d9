"""Samplers on the accuracy table's rows alone: whoever generates architectures is led to the nearest row that is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import numpy as np
from truth import Rows

from cspnas.network.serialization import architecture_from
from cspnas.samplers.candidate_pool import Pool, PoolBatch
from cspnas.samplers.features import raw_features
from cspnas.samplers.protocol import Sampler
from cspnas.space.search_space import Genotype, SearchSpace
from cspnas.study.candidates import Candidate
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study
from cspnas.study.suggestion import SamplerState


class RowsPool(Pool):
    """The rows as the pool of a sampler that chooses from one."""

    batches = 1

    def __init__(self, study: Study, rows: Rows) -> None:
        self.study = study
        drawn = candidates_of(rows)
        self._all = PoolBatch(drawn, [raw_features(one.architecture, one.costs) for one in drawn])

    def batch(self, number: int) -> PoolBatch:
        """All of them."""
        return self._all

    def mutations(self, parents: Any, count: int, random: Random) -> list[Candidate]:
        """None: nothing else exists."""
        return []


def candidates_of(rows: Rows) -> list[Candidate]:
    """In the table's order."""
    return [Candidate(architecture_from(row.architecture), row.digest, row.costs, row.genotype) for row in rows.rows]


class Nearest:
    """A sampler whose proposals become the nearest rows that are not taken; it learns from the row's own genes and values.

    The distance is the sum over genes: 1 where a category or a gene's existence differs, the difference of places among
    the choices (in units of their number) where it is ordered.
    """

    def __init__(self, inner: Sampler, space: SearchSpace, rows: Rows, seed: int) -> None:
        self.inner, self.name, self._genes, self._seed = inner, inner.name, space.genes(), seed
        self._rows = candidates_of(rows)
        self._table = np.array([self._encoded(row.genotype) for row in self._rows])
        self._states: dict[int, tuple[Genotype, SamplerState]] = {}

    def _encoded(self, genotype: Genotype) -> list[float]:
        """A number a gene; genes that do not exist are far from all values."""
        found = []
        for gene in self._genes:
            place = gene.choices.index(genotype[gene.name]) if gene.name in genotype else None
            found.append(-10.0 if place is None else place / len(gene.choices) if gene.ordered else 10.0 * place)
        return found

    def about(self) -> dict[str, str]:
        """As the sampler itself."""
        return self.inner.about()

    def watch(self, results: StudyResults) -> None:
        """The results says which rows are taken."""
        self._results = results
        self.inner.watch(results)

    def fresh(self) -> Sampler:
        """A comparison has one driver."""
        raise NotImplementedError

    def suggest(self, number: int) -> tuple[Genotype, SamplerState]:
        """The row; random proposals become random rows, for the nearest ones of a region with few are no even draw."""
        proposed, state = self.inner.suggest(number)
        left = [n for n, row in enumerate(self._rows) if row.digest not in self._results.networks]
        if self.name == "random":
            chosen = Random(f"{self._seed}/{number}/row").choice(left)
        else:
            apart = np.minimum(np.abs(self._table[left] - np.array(self._encoded(proposed))), 1).sum(1)
            chosen = left[int(np.argmin(apart))]
        genotype = self._rows[chosen].genotype
        # Those of the proposal, not of the row.
        state.pop("params", None)
        self._states[number] = (genotype, state)
        return genotype, state

    def tell(self, number: int, values: Mapping[str, float], violations: Mapping[str, float]) -> None:
        """The proposal is forgotten, the row is learned in its place."""
        genotype, state = self._states.pop(number)
        self.inner.forget(number)
        self.inner.restore(number, genotype, state, values, violations)

    def forget(self, number: int) -> None:
        """As it is."""
        self.inner.forget(number)

    def restore(self, number: int, genotype: Genotype, state: Any, values: Any, violations: Any) -> None:
        """As it is."""
        self.inner.restore(number, genotype, state, values, violations)


def on_rows(method: Callable[..., Sampler], rows: Rows, pooled: bool) -> Callable[[Study], Sampler]:
    """`method` for this table: `pooled` ones choose from the rows as their pool."""
    if pooled:
        return lambda study: method(study, lambda study: RowsPool(study, rows))
    return lambda study: Nearest(method(study), study.space, rows, study.seed)
