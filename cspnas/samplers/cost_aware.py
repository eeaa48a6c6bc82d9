"""The cost-aware sampler: a model of accuracy alone, every cost exact, the greatest expected hypervolume improvement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import version
from itertools import chain
from random import Random
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from cspnas.objectives.objectives import check_one_measured
from cspnas.samplers.acquisition import (
    AccuracyModel,
    Observations,
    Points,
    farthest_first_order,
    joined,
    select_training_rows,
)
from cspnas.samplers.candidate_batches import CandidateBatch, CandidateSource, known_losses, parents
from cspnas.samplers.candidate_pool import Pool
from cspnas.samplers.hyperparameters import KernelHyperparameters
from cspnas.space.search_space import Genotype
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study
from cspnas.study.suggestion import SamplerState

# Suggestions that choose from the same candidates, so that many slots can be filled at once.
BLOCK = 8


class CostAwareSampler:
    """Proposes genotypes to a driver, whose results it reads: `watch` comes before the first suggestion.

    Suggestion `number` depends on the study's seed, the number, the results, and the hyperparameters that `restore` brings
    back. No network that the results know is proposed as long as another candidate is left. `pool` makes the candidates.
    """

    name = "cost-aware"

    def __init__(self, study: Study, pool: Callable[[Study], Pool] = Pool) -> None:
        check_one_measured(study.objectives, "objectives")
        self.study, self._make_pool = study, pool
        self._surrogate = KernelHyperparameters()
        self._model = AccuracyModel(self._surrogate)
        self._told: tuple[tuple[str, bytes], Observations] | None = None
        # Made for the first suggestion.
        self._drawing: CandidateSource | None = None

    def about(self) -> dict[str, str]:
        """Name and versions, recorded with each driver."""
        # Its import takes a second.
        return {"sampler": self.name, "scikit-learn": version("scikit-learn")}

    def fresh(self) -> CostAwareSampler:
        """One like it that was told nothing yet."""
        return type(self)(self.study, self._make_pool)

    def watch(self, results: StudyResults) -> None:
        """Read results from there."""
        self._results = results

    # What a driver tells is in its results already.

    def tell(self, number: int, values: Mapping[str, float], violations: Mapping[str, float]) -> None:
        """Nothing to do."""

    def forget(self, number: int) -> None:
        """Nothing to do."""

    def restore(
        self,
        number: int,
        genotype: Genotype,
        state: Mapping[str, Any] | None,
        values: Mapping[str, float] | None,
        violations: Mapping[str, float],
    ) -> None:
        """Take over the hyperparameters that an earlier driver fitted for this suggestion."""
        if isinstance(state, Mapping) and "hyperparameters" in state:
            self._surrogate.load(
                state["hyperparameters"],
                most=number,
                # Each row is of another suggestion, before this one.
            )

    # Suggesting ----------------------------------------------------------------------------------------------------

    def suggest(self, number: int) -> tuple[Genotype, SamplerState]:
        """The genotype of suggestion `number`; its state keeps the hyperparameters where they were fitted for it."""
        random, drawing = Random(f"{self.study.seed}/{number}"), self._draws()
        if not drawing:
            # The driver finds what is left, or that nothing is.
            return self.study.space.sample(random), {}
        trained, pending = self._trained(), self._in_flight()
        if trained.tell_nothing:
            known = joined(trained.points, pending)
            farthest_first = partial(farthest_first_order, known=known, random=random)
            return self._first_unknown(farthest_first, drawing.of([0]), random), {}
        # The other cores train; and threads cost more than they bring here.
        with _linear_algebra().limit(limits=1):
            state = self._refit(trained)
            drawn = drawing.block(number // BLOCK, len(trained.accuracy), parents(self._results, self.study))
            return self._first_unknown(lambda points: self._ranked(trained, pending, points), drawn, random), state

    def _draws(self) -> CandidateSource:
        if self._drawing is None:
            self._drawing = CandidateSource(self._make_pool(self.study), self._results.reference, self.study.seed)
        return self._drawing

    def _first_unknown(
        self, ranked: Callable[[Points], Iterable[int]], drawn: CandidateBatch, random: Random
    ) -> Genotype:
        """The best unknown candidate of those drawn; of the pool's other batches where they have none."""
        for some in chain([drawn], self._draws().others(drawn)):
            for n in ranked(some.points) if some.candidates else ():
                if some.candidates[n].digest not in self._results.networks:
                    return some.candidates[n].genotype
        return self.study.space.sample(random)

    def _ranked(self, trained: Observations, pending: Points, candidates: Points) -> Iterator[int]:
        """Candidates from the best to the least."""
        return self._model.believe(trained, pending, candidates, self._results.reference.chance).ranked()

    def _refit(self, trained: Observations) -> SamplerState:
        fitted = self._model.refit(trained)
        return {} if fitted is None else {"hyperparameters": fitted}

    # What is known -------------------------------------------------------------------------------------------------

    def _trained(self) -> Observations:
        """Of the networks that tell most, every training; the same object as long as there is nothing new."""
        measured = self._results.measured()
        best = np.array([max(network.accuracies) for network in measured])
        kept = [measured[n] for n in select_training_rows(known_losses(measured, self._results.reference), best)]
        network = np.repeat(np.arange(len(kept)), [len(network.accuracies) for network in kept])
        accuracies = np.array([accuracy for network in kept for accuracy in network.accuracies])
        key = ("".join(network.digest for network in kept), accuracies.tobytes())
        if self._told is None or self._told[0] != key:
            self._told = (key, Observations(self._draws().points(kept), network, accuracies))
        return self._told[1]

    def _in_flight(self) -> Points:
        networks = self._results.networks.values()
        flying = [n for n in networks if not n.accuracies and n.evaluations[0].under_way]
        return self._draws().points(flying)


@cache
def _linear_algebra() -> ThreadpoolController:
    """The libraries that the model computes with, which are loaded by now."""
    return ThreadpoolController()
