"""Which candidate to measure next: the greatest exact expected hypervolume improvement under a model of accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cspnas.samplers.improvement import expected_improvement, log_error_excess
from cspnas.samplers.surrogate import Surrogate, posterior, to_target

Array = npt.NDArray[Any]
LEAST_ROWS = 6  # trainings before the first model
GROWTH = 1.25  # hyperparameters are fitted again when there are this many times the rows of the last fit


@dataclass(frozen=True, slots=True)
class Points:
    """Architectures to a model: `features` (n, d) and known losses `costs` (n, k)."""

    features: Array
    costs: Array


@dataclass(frozen=True, slots=True)
class Trained:
    """What was measured: distinct networks, and one accuracy a training, of network number `network`."""

    points: Points
    network: Array
    accuracy: Array


def scores(
    surrogate: Surrogate, trained: Trained, pending: Points, candidates: Points, reference: float
) -> tuple[Array, Array]:
    """(n,) expected improvements of the candidates and (n,) their median accuracies.

    Incumbents are the posterior means of trained networks and of those in flight, which the model takes for measured at
    its own mean. `reference` is the accuracy from which the hypervolume counts.
    """
    features = trained.points.features[trained.network]
    target = to_target(trained.accuracy)
    process = surrogate.condition(features, target)
    known, costs = trained.points.features, trained.points.costs
    if len(pending.features):
        believed = posterior(process, pending.features).mean
        process = surrogate.condition(
            np.concatenate([features, pending.features]), np.concatenate([target, believed])
        )
        known, costs = np.concatenate([known, pending.features]), np.concatenate([costs, pending.costs])
    incumbents = posterior(process, known).accuracy
    found = posterior(process, candidates.features)

    def excess(threshold: float) -> Array:
        return log_error_excess(np.asarray(threshold), found.mean, found.deviation)

    return expected_improvement(candidates.costs, excess, costs, incumbents, reference), found.accuracy


def due(surrogate: Surrogate, rows: int) -> bool:
    """Whether the hyperparameters are to be fitted again."""
    return rows >= GROWTH * surrogate.fitted_rows


def farthest(candidates: Points, known: Points, random: Callable[[int], int]) -> int:
    """The candidate whose costs are farthest from all known ones: the first trainings, before any model."""
    if not len(known.costs):
        return random(len(candidates.costs))
    distance = np.square(candidates.costs[:, None, :] - known.costs[None, :, :]).sum(2).min(1)
    return int(distance.argmax())
