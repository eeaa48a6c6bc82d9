"""The cost-aware sampler: a model of accuracy alone, every cost exact, the greatest expected hypervolume improvement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from cspnas.candidates import Candidate
from cspnas.front import Reference, losses
from cspnas.ledger import Ledger, Network
from cspnas.objectives import MEASURED, check_one_measured
from cspnas.samplers.acquisition import LEAST_ROWS, Points, Trained, believe, due, farthest, joined, telling
from cspnas.samplers.features import Scaling, raw_features
from cspnas.samplers.pool import Pool
from cspnas.samplers.surrogate import Surrogate, to_target
from cspnas.space import Genotype
from cspnas.study import Study

Array = npt.NDArray[Any]
MUTATIONS = 500  # of the front's networks, costed anew for each suggestion
KERNEL_ENTRIES = 3_000_000  # candidates times trainings at once: about half a second of one core


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
        self._pool: Pool | None = None

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
        pool = self._filled()
        if not pool.candidates:
            return self.study.space.sample(random), {}  # the driver finds what is left, or that nothing is
        trained, pending = self._trained(), self._in_flight()
        if len(trained.accuracy) < LEAST_ROWS:
            return self._apart(joined(trained.points, pending), random), {}
        state = self._refit(trained)
        candidates, points = self._candidates(len(trained.accuracy), random)
        known = self._ledger.networks
        ranked = self._ranked(trained, pending, points)
        chosen = next((n for n in ranked if candidates[n].digest not in known), None)
        return candidates[0 if chosen is None else chosen].genotype, state

    def _ranked(self, trained: Trained, pending: Points, candidates: Points) -> Iterator[int]:
        """Candidates from the best to the least."""
        return believe(self._surrogate, trained, pending, candidates, self._ledger.reference.chance).ranked()

    def _filled(self) -> Pool:
        if self._pool is None:
            self._pool = self._make_pool(self.study)
            self._scaling = Scaling(self._pool.features)
            self._points = self._points_of(self._pool.features, self._pool.candidates)
        return self._pool

    def _apart(self, known: Points, random: Random) -> Genotype:
        """An unknown candidate with costs far from all known ones: before there is a model."""
        pool = self._filled().candidates
        order = farthest(self._points, known, random.randrange(len(pool)))
        unknown = (pool[n] for n in order if pool[n].digest not in self._ledger.networks)
        return next(unknown, pool[0]).genotype

    def _refit(self, trained: Trained) -> dict[str, Any]:
        if not due(self._surrogate, len(trained.accuracy)):
            return {}
        self._surrogate.fit(trained.points.features[trained.network], to_target(trained.accuracy))
        return {"hyperparameters": self._surrogate.dump()}

    def _candidates(self, rows: int, random: Random) -> tuple[list[Candidate], Points]:
        """As many of the pool as `rows` trainings leave time for, and mutations of the front."""
        pool = self._filled()
        genotypes = (self._ledger.genotypes.get(network.digest) for network in self._ledger.front())
        mutations = pool.mutations([found for found in genotypes if found], MUTATIONS, random)
        where = list(range(len(pool.candidates)))
        if len(where) > KERNEL_ENTRIES // rows:
            where = random.sample(where, KERNEL_ENTRIES // rows)
        features = [raw_features(drawn.architecture, drawn.costs) for drawn in mutations]
        points = Points(self._points.features[where], self._points.costs[where])
        return [pool.candidates[n] for n in where] + mutations, joined(points, self._points_of(features, mutations))

    # What is known -------------------------------------------------------------------------------------------------

    def _trained(self) -> Trained:
        measured = self._ledger.measured()
        seeds = [len(network.accuracies) for network in measured]
        accuracies = [accuracy for network in measured for accuracy in network.accuracies]
        points = self._points_of(self._features(measured), measured)
        return telling(Trained(points, np.repeat(np.arange(len(measured)), seeds), np.array(accuracies)))

    def _in_flight(self) -> Points:
        networks = self._ledger.networks.values()
        flying = [n for n in networks if not n.accuracies and n.evaluations[0]["state"] == "in_flight"]
        return self._points_of(self._features(flying), flying)

    def _points_of(self, features: Sequence[Sequence[float]], drawn: Sequence[Network | Candidate]) -> Points:
        return Points(self._scaling(features), known_losses(drawn, self._ledger.reference))

    def _features(self, networks: Sequence[Network]) -> list[list[float]]:
        for network in networks:
            if network.digest not in self._seen:
                self._seen[network.digest] = raw_features(network.architecture, network.costs)
        return [self._seen[network.digest] for network in networks]


def known_losses(drawn: Sequence[Network | Candidate], reference: Reference) -> Array:
    """(n, k) losses of the k exact objectives, in the reference's order."""
    names = reference.objectives
    values = np.array([[one.costs.get(name, np.nan) for name in names] for one in drawn]).reshape(
        len(drawn), len(names)
    )
    return losses(values, reference)[:, [column for column, name in enumerate(names) if name not in MEASURED]]
