"""The surrogate on what was measured, in parts that outlast a suggestion: only what is in flight changes between two of them.

Conditioning on points in flight at the model's own mean leaves every mean as it is and takes from each variance what they
would tell; so the dear part, candidates against all trainings, is computed once for as long as nothing new is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.spatial.distance import cdist

from cspnas.objectives.pareto import Array
from cspnas.samplers.hyperparameters import KernelHyperparameters, Posterior

LEAST_VARIANCE = 1e-12
# Beside the noise.
JITTER = 1e-8


@dataclass(frozen=True, slots=True)
class PosteriorTerms:
    """m points by n trainings: `mean` (m,) of the target, `variance` (m,) in its normalised units without noise, and `root`
    (n, m), whose products give what the trainings explain of the points' covariances.
    """

    features: Array
    mean: Array
    variance: Array
    root: Array


class GaussianProcess:
    """The surrogate's Gaussian process on trainings: features (n, d), targets (n,).

    Rasmussen and Williams 2006, algorithm 2.1. `KernelHyperparameters.condition` has scikit-learn do the same, whose import
    takes longer than all else that a search needs to go on.
    """

    def __init__(self, surrogate: KernelHyperparameters, features: Array, target: Array) -> None:
        self._amplitude, self._length, self._noise = surrogate.hyperparameters
        self._noise += JITTER
        self._features, self._centre, self._scale = features, float(target.mean()), float(target.std()) or 1.0
        covariance = self._signal(features, features)
        covariance[np.diag_indices_from(covariance)] += self._noise
        self._root = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._root, True), (target - self._centre) / self._scale, check_finite=False)

    def _signal(self, one: Array, other: Array) -> Array:
        """(m, n) covariances without noise: Matern 5/2."""
        distance = cdist(one, other) * (np.sqrt(5) / self._length)
        return np.asarray(self._amplitude * (1 + distance + np.square(distance) / 3) * np.exp(-distance))

    def mean(self, features: Array) -> Array:
        """(m,) of the target."""
        return np.asarray(self._centre + self._scale * self._signal(features, self._features) @ self._weights)

    def describe(self, features: Array) -> PosteriorTerms:
        """What the trainings say of these points."""
        cross = self._signal(features, self._features)
        root = solve_triangular(self._root, cross.T, lower=True, check_finite=False)
        variance = self._amplitude - np.square(root).sum(0)
        return PosteriorTerms(features, self._centre + self._scale * cross @ self._weights, variance, root)

    def beside(self, candidates: PosteriorTerms, pending: PosteriorTerms) -> Posterior:
        """Of the target at the candidates, noise taken off, as if the pending points were measured at their mean too."""
        variance = candidates.variance
        if len(pending.features):
            shared = self._signal(pending.features, candidates.features) - pending.root.T @ candidates.root
            own = self._signal(pending.features, pending.features) - pending.root.T @ pending.root
            own[np.diag_indices_from(own)] += self._noise
            told = solve_triangular(cholesky(own, lower=True), shared, lower=True, check_finite=False)
            variance = variance - np.square(told).sum(0)
        return Posterior(candidates.mean, self._scale * np.sqrt(np.maximum(variance, LEAST_VARIANCE)))
