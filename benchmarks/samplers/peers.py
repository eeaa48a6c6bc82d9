"""The methods that are compared, each behind the interface that the product's driver asks.

Optuna 5 has no distance between categories in its TPE any more (`categorical_distance_func`). `tpe` knows which choices are
near each other all the same, for ordered genes are integers to it; to `tpe-categorical` every gene is a category.
`costs-only` is no peer but a part of ours: it shows what knowing the costs does without a model of accuracy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import optuna

from cspnas.errors import ArchitectureError
from cspnas.samplers import optuna_samplers
from cspnas.samplers.acquisition import Acquisition, Observations, Points
from cspnas.samplers.candidate_pool import Pool
from cspnas.samplers.cost_aware import CostAwareSampler
from cspnas.samplers.ehvi import leading
from cspnas.samplers.hyperparameters import Posterior, to_accuracy, to_target
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.samplers.protocol import Sampler
from cspnas.space.search_space import Gene, Genotype, SearchSpace
from cspnas.study.candidates import candidate, violations
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study
from cspnas.study.suggestion import SamplerState


class Variant(OptunaSampler):
    """One of Optuna's samplers that the product itself does not offer."""

    def __init__(self, name: str, study: Study, make: Callable[[int], optuna.samplers.BaseSampler], flat: bool) -> None:
        super().__init__("tpe", study.space, study.objectives, study.seed)
        self.name, self._flat, self._make = name, flat, make

    def fresh(self) -> Variant:
        """One like it that was told nothing yet."""
        raise NotImplementedError("a comparison has one driver")

    def _made(self, seed: int) -> optuna.samplers.BaseSampler:
        return self._make(seed)

    def _first_generation(self) -> dict[str, Any]:
        return {optuna.samplers.NSGAIIISampler._get_generation_key(): 0}


def nsga3(study: Study) -> Sampler:
    """NSGA-III; one sampler for the whole run, as Optuna's own loop has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.NSGAIIISampler(population_size=optuna_samplers.POPULATION, seed=study.seed)
    return Variant("nsga3", study, lambda seed: sampler, flat=True)


class Gp(OptunaSampler):
    """Optuna's Gaussian process, told the value of a network that it proposes again, as it would be by an objective that
    remembers. TrialIndex nothing, as the product does it, it proposes the same one up to fifty times in a row.
    """

    def __init__(self, study: Study) -> None:
        super().__init__("gp", study.space, study.objectives, study.seed)
        self._searched, self._proposed = study, dict[int, Genotype]()

    def watch(self, results: StudyResults) -> None:
        """What is remembered."""
        self._results = results

    def suggest(self, number: int) -> tuple[Genotype, SamplerState]:
        """As it is."""
        self._proposed[number], state = super().suggest(number)
        return self._proposed[number], state

    def forget(self, number: int) -> None:
        """TrialIndex again where there is a result by now; a network that is not valid, or in flight, has none."""
        try:
            known = self._results.networks.get(candidate(self._searched, self._proposed.pop(number)).digest)
        except ArchitectureError:
            known = None
        if known is None or not known.accuracies:
            super().forget(number)
        else:
            values = known.costs | {"accuracy": known.accuracies[0]}
            self.tell(number, values, violations(self._searched, known.costs))


class Category(Gene):
    """A gene whose choices have no order, though they be numbers."""

    @property
    def ordered(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class Categories(SearchSpace):
    """A space in which no choice is nearer to one than to another."""

    def genes(self) -> tuple[Gene, ...]:
        """As categories."""
        return tuple(Category(gene.name, gene.choices, gene.field, gene.number) for gene in super().genes())


class CategoricalTpe(OptunaSampler):
    """TPE without any distance between choices."""

    def __init__(self, study: Study) -> None:
        space = Categories(**{field.name: getattr(study.space, field.name) for field in fields(study.space)})
        super().__init__("tpe", space, study.objectives, study.seed)

    def restore(self, number: int, genotype: Genotype, state: Any, values: Any, violations: Any) -> None:
        """By the genotype alone: the random start asked for places among ordered choices."""
        super().restore(number, genotype, None, values, violations)


def optunas(name: str) -> Callable[[Study], Sampler]:
    """One that the product offers."""
    return lambda study: OptunaSampler(name, study.space, study.objectives, study.seed)


class CostsOnly(CostAwareSampler):
    """The cost-aware sampler without its model: whatever is not trained is as accurate as the mean of what is."""

    name = "costs-only"

    def _refit(self, trained: Observations) -> SamplerState:
        return {}

    def _ranked(self, trained: Observations, pending: Points, candidates: Points) -> Iterator[int]:
        target, count = to_target(trained.accuracy), len(candidates.costs)
        alike = Posterior(np.full(count, target.mean()), np.full(count, target.std()))
        costs = np.concatenate([trained.points.costs[trained.network], pending.costs])
        accuracies = np.append(trained.accuracy, np.full(len(pending.costs), to_accuracy(target.mean())))
        kept = leading(costs, accuracies)
        return Acquisition(costs[kept], accuracies[kept], candidates, alike, self._results.reference.chance).ranked()


def botorch(study: Study, *pool: Callable[[Study], Pool]) -> Sampler:
    """qLogNEHVI; BoTorch is imported by who asks for it."""
    from botorch_peer import BotorchSampler

    return BotorchSampler(study, *pool)


POOLED = ("cost-aware", "costs-only", "botorch")  # they choose from a pool, the others generate
METHODS: dict[str, Callable[..., Sampler]] = {
    "cost-aware": CostAwareSampler,
    "costs-only": CostsOnly,
    "tpe": optunas("tpe"),
    "tpe-categorical": CategoricalTpe,
    "nsga2": optunas("nsga2"),
    "nsga3": nsga3,
    "random": optunas("random"),
    "gp": Gp,
    "botorch": botorch,
}
