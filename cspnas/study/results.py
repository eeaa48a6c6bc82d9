"""What a study knows so far, in memory: each network with all its trainings, and the front that they give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import fsum, sqrt
from typing import Any

import numpy as np

from cspnas.errors import FailureKind, InputError
from cspnas.objectives.incremental_pareto import IncrementalFront
from cspnas.objectives.objectives import measured_names
from cspnas.objectives.pareto import HypervolumeReference, hypervolume, knee, losses
from cspnas.space.search_space import Genotype
from cspnas.study.evaluation import Evaluation, evaluation_from
from cspnas.study.network_record import NetworkRecord
from cspnas.study.row_validation import check_costs, check_genotype, check_training, damaged
from cspnas.study.states import State

BASELINE_KINDS = ("plain", "csp")


@dataclass(frozen=True, slots=True)
class StudyRows:
    """What a database holds of one study: its evaluations, oldest first, each with its network's document and costs; the
    suggestion that first gave each network; the points of the newest snapshot of the front. `place`: the database, as
    people may see it.
    """

    evaluations: list[dict[str, Any]]
    first_suggestions: list[dict[str, Any]]
    last_front: list[Any] | None
    place: str = ""


class StudyResults:
    """All networks of one study by digest, with counts, front and deviations that each result changes where it must.

    Raises StorageError, as it reads or is told of them, for figures that no search can have written (`row_validation.py`).
    """

    def __init__(self, reference: HypervolumeReference, rows: StudyRows, study_id: int) -> None:
        self.reference, self.study_id = reference, study_id
        # Digest to trial number, of the networks that Optuna's tables are known to have
        self.trials: dict[str, int] = {}
        self.read(rows)

    def read(self, rows: StudyRows) -> None:
        """Take it all from the tables' rows; whatever was known is forgotten."""
        self._place = rows.place
        self.networks: dict[str, NetworkRecord] = {}
        self.genotypes: dict[str, Genotype] = {}
        # Networks with results that nobody has taken note of; for the projection.
        self.changed: list[str] = []
        # Evaluations that bad data failed: they are trained again when the data are mended.
        self.bad_data: set[int] = set()
        # (a network's first evaluation?, state) -> evaluations.
        self._counts: Counter[tuple[bool, str]] = Counter()
        self._baselines: list[NetworkRecord] = []
        # Begun more than once, by digest; baselines apart.
        self._again: dict[str, NetworkRecord] = {}
        first = {row["digest"]: row for row in rows.first_suggestions}
        for row in rows.evaluations:
            architecture = {"digest": row["digest"], "document": row.pop("document"), "costs": row.pop("costs")}
            suggestion = first.get(row["digest"], {})
            self._enter(architecture, row, suggestion.get("source", ""), suggestion.get("genotype"))
        self._measured = [network for network in self.networks.values() if network.accuracies]
        self._rows = {network.digest: row for row, network in enumerate(self._measured)}
        self._front = IncrementalFront(losses(self.points(self._measured), self.reference))
        self._squares = {n.digest: _squares(n) for n in self._measured if len(n.accuracies) > 1}
        self._last_front = rows.last_front
        self._front_moved()

    def _front_moved(self) -> None:
        """Work these out anew when next asked for."""
        self._members: list[NetworkRecord] | None = None
        self._hypervolume: float | None = None
        self._snapshot_due = True

    # Taking over trainings -----------------------------------------------------------------------------------------

    def add(
        self, architecture: dict[str, Any], evaluation: dict[str, Any], source: str, genotype: Genotype | None
    ) -> NetworkRecord:
        """One more training of a network, known or new, from the rows that the tables get."""
        network = self._enter(architecture, evaluation, source, genotype)
        if network.evaluations[-1].accuracy is not None:
            self._measure(network)
        return network

    def _enter(
        self, architecture: dict[str, Any], evaluation: dict[str, Any], source: str, genotype: Genotype | None
    ) -> NetworkRecord:
        digest = architecture["digest"]
        # Of the result, which is bulky, only what was measured stays in memory.
        row = _with_measured(evaluation)
        try:
            check_training(row)
            if digest not in self.networks:
                check_costs(architecture["costs"], self.reference.objectives)
                check_genotype(genotype)
        except InputError as error:
            raise damaged(digest, error, self._place) from None
        if digest not in self.networks:
            self.networks[digest] = NetworkRecord(digest, architecture["document"], architecture["costs"], source)
            if genotype:
                self.genotypes[digest] = genotype
            if source.startswith("baseline:"):
                self._baselines.append(self.networks[digest])
        elif not self.networks[digest].source.startswith("baseline:"):
            self._again[digest] = self.networks[digest]
        entered = evaluation_from(row)
        self.networks[digest].evaluations.append(entered)
        self._counts[entered.repeat == 0, entered.state] += 1
        if not entered.under_way:
            self.changed.append(digest)
            self._note_bad_data(entered)
        return self.networks[digest]

    def recorded(self, digest: str, evaluation_id: int) -> None:
        """The newest training of a network has this id in the tables."""
        evaluations = self.networks[digest].evaluations
        evaluations[-1] = replace(evaluations[-1], id=evaluation_id)

    def finish(self, digest: str, evaluation_id: int, changes: dict[str, Any]) -> NetworkRecord:
        """Take over a training's result."""
        network = self.networks[digest]
        number, before = next((n, one) for n, one in enumerate(network.evaluations) if one.id == evaluation_id)
        known = {field.name: getattr(before, field.name) for field in fields(before) if field.name != "measured"}
        row = _with_measured({**known, **changes})
        try:
            check_training(row)
        except InputError as error:
            raise damaged(digest, error, self._place) from None
        ended = network.evaluations[number] = evaluation_from(row)
        self._counts[before.repeat == 0, before.state] -= 1
        self._counts[ended.repeat == 0, ended.state] += 1
        self.changed.append(digest)
        self._note_bad_data(ended)
        if ended.accuracy is not None:
            self._measure(network)
        return network

    def _note_bad_data(self, evaluation: Evaluation) -> None:
        if evaluation.failure_kind == FailureKind.BAD_DATA:
            self.bad_data.add(evaluation.id)
        else:
            self.bad_data.discard(evaluation.id)

    def _measure(self, network: NetworkRecord) -> None:
        """Its mean accuracy is new."""
        row = self._rows.setdefault(network.digest, len(self._measured))
        if row == len(self._measured):
            self._measured.append(network)
        if len(network.accuracies) > 1:
            self._squares[network.digest] = _squares(network)
        if self._front.put(row, losses(self.points([network]), self.reference)[0]):
            self._front_moved()

    # Counts --------------------------------------------------------------------------------------------------------

    def _count(self, *states: str, first: tuple[bool, ...] = (True, False)) -> int:
        return sum(self._counts[order, state] for order in first for state in states)

    @property
    def trainings(self) -> int:
        """Trainings ended or in flight; reused results are none."""
        return self._count(State.TRAINED, State.FAILED, State.IN_FLIGHT)

    @property
    def finished(self) -> int:
        """Trainings ended, failed ones included."""
        return self._count(State.TRAINED, State.FAILED)

    @property
    def failed(self) -> int:
        """Trainings that failed."""
        return self._count(State.FAILED)

    @property
    def in_flight(self) -> int:
        """Trainings under way."""
        return self._count(State.IN_FLIGHT)

    @property
    def explored(self) -> int:
        """Trainings of networks that had not been evaluated before, ended or in flight."""
        return self._count(State.TRAINED, State.FAILED, State.IN_FLIGHT, first=(True,))

    @property
    def confirmations(self) -> int:
        """Evaluations of networks that had been evaluated before: ended, in flight, reused."""
        return self._count(State.TRAINED, State.FAILED, State.IN_FLIGHT, State.REUSED, first=(False,))

    # The front -----------------------------------------------------------------------------------------------------

    def measured(self) -> list[NetworkRecord]:
        """Networks with at least one accuracy."""
        return list(self._measured)

    def points(self, networks: list[NetworkRecord]) -> np.ndarray:
        """(n, objectives) observed means and exact costs."""
        columns = [_column(networks, name) for name in self.reference.objectives]
        return np.array(columns, float).reshape(len(columns), len(networks)).T

    def front(self) -> list[NetworkRecord]:
        """Non-dominated networks by observed means, most accurate first."""
        if self._members is None:
            members = [self._measured[row] for row in self._front.members]
            self._members = sorted(members, key=lambda n: (-n.accuracy, n.costs["flops"], n.digest))
        return list(self._members)

    def hypervolume(self) -> float:
        """Of the front, in the study's own units."""
        if self._hypervolume is None:
            self._hypervolume = hypervolume(losses(self.points(self.front()), self.reference))
        return self._hypervolume

    def knee(self) -> NetworkRecord | None:
        """The front's member nearest to the ideal point."""
        members = self.front()
        if not members:
            return None
        flops = np.array([network.costs["flops"] for network in members])
        return members[knee(losses(self.points(members), self.reference), flops)]

    def snapshot(self) -> dict[str, Any] | None:
        """The front as the database keeps it, None where it did not change since the last one."""
        if not self._snapshot_due:
            return None
        self._snapshot_due = False
        members = self.front()
        points = [[n.digest, *map(float, p)] for n, p in zip(members, self.points(members), strict=True)]
        if points == self._last_front:
            return None
        self._last_front = points
        counts = {"trainings": self.finished, "hypervolume": self.hypervolume()}
        return {"study_id": self.study_id, **counts, "points": points}

    # Both sides of the verdict -------------------------------------------------------------------------------------

    def curves(self) -> dict[str, list[NetworkRecord]]:
        """The baselines with at least one accuracy, by kind, ascending FLOPs."""
        known = sorted((n for n in self._baselines if n.accuracies), key=lambda n: (n.costs["flops"], n.digest))
        return {kind: [n for n in known if n.source == f"baseline:{kind}"] for kind in BASELINE_KINDS}

    def confirmed(self) -> list[NetworkRecord]:
        """Networks that the search found and of which a further training was begun, in the order of these."""
        return list(self._again.values())

    # Noise ---------------------------------------------------------------------------------------------------------

    def seed_deviation(self) -> tuple[float, int]:
        """Pooled standard deviation of accuracy between seeds of one network, and its degrees of freedom."""
        freedom = sum(freedom for _, freedom in self._squares.values())
        if not freedom:
            return float("nan"), 0
        return sqrt(fsum(squares for squares, _ in self._squares.values()) / freedom), freedom

    def standard_error(self, network: NetworkRecord) -> float:
        """Of the mean accuracy, from the pooled seed deviation; NaN before any network has two seeds."""
        return self.seed_deviation()[0] / sqrt(max(1, len(network.accuracies)))

    def near(self) -> list[NetworkRecord]:
        """Networks on, or within one standard error of accuracy of, the front."""
        return [self._measured[row] for row in self._near()]

    def _near(self) -> np.ndarray:
        """Rows on the front, and those that one standard error more of accuracy would put there."""
        error = self.seed_deviation()[0]
        if np.isnan(error):
            return self._front.members
        lifted = self._front.loss.copy()
        seeds = np.ones(len(lifted))
        for digest, (_, freedom) in self._squares.items():
            seeds[self._rows[digest]] += freedom
        lifted[:, self.reference.objectives.index("accuracy")] -= error / np.sqrt(seeds) / (1 - self.reference.chance)
        return np.union1d(self._front.members, self._front.undominated(lifted))


def _with_measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with each measured objective as a column: its own, else that of its result; None where neither has one."""
    result = row.get("result") or {}
    return {name: result.get(name) for name in measured_names()} | {key: row[key] for key in row if key != "result"}


def _column(networks: list[NetworkRecord], name: str) -> list[float]:
    """`NetworkRecord.value` of each."""
    if name in measured_names():
        return [network.value(name) for network in networks]
    return [network.costs.get(name, float("nan")) for network in networks]


def _squares(network: NetworkRecord) -> tuple[float, int]:
    """Sum of squared deviations of its accuracies from their mean, and the degrees of freedom."""
    mean = network.accuracy
    return fsum((accuracy - mean) ** 2 for accuracy in network.accuracies), len(network.accuracies) - 1
