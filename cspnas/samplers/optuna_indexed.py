"""Optuna's NSGA-II and TPE with what they look for in a study kept ready: they read all of it for each suggestion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.search_space.group_decomposed import _GroupDecomposedSearchSpace, _SearchSpaceGroup
from optuna.trial import FrozenTrial

# The user attribute of a trial that has its suggestion's number.
NUMBER = "suggestion"
# The system attribute, as studies have it recorded.
GENERATION = "_Nsga2:generation"


class TrialIndex:
    """The complete trials of one study, by generation, by suggestion number and by the parameters that they have."""

    def __init__(self) -> None:
        # Generation -> suggestion numbers.
        self.parents: dict[int, list[int]] = {}
        self._trials: dict[int, FrozenTrial] = {}
        self._generations: dict[int, list[FrozenTrial]] = {}
        # Of each set of parameters.
        self._first: dict[frozenset[str], FrozenTrial] = {}

    def add(self, trial: FrozenTrial) -> None:
        """A trial that is complete, and does not change any more."""
        self._trials[number_of(trial)] = trial
        generation = trial.system_attrs.get(GENERATION)
        if generation is not None:
            self._generations.setdefault(generation, []).append(trial)
        names = frozenset(trial.params)
        if names not in self._first or trial.number < self._first[names].number:
            self._first[names] = trial

    def of_generation(self, generation: int) -> list[FrozenTrial]:
        """In the order of their suggestions."""
        return sorted(self._generations.get(generation, ()), key=number_of)

    def newest_generation(self) -> tuple[int, int]:
        """The last generation that has a member, 0 before there is one, and how many it has."""
        newest = max(self._generations, default=0)
        return newest, len(self._generations.get(newest, ()))

    def of_numbers(self, numbers: Iterable[int]) -> list[FrozenTrial]:
        """In the order of their suggestions."""
        return [self._trials[number] for number in sorted(numbers) if number in self._trials]

    def spaces(self) -> list[dict[str, BaseDistribution]]:
        """Each set of parameters once, in the order of the first trials that have them."""
        return [trial.distributions for trial in sorted(self._first.values(), key=lambda trial: trial.number)]


class Nsga2(optuna.samplers.NSGAIISampler):
    """Knows trials by their suggestion numbers, and takes them in that order: a restart gives them other ids and places.

    The parents of a generation are those chosen when its first member was suggested. With several workers more members of
    the generation before it end later, so that a restart has to be told the parents; it cannot choose them again.
    `genes`: every trial has all of them.
    """

    def __init__(self, seed: int, told: TrialIndex, genes: dict[str, BaseDistribution], population: int) -> None:
        super().__init__(population_size=population, seed=seed)
        self._told, self._members = told, population
        self._genes = {name: genes[name] for name in sorted(genes) if not genes[name].single()}

    @classmethod
    def _get_generation_key(cls) -> str:
        return GENERATION

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All genes of more than one choice: Optuna would read every trial to find them."""
        return self._genes

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """The one that the trial has; a new trial is in the newest, or begins the next where that one is full."""
        if GENERATION in trial.system_attrs:
            return int(trial.system_attrs[GENERATION])
        newest, members = self._told.newest_generation()
        generation = newest + 1 if members >= self._members else newest
        study._storage.set_trial_system_attr(trial._trial_id, GENERATION, generation)
        return generation

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """The trials of the generation."""
        return self._told.of_generation(generation)

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        """The trials from which the generation descends: selected once, then known."""
        if generation == 0:
            return []
        parents = self._told.parents
        if generation not in parents:
            parents[generation] = sorted(map(number_of, self.select_parent(study, generation)))
        return self._told.of_numbers(parents[generation])


class Tpe(optuna.samplers.TPESampler):
    """Groups of parameters that occur together: a set of them that an earlier trial has splits no group any further."""

    def __init__(self, seed: int, told: TrialIndex) -> None:
        super().__init__(multivariate=True, group=True, constant_liar=True, seed=seed)
        self._group_decomposed_search_space = _Groups(told)


class _Groups(_GroupDecomposedSearchSpace):
    def __init__(self, told: TrialIndex) -> None:
        super().__init__(include_pruned=True)
        self._told = told

    def calculate(self, study: Any, use_cache: bool = False) -> _SearchSpaceGroup:
        groups = _SearchSpaceGroup()
        for distributions in self._told.spaces():
            groups.add_distributions(distributions)
        return groups


def number_of(trial: FrozenTrial) -> int:
    """The suggestion's number."""
    return int(trial.user_attrs[NUMBER])
