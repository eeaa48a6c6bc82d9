"""What a suggestion of the cost-aware sampler chooses from, and what it is to the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from cspnas.objectives.objectives import exact_names, measured_names
from cspnas.objectives.pareto import Array, HypervolumeReference, losses
from cspnas.samplers.acquisition import Points, joined
from cspnas.samplers.candidate_pool import SIZE, Pool, mutable
from cspnas.samplers.features import Scaling, raw_features
from cspnas.space.search_space import Genotype
from cspnas.study.candidates import Candidate
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study

# Of the front's networks, costed for each block, and when the front has changed.
MUTATIONS = 500
# Candidates that tell the scale of a feature.
LEAST_SCALED = 100
# Of the pool, at random: with all ten no better (docs/LOG.md), and slower.
MOST_BATCHES = 3
# Candidates times trainings at once: about half a second of one core.
KERNEL_ENTRIES = 2_000_000


@dataclass(frozen=True, slots=True)
class CandidateBatch:
    """Candidates to choose from, `batches` of the pool and perhaps others, and what they are to the model."""

    batches: Sequence[int]
    candidates: list[Candidate]
    points: Points


class CandidateSource:
    """Draws from a pool, whose first batches that hold enough give features their scale. Falsy where it holds nothing."""

    def __init__(self, pool: Pool, reference: HypervolumeReference, seed: int) -> None:
        self._pool, self._reference, self._seed = pool, reference, seed
        found, number = list[list[float]](), 0
        while len(found) < LEAST_SCALED and number < pool.batches:
            found += pool.batch(number).features
            number += 1
        self._scaling = Scaling(found) if found else None
        # Of the pool's batches.
        self._points: dict[int, Points] = {}
        # Features of networks by digest.
        self._seen: dict[str, list[float]] = {}
        self._last: tuple[Any, CandidateBatch] | None = None

    def __bool__(self) -> bool:
        """Whether there is any candidate."""
        return self._scaling is not None

    def block(self, number: int, rows: int, front: Mapping[str, Genotype]) -> CandidateBatch:
        """For the suggestions of block `number` after `rows` trainings: some batches, and mutations of the front. The same
        object as long as the front, genotypes by digest, stays.
        """
        random = Random(f"{self._seed}/block/{number}")
        count = min(MOST_BATCHES, KERNEL_ENTRIES // (SIZE * rows), self._pool.batches)
        batches = random.sample(range(self._pool.batches), max(1, count))
        key = (number, batches, list(front))
        if self._last is None or self._last[0] != key:
            mutations = self._pool.mutations(list(front.values()), MUTATIONS, random)
            self._last = (key, self.of(batches, mutations))
        return self._last[1]

    def others(self, drawn: CandidateBatch) -> Iterator[CandidateBatch]:
        """Every batch that is not among those drawn, one by one."""
        return (self.of([number]) for number in range(self._pool.batches) if number not in drawn.batches)

    def of(self, batches: Sequence[int], more: Sequence[Candidate] = ()) -> CandidateBatch:
        """All of these batches, then `more`."""
        for number in batches:
            if number not in self._points:
                batch = self._pool.batch(number)
                self._points[number] = self._as_points(batch.features, batch.candidates)
        features = [raw_features(drawn.architecture, drawn.costs) for drawn in more]
        points = joined(*(self._points[number] for number in batches), self._as_points(features, more))
        candidates = [one for number in batches for one in self._pool.batch(number).candidates]
        return CandidateBatch(batches, [*candidates, *more], points)

    def points(self, networks: Sequence[NetworkRecord]) -> Points:
        """Networks of the results."""
        for network in networks:
            if network.digest not in self._seen:
                self._seen[network.digest] = raw_features(network.architecture, self._costs(network))
        return self._as_points([self._seen[network.digest] for network in networks], networks)

    def _costs(self, network: NetworkRecord) -> dict[str, float]:
        """Also those that had no name when the network was costed: a study's features have the same columns throughout."""
        if all(name in network.costs for name in exact_names()):
            return network.costs
        study = self._pool.study
        return study.exact_costs(study.cost_table().cost(network.architecture)) | network.costs

    def _as_points(self, features: Sequence[Sequence[float]], drawn: Sequence[NetworkRecord | Candidate]) -> Points:
        assert self._scaling is not None
        return Points(self._scaling(features), known_losses(drawn, self._reference))


def parents(results: StudyResults, study: Study) -> dict[str, Genotype]:
    """The front's genotypes by digest; a baseline may have none, and one edited by hand may be none of the space's."""
    found = {network.digest: results.genotypes.get(network.digest) for network in results.front()}
    return {digest: genotype for digest, genotype in found.items() if genotype and mutable(study, genotype)}


def known_losses(drawn: Sequence[NetworkRecord | Candidate], reference: HypervolumeReference) -> Array:
    """(n, k) losses of the k exact objectives, in the reference's order."""
    names = reference.objectives
    values = np.array([[one.costs.get(name, np.nan) for name in names] for one in drawn]).reshape(
        len(drawn), len(names)
    )
    return losses(values, reference)[:, [column for column, name in enumerate(names) if name not in measured_names()]]
