"""Which candidate to measure next: the greatest exact expected hypervolume improvement under a model of accuracy."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import numpy as np

from cspnas.objectives.pareto import Array
from cspnas.samplers.ehvi import Excess, improvement_bound, improvement_over, leading, log_error_excess
from cspnas.samplers.hyperparameters import KernelHyperparameters, Posterior, to_accuracy, to_target
from cspnas.study.suggestion import FittedHyperparameters

# Candidates whose gain is computed at once.
CANDIDATES_PER_CHUNK = 512
# Trainings before the first model.
LEAST_ROWS = 6
# The model's memory and time grow with their square and cube.
MODEL_NETWORKS = 1500
# Hyperparameters are fitted again when there are this many times the rows of the last fit.
GROWTH = 1.25


@dataclass(frozen=True, slots=True)
class Points:
    """Architectures to a model: `features` (n, d) and known losses `costs` (n, k)."""

    features: Array
    costs: Array


@dataclass(frozen=True, slots=True)
class Observations:
    """What was measured: distinct networks, and one accuracy a training, of network number `network`."""

    points: Points
    network: Array
    accuracy: Array

    @property
    def tell_nothing(self) -> bool:
        """Whether a model of them would see no difference between candidates."""
        return len(self.accuracy) < LEAST_ROWS or not self.points.features.shape[1]


def select_training_rows(costs: Array, best: Array, most: int = MODEL_NETWORKS) -> Array:
    """Indices, in order, of at most `most` of the networks with known losses `costs` (n, k) and best accuracies (n,): the
    front, then what is the front without it, and so on up to half of them, which tell where a gain begins; the rest evenly
    over the order of training, which tells of the whole space.
    """
    left, near = np.arange(len(costs)), np.empty(0, int)
    if len(left) <= most:
        return left
    while len(near) < most // 2:
        front = leading(costs[left], best[left])
        near, left = np.concatenate([near, left[front]]), left[~front]
    spread = left[np.linspace(0, len(left) - 1, most - len(near)).astype(int)] if len(near) < most else left[:0]
    return np.asarray(np.sort(np.concatenate([near, spread])[:most]))


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What the model says before the next suggestion: the incumbents, and each candidate's accuracy."""

    # (m, k) known losses of the incumbents that count.
    costs: Array
    # (m,) their posterior medians.
    accuracies: Array
    candidates: Points
    found: Posterior
    # Accuracy from which the hypervolume counts.
    reference: float

    def excess(self, where: Array) -> Excess:
        """Of the candidates at indices `where`."""
        mean, deviation = self.found.mean[where], self.found.deviation[where]
        return lambda threshold: log_error_excess(np.asarray(threshold), mean, deviation)

    def ranked(self) -> Iterator[int]:
        """Candidates from the greatest expected improvement down; gains are computed only as far as they are asked for, in
        the order of an upper bound.
        """
        volume, needed = improvement_bound(self.candidates.costs, self.costs, self.accuracies, self.reference)
        bound = volume * log_error_excess(needed, self.found.mean, self.found.deviation)
        order = np.argsort(-bound, kind="stable")
        improvement = improvement_over(self.costs, self.accuracies, self.reference)
        heap: list[tuple[float, float, int]] = []
        for start in range(0, len(order), CANDIDATES_PER_CHUNK):
            while heap and -heap[0][0] >= bound[order[start]]:
                yield heapq.heappop(heap)[2]
            where = order[start : start + CANDIDATES_PER_CHUNK]
            gains = improvement(self.candidates.costs[where], self.excess(where))
            for index, gain in zip(where, gains, strict=True):
                heapq.heappush(heap, (-float(gain), -float(self.found.mean[index]), int(index)))
        while heap:
            yield heapq.heappop(heap)[2]


class AccuracyModel:
    """Beliefs of one surrogate. What the same trainings and the same candidates gave is kept (the same objects, that is)."""

    def __init__(self, surrogate: KernelHyperparameters) -> None:
        self._surrogate = surrogate
        self._known: tuple[Observations, FittedHyperparameters] | None = None
        self._candidates: Points | None = None

    def refit(self, trained: Observations) -> FittedHyperparameters | None:
        """Fit the hyperparameters again where that is due, by the number of trainings; what was fitted."""
        if len(trained.accuracy) < GROWTH * self._surrogate.fitted_rows:
            return None
        self._surrogate.fit(trained.points.features[trained.network], to_target(trained.accuracy))
        return self._surrogate.dump()

    def believe(self, trained: Observations, pending: Points, candidates: Points, reference: float) -> Acquisition:
        """Incumbents are the posterior medians of trained networks and of those in flight, which the model takes for measured
        at its own mean.
        """
        self._learn(trained)
        if candidates is not self._candidates:
            self._candidates, self._described = candidates, self._process.describe(candidates.features)
        flying = self._process.describe(pending.features)
        costs = np.concatenate([trained.points.costs, pending.costs])
        accuracies = np.concatenate([self._accuracies, to_accuracy(flying.mean)])
        kept = leading(costs, accuracies)
        found = self._process.beside(self._described, flying)
        return Acquisition(costs[kept], accuracies[kept], candidates, found, reference)

    def _learn(self, trained: Observations) -> None:
        from cspnas.samplers.gaussian_process import (
            # Needs linear algebra, the first suggestions do not.
            GaussianProcess,
        )

        fitted = self._surrogate.dump()
        if self._known is not None and self._known[0] is trained and self._known[1] == fitted:
            return
        self._known, self._candidates = (trained, fitted), None
        features = trained.points.features
        self._process = GaussianProcess(self._surrogate, features[trained.network], to_target(trained.accuracy))
        self._accuracies = to_accuracy(self._process.mean(features))


def farthest_first_order(candidates: Points, known: Points, random: Random) -> list[int]:
    """All candidates, those first whose costs are farthest from all known ones; any one first where none is known."""
    count = len(candidates.costs)
    if not len(known.costs):
        start = random.randrange(count)
        return [start, *(number for number in range(count) if number != start)]
    distance = np.square(candidates.costs[:, None, :] - known.costs[None, :, :]).sum(2).min(1)
    return [int(number) for number in np.argsort(-distance, kind="stable")]


def joined(*parts: Points) -> Points:
    """The points of all, in order."""
    features = np.concatenate([part.features for part in parts])
    return Points(features, np.concatenate([part.costs for part in parts]))
