"""Optuna's samplers by name, each in its best configuration, on an in-memory study that our tables rebuild at start."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cspnas.objectives.objectives import objective_of
from cspnas.samplers.optuna_indexed import GENERATION, NUMBER, Nsga2, Tpe, TrialIndex
from cspnas.space.search_space import Gene, Genotype, SearchSpace
from cspnas.study.results import StudyResults
from cspnas.study.suggestion import SamplerState

# Optuna's default of 50 is more than a usual budget of trainings.
POPULATION = 20


class OptunaSampler:
    """Proposes genotypes. Each suggestion's sampler is seeded by (study seed, number), so a restart never repeats itself.

    `tpe` and `random` see conditional genes as they are; `nsga2` and `gp`, which draw unknown genes at random, get every
    gene always and inactive ones are dropped.
    """

    def __init__(self, name: str, space: SearchSpace, objectives: Sequence[str], seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.name, self.space, self.objectives, self.seed = name, space, tuple(objectives), seed
        self._flat = name in ("nsga2", "gp")
        directions = [
            StudyDirection.MAXIMIZE if objective_of(o).maximise else StudyDirection.MINIMIZE for o in objectives
        ]
        self._study = optuna.create_study(directions=directions)
        self._asked: dict[int, optuna.Trial] = {}
        self._told = TrialIndex()
        self._genes = {gene.name: gene for gene in space.genes()}
        self._distributions = {gene.name: _distribution(gene) for gene in space.genes()}
        # Of each gene: choice to Optuna's value. An earlier driver's values are checked against these, for Optuna takes
        # longer over that than over all else of a restart.
        self._values = {gene.name: _values(gene) for gene in space.genes()}
        self._sound = {name: frozenset(values.values()) for name, values in self._values.items()}

    def about(self) -> dict[str, str]:
        """Name and version, recorded with each driver."""
        return {"sampler": self.name, "optuna": optuna.__version__}

    def fresh(self) -> OptunaSampler:
        """One like it that was told nothing yet."""
        return OptunaSampler(self.name, self.space, self.objectives, self.seed)

    def watch(self, results: StudyResults) -> None:
        """Nothing to do: results come by `tell` and `restore`."""

    def suggest(self, number: int) -> tuple[Genotype, SamplerState]:
        """The genotype of suggestion `number`, and the sampler's own state to keep with it."""
        self._study.sampler = self._made(_seed(self.seed, number))
        trial = self._study.ask()
        trial.set_user_attr(NUMBER, number)
        parents = self._told.parents
        known = set(parents)
        values: Genotype = {}
        for gene in self._genes.values():
            if self._flat or self.space.exists(gene, values):
                values[gene.name] = _suggest(trial, gene)
        self._asked[number] = trial
        attributes = self._study.get_trials(deepcopy=False)[trial.number].system_attrs
        kept = {key: value for key, value in attributes.items() if "generation" in key}
        state: SamplerState = {"system_attrs": kept, "params": trial.params}
        if chosen := {str(generation): parents[generation] for generation in parents.keys() - known}:
            state["parents"] = chosen
        return self.space.active(values), state

    def _made(self, seed: int) -> optuna.samplers.BaseSampler:
        """What suggests next."""
        if self.name == "nsga2":
            return Nsga2(seed, self._told, self._distributions, POPULATION)
        if self.name == "tpe":
            # That `group` is experimental is no news for who runs a search.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return Tpe(seed, self._told)
        return optuna.samplers.GPSampler(seed=seed) if self.name == "gp" else optuna.samplers.RandomSampler(seed=seed)

    def tell(self, number: int, values: Mapping[str, float], violations: Mapping[str, float]) -> None:
        """The objectives of a suggestion; a rejected one has its exact costs, chance accuracy, a positive violation."""
        trial = self._asked.pop(number)
        for constraint, excess in violations.items():
            trial.set_constraint(constraint, excess)
        self._study.tell(trial, self._transformed(values))
        self._told.add(self._study._storage.get_trial(trial._trial_id))

    def forget(self, number: int) -> None:
        """A suggestion that teaches nothing new: a reuse, an attachment, a repeated failure."""
        self._study.tell(self._asked.pop(number), state=TrialState.FAIL)

    def restore(
        self,
        number: int,
        genotype: Genotype,
        state: SamplerState | None,
        values: Mapping[str, float] | None,
        violations: Mapping[str, float],
    ) -> None:
        """Add what an earlier driver, or no sampler at all (a baseline), suggested; `values` None: it taught nothing.

        Raises ValueError or LookupError for what no sampler can have asked for, or what is no number.
        """
        for generation, parents in ((state or {}).get("parents") or {}).items():
            self._told.parents[int(generation)] = parents
        # Which no result, or this result, would change.
        if self.name == "random" or values is None:
            return
        params = self._encode(genotype)
        asked = (state or {}).get("params") or {}
        for name, value in asked.items():
            if value not in self._sound[name]:
                raise ValueError(f"{name} = {str(value)[:40]}")
        # What an earlier driver's sampler asked for may be more or less than what this one sees: see the class.
        params |= asked if self._flat else {name: asked[name] for name in params.keys() & asked.keys()}
        # Beyond the choices: no parameters would end every sampler's search space.
        if self._genes and not params:
            return
        self._add(number, params, (state or {}).get("system_attrs"), self._transformed(values), violations)

    def _add(
        self,
        number: int,
        params: Genotype,
        system_attrs: Mapping[str, Any] | None,
        values: list[float],
        violations: Mapping[str, float],
    ) -> None:
        """A complete trial. Raises ValueError for values that are no numbers, as Optuna would."""
        if any(map(math.isnan, values)):
            raise ValueError(f"objectives {values}")
        trial = _Template(
            number=-1,
            trial_id=-1,
            state=TrialState.COMPLETE,
            value=None,
            values=values,
            datetime_start=(now := datetime.now()),
            datetime_complete=now,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            user_attrs={NUMBER: number},
            system_attrs=dict(system_attrs or self._first_generation()),
            intermediate_values={},
        )
        for constraint, excess in violations.items():
            trial.set_constraint(constraint, excess)
        storage = self._study._storage
        self._told.add(storage.get_trial(storage.create_new_trial(self._study._study_id, template_trial=trial)))

    def _encode(self, genotype: Genotype) -> Genotype:
        """Optuna parameters of a genotype; empty where a value is not among the choices."""
        params = {}
        for gene in self._genes.values():
            if gene.name not in genotype and not self._flat:
                continue
            value = genotype.get(gene.name, gene.choices[0])
            values = self._values[gene.name]
            if value not in values:
                return {}
            params[gene.name] = values[value]
        return params

    def _first_generation(self) -> dict[str, int]:
        return {GENERATION: 0} if self.name == "nsga2" else {}

    def _transformed(self, values: Mapping[str, float]) -> list[float]:
        """A Gaussian process fits -log(error) and log costs better; the ranks that the others use stay as they are."""
        if self.name != "gp":
            return [float(values[name]) for name in self.objectives]
        return [_log_scaled(name, values[name]) for name in self.objectives]


