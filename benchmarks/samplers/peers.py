"""The methods that are compared, each behind the interface that the product's driver asks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import optuna

from cspnas.samplers import optuna_samplers
from cspnas.samplers.cost_aware import CostAwareSampler
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.space import SearchSpace
from cspnas.study import Study
from cspnas.teaching import Sampler


def _category_distance(space: SearchSpace) -> Mapping[str, Callable[[Any, Any], float]]:
    """Of `fusion`: `both` lies between `first` and `last`; other genes are numbers or switches already."""
    order = {"first": 0.0, "both": 0.5, "last": 1.0}
    names = [gene.name for gene in space.genes() if gene.field == "fusion"]
    return {name: lambda a, b: abs(order[a] - order[b]) for name in names}


class Variant(OptunaSampler):
    """One of Optuna's samplers that the product itself does not offer."""

    def __init__(self, name: str, study: Study, make: Callable[[int], optuna.samplers.BaseSampler], flat: bool) -> None:
        super().__init__("tpe", study.space, study.objectives, study.seed)
        self.name, self._flat, self._make = name, flat, make

    def suggest(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """As the product's, with this sampler."""
        made, usual = self._make, optuna_samplers._sampler
        optuna_samplers._sampler = lambda name, seed, parents: made(seed)
        try:
            return super().suggest(number)
        finally:
            optuna_samplers._sampler = usual


def tpe_with_distance(study: Study) -> Sampler:
    """TPE with a distance between fusions."""
    distance = _category_distance(study.space)

    def make(seed: int) -> optuna.samplers.BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(
                multivariate=True, group=True, constant_liar=True, seed=seed, categorical_distance_func=distance
            )

    return Variant("tpe-distance", study, make, flat=False)


def nsga3(study: Study) -> Sampler:
    """NSGA-III; one sampler for the whole run, as Optuna's own loop has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.NSGAIIISampler(population_size=optuna_samplers.POPULATION, seed=study.seed)
    return Variant("nsga3", study, lambda seed: sampler, flat=True)


def optunas(name: str) -> Callable[[Study], Sampler]:
    """One that the product offers."""
    return lambda study: OptunaSampler(name, study.space, study.objectives, study.seed)


METHODS: dict[str, Callable[[Study], Sampler]] = {
    "cost-aware": CostAwareSampler,
    "tpe": optunas("tpe"),
    "tpe-distance": tpe_with_distance,
    "nsga2": optunas("nsga2"),
    "nsga3": nsga3,
    "random": optunas("random"),
    "gp": optunas("gp"),
}
