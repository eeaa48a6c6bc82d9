"""The model of the measured objective: a Gaussian process on encoded genes and log costs (scikit-learn's)."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from cspnas.objectives.pareto import Array
from cspnas.study.suggestion import FittedHyperparameters

# Hyperparameters are fitted on at most this many rows, the latest; the posterior uses all.
FIT_ROWS = 256
LEAST_ERROR = 1e-4
# bounds; logarithms of what is fitted are kept.
AMPLITUDE, LENGTH, NOISE = (1e-3, 1e1), (0.5, 60.0), (1e-3, 2.0)
# Of a logarithm, for what rounds at a bound.
BOUND_SLACK = 1e-6


def to_target(accuracy: Array) -> Array:
    """-log(error): steps of accuracy near 1 count as they should, and its noise is more even."""
    return np.asarray(-np.log(np.maximum(1 - accuracy, LEAST_ERROR)))


def to_accuracy(target: Array) -> Array:
    """The accuracy that has this target; the median of a distribution's for its mean."""
    return np.asarray(1 - np.exp(-target))


@dataclass(frozen=True, slots=True)
class Posterior:
    """Mean and standard deviation of the target without noise, (n,) each."""

    mean: Array
    deviation: Array


class KernelHyperparameters:
    """target ~ Matern 5/2 with one length for all features + noise; one row a training, so that a network trained with
    several seeds has several rows and the noise between them is learned as noise.

    A length for each feature, fitted to a search's few rows, is surer than it is right: see
    benchmarks/accuracy_table/surrogates.py.
    """

    def __init__(self) -> None:
        self._hyperparameters: Array = np.empty(0)
        self.fitted_rows = 0

    def fit(self, features: Array, target: Array) -> None:
        """Fit the hyperparameters by maximum likelihood: features (n, d), target (n,)."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor

        rows = slice(max(0, len(target) - FIT_ROWS), None)
        process = GaussianProcessRegressor(_kernel(features.shape[1]), alpha=1e-8, normalize_y=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            process.fit(features[rows], target[rows])
        self._hyperparameters, self.fitted_rows = process.kernel_.theta, len(target)

    def dump(self) -> FittedHyperparameters:
        """What was fitted, as JSON."""
        return {"theta": [float(value) for value in self._hyperparameters], "rows": self.fitted_rows}

    def load(self, document: Any, most: int | None = None) -> None:
        """Take over what `dump` gave, of at most `most` rows. What another release fitted to another kernel, and what no
        release can have fitted, is passed over, and fitted anew.
        """
        theta, rows = (document.get("theta"), document.get("rows")) if isinstance(document, Mapping) else (None, None)
        if _can_be_fitted(theta) and type(rows) is int and rows > 0 and (most is None or rows <= most):
            self._hyperparameters, self.fitted_rows = np.array(theta, float), rows

    @property
    def hyperparameters(self) -> tuple[float, float, float]:
        """Variance of the signal, length, variance of the noise; of the target in units of its deviation."""
        amplitude, length, noise = (float(value) for value in np.exp(self._hyperparameters))
        return amplitude, length, noise

    def condition(self, features: Array, target: Array) -> Any:
        """scikit-learn's process with these hyperparameters on all rows: what `conditioned.py` is measured against."""
        from sklearn.gaussian_process import GaussianProcessRegressor

        kernel = _kernel(features.shape[1]).clone_with_theta(self._hyperparameters)
        process = GaussianProcessRegressor(kernel, alpha=1e-8, normalize_y=True, optimizer=None)
        return process.fit(features, target)


def _can_be_fitted(theta: Any) -> bool:
    """Whether these are logarithms of hyperparameters within their bounds."""
    if not isinstance(theta, list) or len(theta) != 3 or not all(type(one) in (int, float) for one in theta):
        return False
    bounds = zip(theta, (AMPLITUDE, LENGTH, NOISE), strict=True)
    return all(
        log(least) - BOUND_SLACK <= one <= log(most) + BOUND_SLACK
        for one, (least, most) in bounds
        # NaN is within nothing.
    )


def _kernel(dimensions: int) -> Any:
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    smooth = ConstantKernel(0.5, AMPLITUDE) * Matern(np.sqrt(dimensions), LENGTH, nu=2.5)
    return smooth + WhiteKernel(0.3, NOISE)
