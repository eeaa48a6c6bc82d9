"""The default sampler: a model of accuracy alone, all costs exact, the greatest expected hypervolume improvement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from cspnas.architecture import Architecture
from cspnas.candidates import admitted
from cspnas.cost import CostTable
from cspnas.errors import ArchitectureError, InputError
from cspnas.families import wire
from cspnas.front import losses
from cspnas.ledger import Ledger, Network
from cspnas.objectives import OBJECTIVES, exact_values
from cspnas.samplers.acquisition import LEAST_ROWS, Points, Trained, believe, due, farthest
from cspnas.samplers.features import Scaling, raw_features
from cspnas.samplers.surrogate import Surrogate, to_target
from cspnas.space import Genotype
from cspnas.study import Study

Array = npt.NDArray[Any]
POOL = 10_000  # random admitted candidates, costed once
MUTATIONS = 500  # of the best networks, costed for each suggestion


@dataclass(slots=True)
class Entry:
    """A candidate: costed, its digest computed when first asked for."""

    genotype: Genotype
    architecture: Architecture
    costs: dict[str, Any]
    features: list[float]
    _digest: str = field(default="")

    @property
    def digest(self) -> str:
        """The network's identity."""
        if not self._digest:
            self._digest = wire(self.architecture).digest()
        return self._digest


