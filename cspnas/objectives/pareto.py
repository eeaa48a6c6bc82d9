"""Pareto fronts as arithmetic on arrays: loss units, non-dominated set, hypervolume, knee (moocore behind it).

Points are (n, m) float arrays of objective values, in the order of `HypervolumeReference.objectives`, accuracy among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cspnas.objectives.objectives import objective_of

Array = npt.NDArray[Any]
# Below any count and any time: keeps the logarithm finite.
_LEAST = 1e-12


@dataclass(frozen=True, slots=True)
class HypervolumeReference:
    """The units of a study's hypervolume, fixed when it is created: accuracy counts from `chance` level; other fractions
    on a linear scale from `low`, their worst, to `high`; all else on a log scale from `low` to `high`: the admitted range
    of the space, of what is measured the fixed span of `objectives`.
    """

    objectives: tuple[str, ...]
    chance: float
    low: tuple[float, ...]
    high: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> HypervolumeReference:
        """The reference of a plain form. Raises InputError for an objective that is not installed."""
        objectives, low, high = (tuple(document[key]) for key in ("objectives", "low", "high"))
        for name in objectives:
            objective_of(name)
        return HypervolumeReference(objectives, document["chance"], low, high)

    def worst(self, name: str) -> float:
        """The value of an objective whose loss is 1: what a network counts as that was never measured."""
        column = self.objectives.index(name)
        if name == "accuracy":
            return self.chance
        return (self.low if objective_of(name).maximise else self.high)[column]


def losses(points: Array, reference: HypervolumeReference) -> Array:
    """(n, m) losses, 0 best: 1 is chance level or the worst end of a range; beyond the range they leave [0, 1]."""
    columns = []
    for column, name in enumerate(reference.objectives):
        values = points[:, column]
        low, high = reference.low[column], reference.high[column]
        if name == "accuracy":
            columns.append((1 - values) / (1 - reference.chance))
        elif objective_of(name).linear:
            columns.append((high - values) / (high - low))
        else:
            logs = np.log(np.maximum(values, _LEAST)) - np.log(low)
            columns.append(logs / max(np.log(high) - np.log(low), 1e-12))
    return np.stack(columns, 1) if len(points) else np.empty((0, len(reference.objectives)))


def non_dominated(loss: Array) -> Array:
    """(n,) booleans; equal points are all kept; rows with a NaN never are."""
    import moocore

    finite = np.isfinite(loss).all(1)
    mask = np.zeros(len(loss), bool)
    if finite.any():
        mask[finite] = moocore.is_nondominated(loss[finite], keep_weakly=True)
    return mask


def hypervolume(loss: Array) -> float:
    """Share of the unit cube that the points dominate; losses are clipped to it, so 0 <= hypervolume <= 1."""
    import moocore

    clipped = np.clip(loss[np.isfinite(loss).all(1)], 0, 1)
    return float(moocore.hypervolume(clipped, ref=[1.0] * loss.shape[1])) if len(clipped) else 0.0


def knee(loss: Array, flops: Array) -> int:
    """Index of the point nearest to the front's ideal, each loss scaled to the range that the front spans; ties go to the
    least flops. Needs one point or more.

    In the hypervolume's units, where accuracy counts from chance level, a whole front spans a few hundredths of accuracy
    and all of each cost, so that the nearest point would be the smallest network of nearly every front.
    """
    span = np.ptp(loss, axis=0)
    scaled = (loss - loss.min(0)) / np.where(span > 0, span, 1)
    distance = np.sqrt(np.square(scaled).sum(1))
    return int(np.lexsort((flops, np.round(distance, 12)))[0])
