"""Expected hypervolume improvement where every objective but one is known exactly: in closed form.

ConvUnits are losses (see `front`): each known loss lies in [0, 1] with 1 the reference, accuracy counts from the reference
level upward. A candidate with known losses c and uncertain accuracy a adds, at each level of accuracy below a, the volume
of cost space that it dominates and no incumbent above that level does. So with the incumbents' accuracies t_1 <= t_2 <= ...
and t_0 the reference level,

    EHVI = sum_k V_k (psi(t_k) - psi(t_{k+1})),    psi(t) = E[max(a - t, 0)],    psi(t_{last + 1}) = 0,

V_k the volume that c adds to the incumbents more accurate than t_k. (Emmerich, Giannakoglou and Naujoks 2006 define
EHVI; with known costs its integral has one dimension left.) The volumes of three and more known losses take long over
large fronts, about m^d operations. There the same integral is taken the other way, over cost space: at a point u that c
dominates, what counts is the accuracy above L(u), the most accurate of the incumbents that dominate u,

    EHVI = integral over u >= c of psi(L(u)),

by quasi-Monte Carlo (Sobol points, the same for all candidates).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import factorial

import numpy as np
from scipy.special import ndtr

from cspnas.objectives.pareto import Array, non_dominated

# Psi at a level of accuracy, for all candidates: (n,).
Excess = Callable[[float], Array]
# volume_steps and slabs up to which volumes are exact: about half a second of one core.
EXACT_WORK = 50_000
# Logarithm to base 2 of the number of Sobol points.
POINTS = 14


def log_error_excess(threshold: Array, mean: Array, deviation: Array) -> Array:
    """psi(t) of an accuracy a = 1 - exp(-y) with y ~ N(mean, deviation^2), t < 1. Shapes broadcast.

    The error is lognormal: psi = (1 - t) Phi(z) - exp(-mean + deviation^2 / 2) Phi(z - deviation),
    z = (mean + log(1 - t)) / deviation.
    """
    scale = np.maximum(deviation, 1e-9)
    room = np.maximum(1 - threshold, 1e-12)
    z = (mean + np.log(room)) / scale
    return np.asarray(np.maximum(room * ndtr(z) - np.exp(np.square(scale) / 2 - mean) * ndtr(z - scale), 0))


def added_volume(candidates: Array, incumbents: Array) -> Array:
    """(n,) volumes between each candidate (n, d) and the reference 1 that no incumbent (m, d) dominates."""
    inside = np.clip(candidates, 0, 1)
    whole = np.prod(1 - inside, 1)
    if not len(incumbents):
        return np.asarray(whole)
    order = np.argsort(incumbents[:, -1], kind="stable")
    return np.asarray(np.maximum(whole - _covered(inside, np.clip(incumbents[order], 0, 1)), 0))


def _covered(candidates: Array, incumbents: Array) -> Array:
    """(n,) volume of each candidate's box that the incumbents, sorted by their last loss, cover: slab by slab."""
    # (m, n, d).
    corners = np.maximum(incumbents[:, None, :], candidates[None, :, :])
    if candidates.shape[1] == 1:
        return np.asarray(1 - corners[..., 0].min(0))
    # (m + 1, n), rising.
    edges = np.concatenate([corners[..., -1], np.ones((1, len(candidates)))])
    thickness = np.diff(edges, axis=0)
    if candidates.shape[1] == 2:
        return np.asarray(((1 - np.minimum.accumulate(corners[..., 0], 0)) * thickness).sum(0))
    total = np.zeros(len(candidates))
    for count in range(1, len(incumbents) + 1):
        lower = incumbents[:count, :-1]
        lower = lower[np.argsort(lower[:, -1], kind="stable")]
        total += _covered(candidates[:, :-1], lower) * thickness[count - 1]
    return total


@dataclass(frozen=True, slots=True)
class VolumeStep:
    """From the accuracy `low` up to that of the step before (of the first one: without end) these losses (m, d) dominate."""

    low: float
    points: Array


