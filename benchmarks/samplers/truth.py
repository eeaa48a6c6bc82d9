"""What a network's accuracy is in the comparison, one of two truths.

`Rows`: the accuracy table itself; only its networks exist, a training gives the accuracy that was measured, and a network's
true accuracy is the mean over its seeds.
`Model`: the whole space, by gradient-boosted trees (scikit-learn; another family than any sampler's model) on wiring, widths
and log costs; the noise of one training is the measured deviation between seeds.
Costs are the product's own, exact.
"""

from __future__ import annotations

import hashlib
import sys
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Protocol

import numpy as np
from scipy.stats import kendalltau, norm, spearmanr
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.model_selection import KFold, cross_val_predict

from cspnas.errors import ArchitectureError
from cspnas.network.cost import CostTable
from cspnas.network.serialization import architecture_from
from cspnas.objectives.pareto import HypervolumeReference, hypervolume, losses, non_dominated
from cspnas.samplers.features import raw_features
from cspnas.study.candidates import Candidate, admitted, candidate, valid_candidates
from cspnas.study.settings import Study

sys.path.insert(0, str(Path(__file__).parents[1] / "accuracy_table"))
from table import Row, load

SEED_DEVIATION = 0.0038  # between two seeds of one network, measured by the main job (docs/LOG.md)
RANDOM = 20_000  # networks from which the search for the true front starts


def regressor() -> GradientBoostingRegressor:
    """Small trees, many of them: a few hundred rows."""
    return GradientBoostingRegressor(
        n_estimators=400, learning_rate=0.05, max_depth=3, subsample=0.5, min_samples_leaf=3, random_state=0
    )


class Truth(Protocol):
    """What a benchmark is run on."""

    rows: list[Row]
    provenance: dict[str, Any]
    report: dict[str, Any]

    def accuracies(self, drawn: list[Candidate]) -> np.ndarray:
        """(n,) without noise."""

    def measured(self, noise_free: float, digest: str, seed: int) -> float:
        """One training: the same for the same network and seed, whatever method asks."""

    def front(self, study: Study, reference: HypervolumeReference) -> np.ndarray:
        """(n, objectives) noise-free points of the best front there is."""


class Rows:
    """The table's networks and nothing else."""

    def __init__(self) -> None:
        self.rows, self.provenance = load()
        self.by_digest = {row.digest: row for row in self.rows}
        self.report = {"rows": len(self.rows), "trainings": sum(len(row.accuracies) for row in self.rows)}

    def accuracies(self, drawn: list[Candidate]) -> np.ndarray:
        """(n,) means over the seeds of each."""
        return np.array([np.mean(self.by_digest[one.digest].accuracies) for one in drawn])

    def measured(self, noise_free: float, digest: str, seed: int) -> float:
        """The first seed's accuracy."""
        return float(self.by_digest[digest].accuracies[0])

    def front(self, study: Study, reference: HypervolumeReference) -> np.ndarray:
        """Of all rows."""
        means = [float(np.mean(row.accuracies)) for row in self.rows]
        columns = [means if name == "accuracy" else [row.costs[name] for row in self.rows] for name in study.objectives]
        points = np.array(columns, float).T
        return np.asarray(points[non_dominated(losses(points, reference))])


class Model:
    """The whole space, from a regression on the table."""

    def __init__(self) -> None:
        self.rows, self.provenance = load()
        features = np.array([_features(row) for row in self.rows])
        accuracy = np.array([np.mean(row.accuracies) for row in self.rows])
        self._model = regressor().fit(features, to_target(accuracy))
        self.deviation = self._deviation()
        self.report = self._cross_validated(features, accuracy)

    def _deviation(self) -> float:
        repeated = [np.var(row.accuracies, ddof=1) for row in self.rows if len(row.accuracies) > 1]
        return float(np.sqrt(np.mean(repeated))) if len(repeated) >= 20 else SEED_DEVIATION

    def _cross_validated(self, features: np.ndarray, accuracy: np.ndarray) -> dict[str, Any]:
        folds = KFold(10, shuffle=True, random_state=0)
        found = cross_val_predict(regressor(), features, to_target(accuracy), cv=folds)
        return {
            "rows": len(self.rows),
            "spearman": float(spearmanr(found, accuracy).statistic),
            "kendall": float(kendalltau(found, accuracy).statistic),
            "rms_points": float(100 * np.sqrt(np.mean((1 - np.exp(-found) - accuracy) ** 2))),
            "deviation_points": float(100 * accuracy.std()),
            "seed_deviation_points": 100 * self.deviation,
        }

    def accuracies(self, drawn: list[Candidate]) -> np.ndarray:
        """(n,) without noise."""
        if not drawn:
            return np.empty(0)
        features = np.array([raw_features(one.architecture, one.costs) for one in drawn])
        return np.asarray(1 - np.exp(-self._model.predict(features)))

    def measured(self, noise_free: float, digest: str, seed: int) -> float:
        """One training: the same noise for the same network and seed, whatever method asks."""
        text = hashlib.sha256(f"{digest}/{seed}".encode()).digest()
        uniform = (int.from_bytes(text[:7], "big") + 0.5) / 2**56
        return float(np.clip(noise_free + self.deviation * norm.ppf(uniform), 0, 1))

    def front(self, study: Study, reference: HypervolumeReference) -> np.ndarray:
        """See `true_front`."""
        return true_front(study, self, reference)


def to_target(accuracy: np.ndarray) -> np.ndarray:
    """-log(error)."""
    return np.asarray(-np.log(1 - accuracy))


def _features(row: Row) -> list[float]:
    return raw_features(architecture_from(row.architecture), row.costs)


def true_front(study: Study, truth: Model, reference: HypervolumeReference) -> np.ndarray:
    """(n, objectives) noise-free points: the front of many random networks, moved on to its neighbours' front until no
    neighbour of a member is better than the front.
    """
    table, seen = CostTable(), set()

    def points(drawn: list[Candidate]) -> np.ndarray:
        accuracy = truth.accuracies(drawn)
        columns = [accuracy if name == "accuracy" else [one.costs[name] for one in drawn] for name in study.objectives]
        return np.array(columns, float).T.reshape(len(drawn), len(study.objectives))

    def fresh(genotypes: Any) -> list[Candidate]:
        found = []
        for genotype in genotypes:
            key = tuple(genotype.items())
            if key in seen:
                continue
            seen.add(key)
            try:
                one = candidate(study, genotype, table)
            except ArchitectureError:
                continue
            if admitted(study, one.costs):
                found.append(one)
        return found

    drawn = list(islice((one for one in valid_candidates(study, Random(1)) if admitted(study, one.costs)), RANDOM))
    members, front = drawn, points(drawn)
    while drawn:
        keep = non_dominated(losses(front, reference))
        members = [one for one, kept in zip(members, keep, strict=True) if kept]
        front = front[keep]
        drawn = fresh(genotype for one in members for genotype in study.space.neighbours(one.genotype))
        members, front = members + drawn, np.concatenate([front, points(drawn)])
    print(f"true front: {len(front)} points, hypervolume {hypervolume(losses(front, reference)):.4f}", file=sys.stderr)
    return front
