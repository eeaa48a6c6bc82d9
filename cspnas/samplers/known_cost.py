"""The cost-aware method as a plain Optuna sampler, for any study in which all objectives but one are known beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from threading import Lock
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from cspnas.errors import InputError
from cspnas.samplers.acquisition import (
    AccuracyModel,
    Observations,
    Points,
    farthest_first_order,
    joined,
    select_training_rows,
)
from cspnas.samplers.hyperparameters import KernelHyperparameters
from cspnas.samplers.optuna_space import Costs, KnownSpace, Params

# Accuracy from which the hypervolume counts.
REFERENCE = 0.0
# An accuracy may be so much above 1.
ROUNDING = 1e-6
# A known loss of what is not admitted: past the reference, 1, so that it takes no gain from any candidate.
BEYOND = 2.0
# The system attribute of a trial that keeps its parameters until it asks for them.
PROPOSED = "cspnas:proposed"
# The system attribute of the trial for which they were fitted.
FITTED = "cspnas:hyperparameters"
# Optuna's, of a trial whose parameters its user has set.
ENQUEUED = "fixed_params"


class KnownCostSampler(optuna.samplers.BaseSampler):
    """Suggests the parameters of the greatest expected hypervolume improvement among `pool` random ones.

    `search_space` names every parameter with its distribution; conditional ones too: what a trial does not ask for has no
    effect. `costs(params)` gives all objectives in the study's order, with None for the measured one, which is an accuracy
    (a fraction, maximised); or None for parameters that are not admitted. Constraints therefore belong into `costs`.
    Nothing is proposed twice before all of the pool have been; then, those first that were tried least, the best come again.

    The next trial depends on the study and `seed` alone, so that a study in a database goes on as if it had not stopped; but
    Optuna keeps a trial whose process was killed as running, and so does this. Threads of one study may share the sampler.
    Raises InputError at the first trial for costs that do not fit the study, and for accuracies below 0 or above 1.
    """

    def __init__(
        self, search_space: Mapping[str, BaseDistribution], costs: Costs, *, pool: int = 2000, seed: int = 0
    ) -> None:
        for name, value, least in (("pool", pool, 1), ("seed", seed, 0)):
            if not isinstance(value, int) or value < least:
                raise InputError(f"{value!r}", expected=f"an integer from {least}", where=name)
        for name, distribution in search_space.items():
            if not isinstance(distribution, BaseDistribution):
                raise InputError(
                    f"{distribution!r}", expected="a distribution of Optuna's", where=f"search_space[{name!r}]"
                )
        self._search_space, self._costs, self._size, self._seed = dict(search_space), costs, pool, seed
        self._surrogate = KernelHyperparameters()
        self._model = AccuracyModel(self._surrogate)
        self._known: KnownSpace | None = None
        # Two threads must not choose before either has said what.
        self._one_at_a_time = Lock()

    # A lock goes to no other process.
    def __getstate__(self) -> object:
        return {name: value for name, value in self.__dict__.items() if name != "_one_at_a_time"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._one_at_a_time = Lock()

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every parameter, single choices too."""
        return self._search_space

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that `search_space` lacks or has otherwise. Raises InputError: the cost of all has to be known."""
        if param_name in self._search_space:
            found, expected = f"{param_name!r} asked for as {param_distribution}", f"{self._search_space[param_name]}"
            raise InputError(found, expected=expected, where="search_space", hint="ask for what it says")
        expected = f"one of {', '.join(self._search_space)}"
        raise InputError(f"parameter {param_name!r}", expected=expected, where="search_space", hint="add it")

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        """All parameters of the next trial."""
        with self._one_at_a_time:
            known = self._space_of(study)
            others = study.get_trials(deepcopy=False)
            taken = [params for other in others if (params := _params(other)) and self._is_whole(other, params)]
            chosen = _least_tried((known.pool[n] for n in self._ranked(study, trial)), taken)
            study._storage.set_trial_system_attr(trial._trial_id, PROPOSED, chosen)
        return chosen

    def _is_whole(self, trial: FrozenTrial, params: Params) -> bool:
        """What a complete trial did not ask for has no effect; one that ended before that may not have asked for all."""
        return trial.state == TrialState.COMPLETE or self._search_space.keys() <= params.keys()

    def _space_of(self, study: optuna.Study) -> KnownSpace:
        # As those of another study may be.
        if self._known is None or self._known.directions != study.directions:
            self._known = KnownSpace(self._search_space, self._costs, study.directions, self._size, self._seed)
        return self._known

    def _ranked(self, study: optuna.Study, trial: FrozenTrial) -> Iterable[int]:
        """Places in the pool, the best first."""
        known = self._space_of(study)
        trained, pending = self._trained(study), self._in_flight(study, trial)
        if trained.tell_nothing:
            at = Random(f"{self._seed}/{trial.number}")
            return farthest_first_order(known.candidates, joined(trained.points, pending), at)
        self._refit(study, trial, trained)
        return self._model.believe(trained, pending, known.candidates, REFERENCE).ranked()

    def _trained(self, study: optuna.Study) -> Observations:
        """A row a finished trial, of those that tell most; infinite values tell nothing."""
        known = self._space_of(study)
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        done = [trial for trial in trials if np.isfinite(trial.values).all()]
        params = [{**trial.system_attrs.get(PROPOSED, {}), **trial.params} for trial in done]
        points = known.points(params, [trial.values for trial in done])
        points.costs[[not known.admits(one) for one in params]] = BEYOND
        accuracy = np.array([trial.values[known.measured] for trial in done])
        # Those above would all count as about 1, those below as worse than nothing.
        beyond = np.flatnonzero((accuracy > 1 + ROUNDING) | (accuracy < -ROUNDING))
        if beyond.size:
            found, where = f"an accuracy of {accuracy[beyond[0]]:g}", f"trial {done[beyond[0]].number}"
            hint = "divide percentages by 100, map other scores to that range"
            raise InputError(found, expected="a fraction from 0 to 1", where=where, hint=hint)
        kept = select_training_rows(points.costs, accuracy)
        return Observations(Points(points.features[kept], points.costs[kept]), np.arange(len(kept)), accuracy[kept])

    def _in_flight(self, study: optuna.Study, trial: FrozenTrial) -> Points:
        """Of trials that run beside this one, and were proposed by this method."""
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        others = [
            _params(other) for other in running if other.number != trial.number and PROPOSED in other.system_attrs
        ]
        return self._space_of(study).proposed(others)

    def _refit(self, study: optuna.Study, trial: FrozenTrial, trained: Observations) -> None:
        """The hyperparameters are the study's: what was fitted last, by whatever process, unless new ones are due."""
        others = study.get_trials(deepcopy=False)
        kept = [other.system_attrs[FITTED] for other in others if FITTED in other.system_attrs]
        if kept:
            self._surrogate.load(kept[-1])
        # What is there was fitted to another study.
        else:
            self._surrogate.fitted_rows = 0
        fitted: Any = self._model.refit(trained)
        if fitted is not None:
            study._storage.set_trial_system_attr(trial._trial_id, FITTED, fitted)


def _params(trial: FrozenTrial) -> Params:
    """What a trial has, or would have had: one that has just begun, or that failed, did not ask for all its parameters."""
    if trial.state == TrialState.COMPLETE:
        return trial.params
    attributes = trial.system_attrs
    return {**attributes.get(PROPOSED, {}), **attributes.get(ENQUEUED, {}), **trial.params}


def _least_tried(ranked: Iterable[Params], taken: Sequence[Params]) -> Params:
    """The first that no trial had, else the first of those that the fewest had."""
    seen: list[tuple[int, Params]] = []
    for params in ranked:
        tries = sum(other.items() <= params.items() for other in taken)
        if not tries:
            return params
        seen.append((tries, params))
    return min(seen, key=lambda one: one[0])[1]
