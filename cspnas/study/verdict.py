"""How much more accurate the networks that a search found are than a baseline curve at the same FLOPs, and how sure that is.

What is estimated: the mean, over the confirmations of networks that the search found, of the network's true accuracy minus
the baseline curve at its FLOPs; the curve joins the true accuracies of the trained baselines, straight over log FLOPs. A
network counts as often as it was confirmed, whether or not it is on the front in the end.

Why this is not flattered by the choice of networks: a network is confirmed because of its earlier trainings, so its first
one does not count, and each later one differs from its true accuracy by an error whose mean is zero, whatever was seen
before. Every confirmation weighs the same. So the mean of all of them has no bias either, though what they show decides
which network is confirmed next. A mean of each network's mean would have one, where a good second training brings a third.
Baselines are trained without being chosen: all their trainings count.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from cspnas.objectives.pareto import Array

# Of all stated intervals, so many hold what they estimate.
COVERAGE = 0.95


@dataclass(frozen=True, slots=True)
class Estimates:
    """Networks' FLOPs, the means of those accuracies that count (fractions), and of how many trainings each is the mean: (n,)
    each.
    """

    flops: Array
    accuracy: Array
    trainings: Array


@dataclass(frozen=True, slots=True)
class Verdict:
    """Accuracy gained at equal FLOPs, its standard error and 95 % interval as fractions; of how many networks and
    confirmations.
    """

    gain: float
    standard_error: float
    degrees_of_freedom: int
    low: float
    high: float
    members: int
    confirmations: int

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "gain": self.gain,
            "standard_error": self.standard_error,
            "degrees_of_freedom": self.degrees_of_freedom,
            "interval_95": [self.low, self.high],
            "members": self.members,
            "confirmations": self.confirmations,
            "distinguishable": self.distinguishable,
        }


def shares(flops: Array, curve: Array) -> Array:
    """(n, k): how much each of the k points of a curve, ascending FLOPs, counts at each of (n,) FLOPs; a row sums to 1, or to
    0 beyond the curve's ends.
    """
    places, knots = np.log(flops), np.log(curve)
    found = np.stack([np.interp(places, knots, point, left=0.0, right=0.0) for point in np.eye(len(curve))], 1)
    return np.asarray(found)


def curve_weights(flops: Array, confirmations: Array, curve: Array) -> Array:
    """(k,) how much each point of a curve counts in the mean over the confirmations of networks within it; 0: of none."""
    weighted = confirmations @ shares(flops, curve)
    total = weighted.sum()
    return np.asarray(weighted / total if total > 0 else weighted)


def verdict(found: Estimates, curve: Estimates, seed_deviation: float, degrees_of_freedom: int) -> Verdict | None:
    """See above; `found` has the means over confirmations, `curve` ascending FLOPs. Both sides' trainings err by the same
    `seed_deviation`, known to so many degrees of freedom: hence Student's t. None where no confirmed network lies within the
    curve, or no deviation is known.
    """
    if len(curve.flops) < 2 or not degrees_of_freedom:
        return None
    inside = (curve.flops[0] <= found.flops) & (found.flops <= curve.flops[-1])
    count = int(found.trainings[inside].sum())
    if not count:
        return None
    weights = curve_weights(found.flops[inside], found.trainings[inside], curve.flops)
    mean = float(found.trainings[inside] @ found.accuracy[inside]) / count
    gain = mean - float(weights @ curve.accuracy)
    error = seed_deviation * sqrt(1 / count + float(np.square(weights) @ (1 / curve.trainings)))
    half = half_width(error, degrees_of_freedom)
    return Verdict(gain, error, degrees_of_freedom, gain - half, gain + half, int(inside.sum()), count)


def half_width(standard_error: float, degrees_of_freedom: int) -> float:
    """Of the 95 % interval."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, (1 + COVERAGE) / 2)) * standard_error