class CostAwareSampler:
    """Proposes genotypes for a driver. Needs `watch(ledger)` before the first suggestion; reads results from there."""

    name = "cost-aware"

    def __init__(self, study: Study) -> None:
        measured = [name for name in study.objectives if OBJECTIVES[name].exact is None]
        if len(measured) != 1:
            raise InputError(
                f"sampler cost-aware with measured objectives {', '.join(measured)}",
                expected="one measured objective, the others exact",
                where="search.sampler",
                do="use nsga2 or tpe for several measured objectives",
            )
        self.study, self._table, self._surrogate = study, CostTable(), Surrogate()
        self._pool: list[Entry] = []
        self._scaling: Scaling | None = None
        self._seen: dict[str, list[float]] = {}

    def about(self) -> dict[str, str]:
        """Name and versions, recorded with each driver."""
        import sklearn

        return {"sampler": self.name, "scikit-learn": sklearn.__version__}

    def watch(self, ledger: Ledger) -> None:
        """Read results from this ledger."""
        self._ledger = ledger
        self._known = [name for name in ledger.reference.objectives if OBJECTIVES[name].exact is not None]

    # What a driver tells is in the ledger already.

    def tell(self, number: int, values: Mapping[str, float], violations: Mapping[str, float]) -> None:
        """Nothing to do."""

    def forget(self, number: int) -> None:
        """Nothing to do."""

    def restore(
        self,
        genotype: Genotype,
        state: Mapping[str, Any] | None,
        values: Mapping[str, float] | None,
        violations: Mapping[str, float],
    ) -> None:
        """Take over the hyperparameters that an earlier driver fitted."""
        if state and "hyperparameters" in state:
            self._surrogate.load(state["hyperparameters"])

    # Suggesting ----------------------------------------------------------------------------------------------------

    def suggest(self, number: int) -> tuple[Genotype, dict[str, Any]]:
        """The genotype of suggestion `number`; its state keeps the hyperparameters where they were fitted for it."""
        random = Random(f"{self.study.seed}/{number}")
        pool = self._fill_pool()
        trained, pending, best = self._known_networks()
        if len(trained.accuracy) < LEAST_ROWS:
            chosen = farthest(self._pool_points, _joined(trained.points, pending), random.randrange)
            return pool[chosen].genotype, {}
        state = {}
        if due(self._surrogate, len(trained.accuracy)):
            self._surrogate.fit(trained.points.features[trained.network], to_target(trained.accuracy))
            state["hyperparameters"] = self._surrogate.dump()
        mutations = self._mutations(best, random)
        points = _joined(self._pool_points, self._points(mutations))
        belief = believe(self._surrogate, trained, pending, points, self._ledger.reference.chance)
        candidates = [*pool, *mutations]
        for index in belief.ranked():
            if candidates[index].digest not in self._ledger.networks:
                return candidates[index].genotype, state
        return random.choice(candidates).genotype, state  # all known: the driver ends or draws evenly

    def _fill_pool(self) -> list[Entry]:
        if not self._pool:
            random, draws = Random(f"{self.study.seed}/pool"), 0
            seen: set[str] = set()
            while len(self._pool) < POOL and draws < 20 * POOL:
                draws += 1
                genotype = self.study.space.sample(random)
                key = repr(sorted(genotype.items()))
                if key not in seen:
                    seen.add(key)
                    self._pool += self._entries([genotype])
            self._scaling = Scaling([entry.features for entry in self._pool])
            self._pool_points = self._points(self._pool)
        return self._pool

    def _entries(self, genotypes: list[Genotype]) -> Iterator[Entry]:
        """The admitted candidates among `genotypes`."""
        for genotype in genotypes:
            try:
                architecture = self.study.space.decode(genotype)
                cost = self._table.cost(architecture)
            except ArchitectureError:
                continue
            costs = exact_values(cost, self.study.recipe.batch_size)
            if admitted(self.study, costs):
                yield Entry(genotype, architecture, costs, raw_features(architecture, costs))

    def _mutations(self, parents: list[Genotype], random: Random) -> list[Entry]:
        """Neighbours of the best networks, and neighbours of those."""
        genotypes: list[Genotype] = []
        for _ in range(MUTATIONS if parents else 0):
            genotype = random.choice(parents)
            for _ in range(random.choice((1, 1, 2, 3))):
                genotype = self._mutated(genotype, random)
            genotypes.append(genotype)
        return list(self._entries(genotypes))

    def _mutated(self, genotype: Genotype, random: Random) -> Genotype:
        """One gene changed; genes that come to have an effect are drawn evenly."""
        space = self.study.space
        genes = [gene for gene in space.genes() if gene.name in genotype]
        if not genes:
            return genotype
        gene = random.choice(genes)
        filled = {**{gene.name: random.choice(gene.choices) for gene in space.genes()}, **genotype}
        filled[gene.name] = random.choice([c for c in gene.choices if c != genotype[gene.name]])
        return space.active(filled)

    # What is known -------------------------------------------------------------------------------------------------

    def _known_networks(self) -> tuple[Trained, Points, list[Genotype]]:
        """Trained networks, those in flight, and the genotypes on the front."""
        networks = list(self._ledger.networks.values())
        measured = [network for network in networks if network.accuracies]
        flying = [n for n in networks if not n.accuracies and n.evaluations[0]["state"] == "in_flight"]
        trained = Trained(
            self._points(measured),
            np.repeat(np.arange(len(measured)), [len(network.accuracies) for network in measured]),
            np.array([accuracy for network in measured for accuracy in network.accuracies]),
        )
        genotypes = (self._ledger.genotypes.get(network.digest) for network in self._ledger.front())
        return trained, self._points(flying), [genotype for genotype in genotypes if genotype]

    def _points(self, networks: Sequence[Network] | Sequence[Entry]) -> Points:
        """Features and losses; those of a network are kept by its digest, those of the pool in its entries."""
        assert self._scaling is not None
        features = [n.features if isinstance(n, Entry) else self._features(n) for n in networks]
        columns = [name for name in self._ledger.reference.objectives if name in self._known]
        values = np.array([[n.costs.get(name, np.nan) for name in self._ledger.reference.objectives] for n in networks])
        values = values.reshape(len(networks), len(self._ledger.reference.objectives))
        kept = [self._ledger.reference.objectives.index(name) for name in columns]
        return Points(self._scaling(features), losses(values, self._ledger.reference)[:, kept])

    def _features(self, network: Network) -> list[float]:
        if network.digest not in self._seen:
            self._seen[network.digest] = raw_features(network.architecture, network.costs)
        return self._seen[network.digest]


def _joined(first: Points, second: Points) -> Points:
    return Points(np.concatenate([first.features, second.features]), np.concatenate([first.costs, second.costs]))
