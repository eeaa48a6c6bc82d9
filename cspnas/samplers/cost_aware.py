"""The cost-aware sampler: a model of accuracy alone, every cost exact, the greatest expected hypervolume improvement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import chain
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from cspnas.candidates import Candidate
from cspnas.front import Reference, losses
from cspnas.ledger import Ledger, Network
from cspnas.objectives import MEASURED, check_one_measured
from cspnas.samplers.acquisition import LEAST_ROWS, Model, Points, Trained, due, farthest, joined, telling
from cspnas.samplers.features import Scaling, raw_features
from cspnas.samplers.pool import SIZE, Pool
from cspnas.samplers.surrogate import Surrogate, to_target
from cspnas.space import Genotype
from cspnas.study import Study

Array = npt.NDArray[Any]
BLOCK = 8  # suggestions that choose from the same candidates, so that many slots can be filled at once
MUTATIONS = 500  # of the front's networks, costed for each block, and when the front has changed
MOST_BATCHES = 3  # for a suggestion, at random: with all ten no better (docs/LOG.md), and slower
KERNEL_ENTRIES = 2_000_000  # candidates times trainings at once: about half a second of one core


@dataclass(frozen=True, slots=True)
class Drawn:
    """Candidates to choose from, `batches` of the pool and perhaps others, and what they are to the model."""

    batches: Sequence[int]
    candidates: list[Candidate]
    points: Points


class CostAwareSampler:
    """Proposes genotypes to a driver, whose ledger it reads: `watch` comes before the first suggestion.

    Suggestion `number` depends on the study's seed, the number, the ledger, and the hyperparameters that `restore` brings
    back. No network that the ledger knows is proposed as long as another candidate is left. `pool` makes the candidates.
    """

    name = "cost-aware"

    def __init__(self, study: Study, pool: Callable[[Study], Pool] = Pool) -> None:
        check_one_measured(study.objectives, "objectives")
        self.study, self._make_pool = study, pool
        self._surrogate, self._seen = Surrogate(), dict[str, list[float]]()
        self._model = Model(self._surrogate)
        self._told: tuple[tuple[str, bytes], Trained] | None = None
        self._drawn: tuple[tuple[Any, ...], Drawn] | None = None
        self._scaling: Scaling | None = None  # there once the pool is
        self._points: dict[int, Points] = {}  # of the pool's batches

    def about(self) -> dict[str, str]:
        """Name and versions, recorded with each driver."""
        return {"sampler": self.name, "scikit-learn": version("scikit-learn")}  # its import takes a second

    def fresh(self) -> CostAwareSampler:
        """One like it that was told nothing yet."""
        return type(self)(self.study, self._make_pool)

    def watch(self, ledger: Ledger) -> None:
        """Read results from this ledger."""
        self._ledger = ledger

    # What a driver tells is in its ledger already.

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
        if state and "hyperparameters" in state:
            self._surrogate.load(state["hyperparameters"])

    # Suggesting ----------------------------------------------------------------------------------------------------

    def suggest(self, number: int) -> tuple[Genotype, dict[str, Any]]:
        """The genotype of suggestion `number`; its state keeps the hyperparameters where they were fitted for it."""
        random = Random(f"{self.study.seed}/{number}")
        if not self._scale():
            return self.study.space.sample(random), {}  # the driver finds what is left, or that nothing is
        trained, pending = self._trained(), self._in_flight()
        known = joined(trained.points, pending)
        if len(trained.accuracy) < LEAST_ROWS:
            return self._first_unknown(lambda points: farthest(points, known, random), self._of([0], []), random), {}
        with _linear_algebra().limit(limits=1):  # the other cores train; and threads cost more than they bring here
            state = self._refit(trained)
            drawn = self._block(number // BLOCK, len(trained.accuracy))
            return self._first_unknown(lambda points: self._ranked(trained, pending, points), drawn, random), state

    def _first_unknown(self, ranked: Callable[[Points], Iterable[int]], drawn: Drawn, random: Random) -> Genotype:
        """The best unknown candidate of those drawn; of the pool's other batches where they have none."""
        others = (self._of([number], []) for number in range(self._pool.batches) if number not in drawn.batches)
        for some in chain([drawn], others):
            for n in ranked(some.points) if some.candidates else ():
                if some.candidates[n].digest not in self._ledger.networks:
                    return some.candidates[n].genotype
        return self.study.space.sample(random)

    def _ranked(self, trained: Trained, pending: Points, candidates: Points) -> Iterator[int]:
        """Candidates from the best to the least."""
        return self._model.believe(trained, pending, candidates, self._ledger.reference.chance).ranked()

    def _scale(self) -> bool:
        """Whether there is any candidate; the first batch that has some gives features their scale."""
        if self._scaling is None:
            self._pool = self._make_pool(self.study)
            batches = (self._pool.batch(number).features for number in range(self._pool.batches))
            found = next((features for features in batches if features), None)
            self._scaling = None if found is None else Scaling(found)
        return self._scaling is not None

    def _refit(self, trained: Trained) -> dict[str, Any]:
        if not due(self._surrogate, len(trained.accuracy)):
            return {}
        self._surrogate.fit(trained.points.features[trained.network], to_target(trained.accuracy))
        return {"hyperparameters": self._surrogate.dump()}

    def _batches(self, rows: int, random: Random) -> list[int]:
        """As many of the pool's as `rows` trainings leave time for."""
        count = min(MOST_BATCHES, KERNEL_ENTRIES // (SIZE * rows), self._pool.batches)
        return random.sample(range(self._pool.batches), max(1, count))

    def _block(self, number: int, rows: int) -> Drawn:
        """Candidates for the suggestions of block `number`: batches of the pool, and mutations of the front as it stands."""
        random = Random(f"{self.study.seed}/block/{number}")
        batches = self._batches(rows, random)
        front = [network.digest for network in self._ledger.front()]
        key = (number, tuple(batches), tuple(front))
        if self._drawn is None or self._drawn[0] != key:
            parents = [genotype for digest in front if (genotype := self._ledger.genotypes.get(digest))]
            self._drawn = (key, self._of(batches, self._pool.mutations(parents, MUTATIONS, random)))
        return self._drawn[1]

    def _of(self, batches: Sequence[int], more: Sequence[Candidate]) -> Drawn:
        """All of these batches, then `more`."""
        for number in batches:
            if number not in self._points:
                batch = self._pool.batch(number)
                self._points[number] = self._points_of(batch.features, batch.candidates)
        features = [raw_features(drawn.architecture, drawn.costs) for drawn in more]
        points = joined(*(self._points[number] for number in batches), self._points_of(features, more))
        candidates = [one for number in batches for one in self._pool.batch(number).candidates]
        return Drawn(batches, [*candidates, *more], points)

    # What is known -------------------------------------------------------------------------------------------------

    def _trained(self) -> Trained:
        """Of the networks that tell most, every training; the same object as long as there is nothing new."""
        measured = self._ledger.measured()
        best = np.array([max(network.accuracies) for network in measured])
        kept = [measured[n] for n in telling(known_losses(measured, self._ledger.reference), best)]
        network = np.repeat(np.arange(len(kept)), [len(network.accuracies) for network in kept])
        accuracies = np.array([accuracy for network in kept for accuracy in network.accuracies])
        key = ("".join(network.digest for network in kept), accuracies.tobytes())
        if self._told is None or self._told[0] != key:
            self._told = (key, Trained(self._points_of(self._features(kept), kept), network, accuracies))
        return self._told[1]

    def _in_flight(self) -> Points:
        networks = self._ledger.networks.values()
        flying = [n for n in networks if not n.accuracies and n.evaluations[0]["state"] == "in_flight"]
        return self._points_of(self._features(flying), flying)

    def _points_of(self, features: Sequence[Sequence[float]], drawn: Sequence[Network | Candidate]) -> Points:
        assert self._scaling is not None
        return Points(self._scaling(features), known_losses(drawn, self._ledger.reference))

    def _features(self, networks: Sequence[Network]) -> list[list[float]]:
        for network in networks:
            if network.digest not in self._seen:
                self._seen[network.digest] = raw_features(network.architecture, network.costs)
        return [self._seen[network.digest] for network in networks]


@cache
def _linear_algebra() -> ThreadpoolController:
    """The libraries that the model computes with, after they are loaded."""
    import sklearn.gaussian_process  # noqa: F401

    return ThreadpoolController()


def known_losses(drawn: Sequence[Network | Candidate], reference: Reference) -> Array:
    """(n, k) losses of the k exact objectives, in the reference's order."""
    names = reference.objectives
    values = np.array([[one.costs.get(name, np.nan) for name in names] for one in drawn]).reshape(
        len(drawn), len(names)
    )
    return losses(values, reference)[:, [column for column, name in enumerate(names) if name not in MEASURED]]
