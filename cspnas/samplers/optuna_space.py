"""The parameters of any Optuna study to the cost-aware method: drawn at random, costed beforehand, as numbers to a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection

from cspnas.errors import InputError
from cspnas.objectives.pareto import Array
from cspnas.samplers.acquisition import Points
from cspnas.samplers.features import Scaling
from cspnas.space.search_space import Genotype

# By the names of an Optuna study's parameters.
Params = Genotype
# All objectives in the study's order, None for the measured one.
Values = Sequence[float | None]
Costs = Callable[[Params], Values | None]
# Of a cost: differences of two are finite.
LARGEST_COST = 1e300
# Draws for each of the pool's places, where few are admitted or distinct.
SAMPLE_TRIES = 20


class KnownSpace:
    """`pool` holds distinct admitted parameters, `candidates` the same as a model sees them, `measured` the place of the
    measured objective, `directions` those of the study.

    Raises InputError where nothing that was drawn is admitted, and for costs that do not fit the study.
    """

    def __init__(
        self,
        space: Mapping[str, BaseDistribution],
        costs: Costs,
        directions: Sequence[StudyDirection],
        size: int,
        seed: int,
    ) -> None:
        self._space, self._costs, self._asked = space, costs, dict[str, Values | None]()
        self.directions = list(directions)
        self._signs = np.array([1 if direction == StudyDirection.MINIMIZE else -1 for direction in directions])
        drawn = self._drawn(size, np.random.default_rng(seed))
        self.pool = [params for params, _ in drawn]
        self.measured = list(drawn[0][1]).index(None)
        if self._signs[self.measured] == 1:
            raise InputError("a measured objective that is minimised", expected="an accuracy", where="directions")
        known = self._known([values for _, values in drawn])
        self._on_log_scale = (self._signs == 1)[self._others] & (known > 0).all(0)
        losses = self._losses(known)
        self._low, self._span = losses.min(0), np.maximum(np.ptp(losses, axis=0), 1e-12)
        self._scaling = Scaling(self._features(self.pool, losses))
        self.candidates = self.points(self.pool, [values for _, values in drawn])

    def points(self, params: Sequence[Params], values: Sequence[Values]) -> Points:
        """Parameters with their objectives; a known loss is 0 at the pool's best and 1 at its worst."""
        losses = self._losses(self._known(values))
        return Points(self._scaling(self._features(params, losses)), (losses - self._low) / self._span)

    def admits(self, params: Params) -> bool:
        """Whether a trial's parameters are; true where some are missing, whose cost nobody knows."""
        return not self._space.keys() <= params.keys() or self._values(params) is not None

    def proposed(self, params: Sequence[Params]) -> Points:
        """The same for parameters of trials that have no values yet; those that are not admitted are left out."""
        known = [(one, values) for one in params if (values := self._values(one)) is not None]
        return self.points([one for one, _ in known], [values for _, values in known])

    def _drawn(self, size: int, rng: np.random.Generator) -> list[tuple[Params, Values]]:
        drawn: dict[str, tuple[Params, Values]] = {}
        for _ in range(SAMPLE_TRIES * size):
            params = {name: _draw(rng, distribution) for name, distribution in self._space.items()}
            if (values := self._values(params)) is not None:
                drawn.setdefault(repr(params), (params, values))
            if len(drawn) == size:
                break
        if not drawn:
            found = f"no admitted parameters among {SAMPLE_TRIES * size} random ones"
            raise InputError(found, expected="at least one", where="costs")
        return list(drawn.values())

    def _values(self, params: Params) -> Values | None:
        """What `costs` says, which is asked once about the same parameters."""
        own = {name: params[name] for name in self._space}
        key = repr(own)
        if key not in self._asked:
            values = self._costs(own)
            self._asked[key] = None if values is None else self._fitting(own, values)
        return self._asked[key]

    def _fitting(self, params: Params, values: Any) -> Values:
        """Raises InputError for values that do not fit the study: one number an objective, None for one of them, the same."""
        measured = [place for place, value in enumerate(values) if value is None] if _is_sequence(values) else []
        fits = len(measured) == 1 and len(values) == len(self._signs) > 1 and all(map(_is_known, values))
        if not fits or measured[0] != getattr(self, "measured", measured[0]):
            raise InputError(
                f"costs gives {list(values) if _is_sequence(values) else values!r} for {params}",
                expected=f"{max(len(self._signs), 2)} values, one of them None, the others finite numbers",
                where="costs",
            )
        self.measured = measured[0]
        return list(values)

    @property
    def _others(self) -> Array:
        return np.asarray(np.arange(len(self._signs)) != self.measured)

    def _known(self, values: Sequence[Values]) -> Array:
        """(n, k) objectives but for the measured one."""
        table = np.array([[0.0 if value is None else value for value in one] for one in values], float)
        return table.reshape(len(values), len(self._signs))[:, self._others]

    def _losses(self, known: Array) -> Array:
        """On log scale what is minimised and positive all over the pool, else as it is."""
        logs = np.log(np.maximum(known, np.finfo(float).tiny))
        return np.where(self._on_log_scale, logs, known * self._signs[self._others])

    def _features(self, params: Sequence[Params], losses: Array) -> list[list[float]]:
        """Numbers (log ones on log scale), categories as switches, parameters that are not there as 0, then known losses."""
        return [self._genes(one) + of_one.tolist() for one, of_one in zip(params, losses, strict=True)]

    def _genes(self, params: Params) -> list[float]:
        found: list[float] = []
        for name, distribution in self._space.items():
            value = params.get(name)
            if isinstance(distribution, CategoricalDistribution):
                found += [float(name in params and value == choice) for choice in distribution.choices]
            elif value is None:
                found.append(0.0)
            else:
                found.append(float(np.log(max(value, np.finfo(float).tiny))) if _is_log(distribution) else float(value))
        return found


def _is_log(distribution: BaseDistribution) -> bool:
    return isinstance(distribution, FloatDistribution | IntDistribution) and distribution.log


def _is_sequence(values: Any) -> bool:
    return isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)


def _is_known(value: Any) -> bool:
    numbers = int | float | np.integer | np.floating
    # NaN is not.
    return value is None or (isinstance(value, numbers) and bool(-LARGEST_COST <= value <= LARGEST_COST))


def _draw(rng: np.random.Generator, distribution: BaseDistribution) -> Any:
    """One value, evenly (on log scale where the distribution is)."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(rng.integers(len(distribution.choices)))]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is not None and not distribution.log:
        steps = round((distribution.high - distribution.low) / distribution.step)
        return min(
            distribution.low + distribution.step * int(rng.integers(steps + 1)),
            distribution.high,
            # 3 * .1 > .3.
        )
    low, high = float(distribution.low), float(distribution.high)
    value = float(np.exp(rng.uniform(np.log(low), np.log(high)))) if distribution.log else float(rng.uniform(low, high))
    # exp(log(x)) may be a little beyond x.
    value = min(max(value, low), high)
    return round(value) if isinstance(distribution, IntDistribution) else value
