"""The surrogate on what was measured, in parts that outlast a suggestion: only what is in flight changes between two of them.

Conditioning on points in flight at the model's own mean leaves every mean as it is and takes from each variance what they
would tell; so the dear part, candidates against all trainings, is computed once for as long as nothing new is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular

from cspnas.samplers.surrogate import Posterior, Surrogate

Array = npt.NDArray[Any]
LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True)
class Described:
    """m points by n trainings: `mean` (m,) of the target, `variance` (m,) in its normalised units without noise, and `root`
    (n, m), whose products give what the trainings explain of the points' covariances.
    """

    features: Array
    mean: Array
    variance: Array
    root: Array


class Conditioned:
    """A Gaussian process after scikit-learn has conditioned it on trainings: features (n, d), targets (n,)."""

    def __init__(self, surrogate: Surrogate, features: Array, target: Array) -> None:
        self._process = surrogate.condition(features, target)
        kernel = self._process.kernel_
        self._signal, self._noise = kernel.k1, float(kernel.k2.noise_level)
        self._mean, self._scale = float(self._process._y_train_mean), float(self._process._y_train_std)

    def mean(self, features: Array) -> Array:
        """(m,) of the target."""
        return np.asarray(self._process.predict(features))

    def describe(self, features: Array) -> Described:
        """Rasmussen and Williams 2006, algorithm 2.1."""
        cross = self._signal(features, self._process.X_train_)
        root = solve_triangular(self._process.L_, cross.T, lower=True, check_finite=False)
        variance = self._signal.diag(features) - np.square(root).sum(0)
        return Described(features, self._mean + self._scale * cross @ self._process.alpha_, variance, root)

    def beside(self, candidates: Described, pending: Described) -> Posterior:
        """Of the target at the candidates, noise taken off, as if the pending points were measured at their mean too."""
        variance = candidates.variance
        if len(pending.features):
            shared = self._signal(pending.features, candidates.features) - pending.root.T @ candidates.root
            own = self._signal(pending.features) - pending.root.T @ pending.root
            own[np.diag_indices_from(own)] += self._noise
            told = solve_triangular(cholesky(own, lower=True), shared, lower=True, check_finite=False)
            variance = variance - np.square(told).sum(0)
        return Posterior(candidates.mean, self._scale * np.sqrt(np.maximum(variance, LEAST_VARIANCE)))