def _log_scaled(name: str, value: float) -> float:
    """-log(error) of accuracy, log of a cost; a fraction that is no accuracy stays as it is."""
    if name == "accuracy":
        return -math.log(max(1 - value, 1e-4))
    return float(value) if objective_of(name).linear else math.log(max(value, 1e-12))


class _Template(FrozenTrial):
    """A trial for the in-memory study alone, which may keep it: its usual deep copy is most of the time of a restart."""

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        trial = FrozenTrial.__new__(FrozenTrial)
        trial.__dict__.update(self.__dict__)
        return trial


def _seed(study_seed: int, number: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{study_seed}/{number}".encode()).digest()[:4], "big")


def _values(gene: Gene) -> dict[Any, Any]:
    """Choice to Optuna's value."""
    return {choice: place if gene.ordered else choice for place, choice in enumerate(gene.choices)}


def _distribution(gene: Gene) -> BaseDistribution:
    """Ordered genes by the index of their choice, so that near choices are near; switches and names as categories."""
    return IntDistribution(0, len(gene.choices) - 1) if gene.ordered else CategoricalDistribution(gene.choices)


def _suggest(trial: optuna.Trial, gene: Gene) -> Any:
    if gene.ordered:
        return gene.choices[trial.suggest_int(gene.name, 0, len(gene.choices) - 1)]
    return trial.suggest_categorical(gene.name, gene.choices)
