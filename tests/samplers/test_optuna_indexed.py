"""Optuna's samplers with what they look for kept ready suggest what Optuna's own do, which read the whole study."""

from __future__ import annotations

import warnings
from pathlib import Path
from random import Random
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from small_studies import small_study

from cspnas.documents.space_file import find_space, read_space
from cspnas.samplers import optuna_samplers
from cspnas.samplers.optuna_samplers import OptunaSampler

KEY = "_Nsga2:generation"  # as studies have it recorded


class _Nsga2(optuna.samplers.NSGAIISampler):
    """Optuna's NSGA-II in the order of suggestions, every lookup by a search of the study: the oracle."""

    def __init__(self, seed: int, parents: dict[int, list[int]]) -> None:
        super().__init__(population_size=4, seed=seed)
        self._parents = parents

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        return sorted(super().get_population(study, generation), key=number_of)

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        if generation == 0:
            return []
        if generation not in self._parents:
            self._parents[generation] = sorted(map(number_of, self.select_parent(study, generation)))
        trials = study.get_trials(states=(TrialState.COMPLETE,))
        return sorted((t for t in trials if number_of(t) in self._parents[generation]), key=number_of)


class Searching(OptunaSampler):
    """The product's sampler with Optuna's own inside."""

    def _made(self, seed: int) -> optuna.samplers.BaseSampler:
        if self.name == "nsga2":
            return _Nsga2(seed, self._told.parents)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return optuna.samplers.TPESampler(multivariate=True, group=True, constant_liar=True, seed=seed)


def number_of(trial: FrozenTrial) -> int:
    return int(trial.user_attrs["suggestion"])


@pytest.mark.parametrize("name", ["nsga2", "tpe"])
def test_the_same_is_suggested_whatever_ends_when_and_how(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a space whose genes depend on each other. Suggestions end in any order, some break a constraint, some teach
    nothing, some came from elsewhere.
    """
    monkeypatch.setattr(optuna_samplers, "POPULATION", 4)
    study, random = read_space(find_space("densenet")), Random(5)
    fast, slow = (kind(name, study.space, study.objectives, 1) for kind in (OptunaSampler, Searching))
    under_way: list[int] = []
    suggested = []
    for number in range(60):
        if random.random() < 0.15:  # a baseline, or another driver's
            told: dict[str, Any] = {"values": values(study.objectives, random), "violations": {}}
            genotype = study.space.sample(random)
            for sampler in (fast, slow):
                sampler.restore(number, genotype, None, **told)
            continue
        suggested.append(fast.suggest(number))
        assert slow.suggest(number) == suggested[-1], number
        under_way.append(number)
        while len(under_way) > random.randrange(4):
            ended, outcome = under_way.pop(random.randrange(len(under_way))), random.random()
            result = values(study.objectives, random), {"flops<=1": random.uniform(-1, 1)}
            for sampler in (fast, slow):
                sampler.forget(ended) if outcome < 0.2 else sampler.tell(ended, *result)
    assert len({str(sorted(genotype.items())) for genotype, _ in suggested}) > 5
    if name == "nsga2":
        assert max(state["system_attrs"][KEY] for _, state in suggested) > 4


def values(objectives: tuple[str, ...], random: Random) -> dict[str, float]:
    return {name: random.random() for name in objectives}


@pytest.mark.parametrize("damage", [{"params": {"stage1.depth": 99}}, {"params": {"nothing": 0}}])
def test_an_earlier_drivers_value_that_is_no_choice_is_refused(damage: dict[str, Any], tmp_path: Path) -> None:
    """As Optuna refuses it; reading the study makes one line of it."""
    study = small_study(tmp_path)
    sampler = OptunaSampler("tpe", study.space, study.objectives, 1)
    with pytest.raises((ValueError, LookupError)):
        sampler.restore(0, {}, damage, values(study.objectives, Random(0)), {})
    with pytest.raises(ValueError, match="objectives"):
        sampler.restore(0, study.space.sample(Random(0)), None, dict.fromkeys(study.objectives, float("nan")), {})