def volume_steps(incumbents: Array, accuracies: Array, reference: float) -> list[VolumeStep]:
    """Of known losses (m, d) with accuracies (m,), from the most accurate down to `reference`.

    Ties, duplicates, dominated incumbents and those below the reference change nothing.
    """
    found, high, front = list[VolumeStep](), np.inf, incumbents[:0]
    for number in np.argsort(-accuracies, kind="stable"):
        low = accuracies[number]
        if low <= reference:
            break
        # No accuracy lies between two equal levels.
        if low < high:
            found.append(VolumeStep(float(low), front))
            high = low
        point = incumbents[number]
        if not (front <= point).all(1).any():
            front = np.concatenate([front[~(point <= front).all(1)], point[None]])
    return [*found, VolumeStep(reference, front)]


def expected_improvement(costs: Array, excess: Excess, over: Sequence[VolumeStep]) -> Array:
    """(n,) EHVI of candidates with known losses `costs` (n, d) over incumbents' `volume_steps`.

    `excess(t)` gives psi at level t for all candidates, (n,).
    """
    total, beyond = np.zeros(len(costs)), np.zeros(len(costs))
    for step in over:
        here = excess(step.low)
        total += added_volume(costs, step.points) * (here - beyond)
        beyond = here
    return total


class Sampled:
    """EHVI over incumbents (m, d) with accuracies (m,), integrated over Sobol points of cost space."""

    def __init__(self, incumbents: Array, accuracies: Array, reference: float) -> None:
        self._points = _sobol(incumbents.shape[1])
        level = np.full(len(self._points), reference)
        for point, accuracy in zip(incumbents, accuracies, strict=True):
            level = np.where((point <= self._points).all(1), np.maximum(level, accuracy), level)
        self._levels, place = np.unique(level, return_inverse=True)
        # (points, levels).
        self._at = np.eye(len(self._levels), dtype=np.float32)[place]

    def __call__(self, costs: Array, excess: Excess) -> Array:
        """(n,) for candidates with known losses (n, d)."""
        inside = np.ones((len(costs), len(self._points)), bool)
        for loss, point in zip(costs.T, self._points.T, strict=True):
            inside &= loss[:, None] <= point
        # (n, levels): of cost space.
        share = inside.astype(np.float32) @ self._at / len(self._points)
        return np.asarray((share * np.column_stack([excess(float(level)) for level in self._levels])).sum(1))


@cache
def _sobol(dimensions: int) -> Array:
    """(2^POINTS, d) in the unit cube, always the same."""
    # Takes half a second.
    from scipy.stats.qmc import Sobol

    return np.asarray(Sobol(dimensions, seed=0).random_base2(POINTS))


def improvement_over(incumbents: Array, accuracies: Array, reference: float) -> Callable[[Array, Excess], Array]:
    """EHVI as a function of the candidates' known losses (n, d) and their excess: exact where that can be waited for, which
    is always so with one or two known losses, else by sampling.
    """
    count, dimensions = incumbents.shape
    if dimensions > 2 and count**dimensions / factorial(dimensions - 1) > EXACT_WORK:
        return Sampled(incumbents, accuracies, reference)
    over = volume_steps(incumbents, accuracies, reference)
    return lambda costs, excess: expected_improvement(costs, excess, over)


def improvement_bound(costs: Array, incumbents: Array, accuracies: Array, reference: float) -> tuple[Array, Array]:
    """(n,) volumes v and (n,) accuracies t with EHVI <= v psi(t): below the accuracy t of a network that costs no more in
    any way nothing is won, above it at most the whole box.
    """
    # (m, n).
    cheaper = (incumbents[:, None, :] <= costs[None, :, :]).all(2)
    needed = np.where(cheaper, accuracies[:, None], reference).max(0, initial=reference)
    return np.prod(1 - np.clip(costs, 0, 1), 1), np.asarray(needed)


def leading(costs: Array, accuracies: Array) -> Array:
    """(m,) booleans: the incumbents that no other one beats in accuracy and every cost; the others change nothing."""
    return non_dominated(np.column_stack([costs, -accuracies]))
