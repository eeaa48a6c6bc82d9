"""What a study knows so far, in memory: each network with all its trainings, and the front that they give."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import fsum, sqrt
from typing import Any

import numpy as np

from cspnas.architecture import Architecture
from cspnas.architecture_document import architecture_from
from cspnas.database import Database
from cspnas.front import Reference, hypervolume, knee, losses, non_dominated
from cspnas.objectives import MEASURED


@dataclass(slots=True)
class Network:
    """One architecture and its trainings, oldest first; `source` is what first suggested it."""

    digest: str
    document: dict[str, Any]
    costs: dict[str, float]
    source: str
    evaluations: list[dict[str, Any]] = field(default_factory=list)

    @property
    def architecture(self) -> Architecture:
        """The architecture as a value."""
        return architecture_from(self.document)

    def values(self, name: str) -> list[float]:
        """Of a measured objective, one a seed that was trained to the end."""
        return [row[name] for row in self.evaluations if row["accuracy"] is not None and row.get(name) is not None]

    def value(self, name: str) -> float:
        """Of an objective: the exact cost, or the mean over seeds of what was measured; NaN where it is not known."""
        values = self.values(name) if name in MEASURED else [self.costs.get(name, float("nan"))]
        return fsum(values) / len(values) if values else float("nan")

    @property
    def accuracies(self) -> list[float]:
        """One a seed that was trained to the end."""
        return self.values("accuracy")

    @property
    def accuracy(self) -> float:
        """Mean over seeds; NaN before the first result."""
        return self.value("accuracy")


class Ledger:
    """All networks of one study by digest."""

    def __init__(self, reference: Reference, database: Database, study_id: int) -> None:
        self.reference, self.study_id = reference, study_id
        self.networks: dict[str, Network] = {}
        sources: dict[str, str] = {}
        for row in database.suggestions(study_id):
            sources.setdefault(row["digest"], row["source"])
        for row in database.evaluations(study_id):
            architecture = {key: row.pop(key) for key in ("document", "costs")}
            self.add({"digest": row["digest"], **architecture}, row, sources.get(row["digest"], ""))
        self._last_front: list[Any] | None = None
        snapshots = database.fronts(study_id)
        if snapshots:
            self._last_front = snapshots[-1]["points"]

    def add(self, architecture: dict[str, Any], evaluation: dict[str, Any], source: str) -> Network:
        """One more training of a network, known or new."""
        digest = architecture["digest"]
        if digest not in self.networks:
            self.networks[digest] = Network(digest, architecture["document"], architecture["costs"], source)
        self.networks[digest].evaluations.append(evaluation)
        return self.networks[digest]

    def finish(self, digest: str, evaluation_id: int, changes: dict[str, Any]) -> Network:
        """Take over a training's result."""
        network = self.networks[digest]
        row = next(row for row in network.evaluations if row["id"] == evaluation_id)
        result = changes.get("result") or {}
        row.update({name: result.get(name) for name in MEASURED})
        row.update({key: value for key, value in changes.items() if key != "result"})
        return network

    def _count(self, *states: str) -> int:
        return sum(row["state"] in states for network in self.networks.values() for row in network.evaluations)

    @property
    def trainings(self) -> int:
        """Trainings ended or in flight; reused results are none."""
        return self._count("trained", "failed", "in_flight")

    @property
    def finished(self) -> int:
        """Trainings ended, failed ones included."""
        return self._count("trained", "failed")

    @property
    def in_flight(self) -> int:
        """Trainings under way."""
        return self._count("in_flight")

    @property
    def confirmations(self) -> int:
        """Trainings of a network that had been trained before, under way ones included."""
        return sum(row["repeat"] > 0 for network in self.networks.values() for row in network.evaluations)

    def measured(self) -> list[Network]:
        """Networks with at least one accuracy."""
        return [network for network in self.networks.values() if network.accuracies]

    def points(self, networks: list[Network]) -> np.ndarray:
        """(n, objectives) observed means and exact costs."""
        rows = [[network.value(name) for name in self.reference.objectives] for network in networks]
        return np.array(rows, float).reshape(len(rows), len(self.reference.objectives))

    def front(self) -> list[Network]:
        """Non-dominated networks by observed means, most accurate first."""
        networks = self.measured()
        mask = non_dominated(losses(self.points(networks), self.reference))
        members = [network for network, kept in zip(networks, mask, strict=True) if kept]
        return sorted(members, key=lambda network: (-network.accuracy, network.costs["flops"], network.digest))

    def hypervolume(self) -> float:
        """Of the front, in the study's own units."""
        return hypervolume(losses(self.points(self.front()), self.reference))

    def knee(self) -> Network | None:
        """The front's member nearest to the ideal point."""
        members = self.front()
        if not members:
            return None
        flops = np.array([network.costs["flops"] for network in members])
        return members[knee(losses(self.points(members), self.reference), flops)]

    def snapshot(self, evaluation_id: int) -> dict[str, Any] | None:
        """The front as the database keeps it, None where it did not change."""
        members = self.front()
        points = [[n.digest, *map(float, p)] for n, p in zip(members, self.points(members), strict=True)]
        if points == self._last_front:
            return None
        self._last_front = points
        return {
            "study_id": self.study_id,
            "evaluation_id": evaluation_id,
            "trainings": self.finished,
            "hypervolume": self.hypervolume(),
            "points": points,
        }

    def seed_deviation(self) -> tuple[float, int]:
        """Pooled standard deviation of accuracy between seeds of one network, and its degrees of freedom."""
        groups = [np.array(network.accuracies) for network in self.measured() if len(network.accuracies) > 1]
        freedom = sum(len(group) - 1 for group in groups)
        if not freedom:
            return float("nan"), 0
        return sqrt(sum(float(np.square(group - group.mean()).sum()) for group in groups) / freedom), freedom

    def standard_error(self, network: Network) -> float:
        """Of the mean accuracy, from the pooled seed deviation; NaN before any network has two seeds."""
        return self.seed_deviation()[0] / sqrt(max(1, len(network.accuracies)))

    def to_confirm(self) -> Network | None:
        """The network on, or within one standard error of, the front with the fewest seeds; front members first."""
        front = {network.digest for network in self.front()}
        error = self.seed_deviation()[0]
        near = []
        for network in self.measured():
            if any(row["state"] == "in_flight" for row in network.evaluations):
                continue
            if network.digest in front or self._near(network, 0.0 if np.isnan(error) else error):
                near.append((len(network.evaluations), network.digest not in front, -network.accuracy, network.digest))
        return self.networks[min(near)[3]] if near else None

    def _near(self, network: Network, error: float) -> bool:
        """Whether one standard error more of accuracy would put the network on the front."""
        lifted = self.points([network])
        lifted[0, self.reference.objectives.index("accuracy")] += error / sqrt(len(network.accuracies))
        others = self.points([other for other in self.front() if other.digest != network.digest])
        return bool(non_dominated(losses(np.concatenate([lifted, others]), self.reference))[0])
