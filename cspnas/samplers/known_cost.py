"""The cost-aware method as a plain Optuna sampler, for any study in which all objectives but one are known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cspnas.errors import InputError
from cspnas.samplers.acquisition import LEAST_ROWS, Model, Points, Trained, due, farthest, joined, telling
from cspnas.samplers.features import Scaling
from cspnas.samplers.surrogate import Surrogate, to_target

Array = npt.NDArray[Any]
Params = dict[str, Any]
REFERENCE = 0.0  # accuracy from which the hypervolume counts
PROPOSED = "cspnas:proposed"  # the system attribute of a trial that keeps its parameters until it asks for them
FITTED = "cspnas:hyperparameters"  # the system attribute of the trial for which they were fitted


class KnownCostSampler(optuna.samplers.BaseSampler):
    """Suggests the parameters of the greatest expected hypervolume improvement among `pool` random ones.

    `search_space` names every parameter with its distribution; conditional ones too: what a trial does not ask for has no
    effect. `costs(params)` gives all objectives in the study's order, with None for the measured one, which is an accuracy
    (a fraction, maximised); or None for parameters that are not admitted. Constraints therefore belong into `costs`.
    Nothing is proposed twice before all of the pool have been; then, those first that were tried least, the best come again.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        costs: Callable[[Params], Sequence[float | None] | None],
        *,
        pool: int = 2000,
        seed: int = 0,
    ) -> None:
        self._space, self._costs, self._size, self._seed = dict(search_space), costs, pool, seed
        self._surrogate = Surrogate()
        self._model = Model(self._surrogate)
        self._pool: list[Params] = []

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Every parameter, single choices too."""
        return self._space

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that `search_space` lacks. Raises InputError: the method needs to know the cost of all of them."""
        raise InputError(
            f"parameter {param_name!r}", expected=f"one of {', '.join(self._space)}", where="search_space", do="add it"
        )

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> Params:
        """All parameters of the next trial. Raises InputError where no random parameters are admitted."""
        self._fill(study)
        taken = [params for other in study.get_trials(deepcopy=False) if (params := self._params(other))]
        chosen = _least_tried((self._pool[n] for n in self._ranked(study, trial)), taken)
        study._storage.set_trial_system_attr(trial._trial_id, PROPOSED, chosen)
        return chosen

    def _ranked(self, study: optuna.Study, trial: FrozenTrial) -> Iterable[int]:
        """Places in the pool, the best first."""
        number = trial.number
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.RUNNING))
        done = [t for t in trials if t.state == TrialState.COMPLETE and np.isfinite(t.values[self._measured])]
        flying = [t for t in trials if t.state == TrialState.RUNNING and t.number != number]
        known = self._points([t.params for t in done])
        pending = self._points([params for t in flying if (params := self._params(t))])
        if len(done) < LEAST_ROWS:
            return farthest(self._candidates, joined(known, pending), Random(f"{self._seed}/{number}"))
        accuracy = np.array([t.values[self._measured] for t in done])
        kept = telling(known.costs, accuracy)
        points = Points(known.features[kept], known.costs[kept])
        trained = Trained(points, np.arange(len(kept)), accuracy[kept])
        self._refit(study, trial, trained)
        return self._model.believe(trained, pending, self._candidates, REFERENCE).ranked()

    def _refit(self, study: optuna.Study, trial: FrozenTrial, trained: Trained) -> None:
        """The hyperparameters are the study's: what was fitted last, by whatever process, unless new ones are due."""
        others = study.get_trials(deepcopy=False)
        kept = [other.system_attrs[FITTED] for other in others if FITTED in other.system_attrs]
        if kept:
            self._surrogate.load(kept[-1])
        if due(self._surrogate, len(trained.accuracy)):
            self._surrogate.fit(trained.points.features[trained.network], to_target(trained.accuracy))
            study._storage.set_trial_system_attr(trial._trial_id, FITTED, self._surrogate.dump())

    def _params(self, trial: FrozenTrial) -> Params:
        """What a trial has, or will have: one that has just begun did not ask for its parameters yet."""
        return trial.params if trial.state.is_finished() else trial.system_attrs.get(PROPOSED, trial.params)

    def _fill(self, study: optuna.Study) -> None:
        """Draw and cost the pool; find which objective is measured."""
        if self._pool:
            return
        rng = np.random.default_rng(self._seed)
        drawn: dict[str, tuple[Params, Sequence[float | None]]] = {}
        for _ in range(20 * self._size):
            params = {name: _draw(rng, distribution) for name, distribution in self._space.items()}
            values = self._costs(params)
            if values is not None:
                drawn.setdefault(self._key(params), (params, values))
            if len(drawn) == self._size:
                break
        if not drawn:
            raise InputError("no admitted parameters among random ones", expected="at least one", where="costs")
        self._check(study, next(iter(drawn.values()))[1])
        self._pool = [params for params, _ in drawn.values()]
        losses = np.array([self._known_losses(values) for _, values in drawn.values()])
        self._low, self._span = losses.min(0), np.maximum(np.ptp(losses, axis=0), 1e-12)
        self._scaling = Scaling([self._features(params) for params in self._pool])
        self._candidates = self._points(self._pool)

    def _check(self, study: optuna.Study, values: Sequence[float | None]) -> None:
        measured = [index for index, value in enumerate(values) if value is None]
        if len(measured) != 1 or len(values) != len(study.directions):
            raise InputError(
                f"costs gives {list(values)}",
                expected=f"{len(study.directions)} values, one of them None",
                where="costs",
            )
        self._measured = measured[0]
        self._signs = [1 if d == StudyDirection.MINIMIZE else -1 for d in study.directions]
        if self._signs[self._measured] == 1:
            raise InputError("a measured objective that is minimised", expected="an accuracy", where="directions")

    def _known_losses(self, values: Sequence[float | None]) -> list[float]:
        """Costs on log scale where they are positive and minimised, else as they are."""
        known = [
            (s, v) for index, (s, v) in enumerate(zip(self._signs, values, strict=True)) if index != self._measured
        ]
        return [float(np.log(v)) if s == 1 and v is not None and v > 0 else float(s * (v or 0)) for s, v in known]

    def _points(self, params: Sequence[Params]) -> Points:
        values = [self._costs(one) or [0.0] * len(self._signs) for one in params]
        losses = np.array([self._known_losses(one) for one in values]).reshape(len(params), len(self._low))
        return Points(self._scaling([self._features(one) for one in params]), (losses - self._low) / self._span)

    def _features(self, params: Params) -> list[float]:
        """Numbers as they are, categories as switches, parameters that are not there as 0, then the known losses."""
        found: list[float] = []
        for name, distribution in self._space.items():
            value = params.get(name)
            if isinstance(distribution, CategoricalDistribution):
                found += [float(value == choice) for choice in distribution.choices]
            else:
                found.append(float(value) if value is not None else 0.0)
        return found + self._known_losses(self._costs(params) or [0.0] * len(self._signs))

    def _key(self, params: Params) -> str:
        return repr([(name, params.get(name)) for name in self._space])


def _least_tried(ranked: Iterable[Params], taken: Sequence[Params]) -> Params:
    """The first that no trial had, else the first of those that the fewest had."""
    seen: list[tuple[int, Params]] = []
    for params in ranked:
        tries = sum(other.items() <= params.items() for other in taken)
        if not tries:
            return params
        seen.append((tries, params))
    return min(seen, key=lambda one: one[0])[1]


def _draw(rng: np.random.Generator, distribution: BaseDistribution) -> Any:
    """One value, evenly (on log scale where the distribution is)."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(rng.integers(len(distribution.choices)))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is not None and not distribution.log:
        steps = round((distribution.high - distribution.low) / distribution.step)
        return distribution.low + distribution.step * int(rng.integers(steps + 1))
    low, high = float(distribution.low), float(distribution.high)
    value = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if distribution.log else float(rng.uniform(low, high))
    value = min(max(value, low), high)  # exp(log(x)) may be a little beyond x
    return round(value) if isinstance(distribution, IntDistribution) else value
