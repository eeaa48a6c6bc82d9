"""What a study knows so far, in memory: each network with all its trainings, and the front that they give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import fsum, sqrt
from typing import Any

import numpy as np

from cspnas.errors import FailureKind, InputError
from cspnas.objectives.incremental_pareto import IncrementalFront
from cspnas.objectives.objectives import measured_names
from cspnas.objectives.pareto import HypervolumeReference, hypervolume, knee, losses
from cspnas.space.search_space import Genotype
from cspnas.study.evaluation import Evaluation, EvaluationEnd
from cspnas.study.network_record import NetworkRecord
from cspnas.study.row_validation import check_costs, check_genotype, damaged
from cspnas.study.states import State

BASELINE_KINDS = ("plain", "csp")
# A network's digest and its values, in the order of the study's objectives.
FrontPoint = list[Any]


@dataclass(frozen=True, slots=True)
class StudyRows:
    """What a database holds of one study: its evaluations, oldest first, each with its network; the genotype that first gave
    each network, by digest; the points of the newest snapshot of the front. `place`: the database, as people may see it.
    """

    evaluations: list[tuple[NetworkRecord, Evaluation]]
    genotypes: Mapping[str, Genotype | None]
    last_front: list[FrontPoint] | None
    place: str = ""


@dataclass(frozen=True, slots=True)
class FrontSnapshot:
    """A front as the database keeps it, after so many trainings."""

    study_id: int
    trainings: int
    hypervolume: float
    points: list[FrontPoint]


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
        for network, evaluation in rows.evaluations:
            self._enter(network, evaluation, rows.genotypes.get(network.digest))
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

    def add(self, network: NetworkRecord, evaluation: Evaluation, genotype: Genotype | None) -> NetworkRecord:
        """One more training of a network, known or new; the network with all its trainings."""
        network = self._enter(network, evaluation, genotype)
        if evaluation.accuracy is not None:
            self._measure(network)
        return network

    def _enter(self, network: NetworkRecord, evaluation: Evaluation, genotype: Genotype | None) -> NetworkRecord:
        known = self.networks.get(network.digest)
        if known is None:
            known = self._enter_network(network, genotype)
        elif not known.source.startswith("baseline:"):
            self._again[known.digest] = known
        known.evaluations.append(evaluation)
        self._counts[evaluation.repeat == 0, evaluation.state] += 1
        if not evaluation.under_way:
            self.changed.append(known.digest)
            self._note_bad_data(evaluation)
        return known

    def _enter_network(self, network: NetworkRecord, genotype: Genotype | None) -> NetworkRecord:
        try:
            check_costs(network.costs, self.reference.objectives)
            check_genotype(genotype)
        except InputError as error:
            raise damaged(network.digest, error, self._place) from None
        self.networks[network.digest] = network
        if genotype:
            self.genotypes[network.digest] = genotype
        if network.source.startswith("baseline:"):
            self._baselines.append(network)
        return network

    def recorded(self, digest: str, evaluation_id: int) -> None:
        """The newest training of a network has this id in the tables."""
        evaluations = self.networks[digest].evaluations
        evaluations[-1] = replace(evaluations[-1], id=evaluation_id)

    def evaluation(self, digest: str, evaluation_id: int) -> Evaluation:
        """A training by its id."""
        return next(one for one in self.networks[digest].evaluations if one.id == evaluation_id)

    def finish(self, digest: str, evaluation_id: int, end: EvaluationEnd) -> NetworkRecord:
        """Take over a training's result."""
        return self.replace(self.evaluation(digest, evaluation_id).ended(end))

    def replace(self, ended: Evaluation) -> NetworkRecord:
        """A training that is known, as it is now that it has ended."""
        network = self.networks[ended.digest]
        number, before = next((n, one) for n, one in enumerate(network.evaluations) if one.id == ended.id)
        network.evaluations[number] = ended
        self._counts[before.repeat == 0, before.state] -= 1
        self._counts[ended.repeat == 0, ended.state] += 1
        self.changed.append(network.digest)
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

    def snapshot(self) -> FrontSnapshot | None:
        """The front as the database keeps it, None where it did not change since the last one."""
        if not self._snapshot_due:
            return None
        self._snapshot_due = False
        members = self.front()
        points = [[n.digest, *map(float, p)] for n, p in zip(members, self.points(members), strict=True)]
        if points == self._last_front:
            return None
        self._last_front = points
        return FrontSnapshot(self.study_id, self.finished, self.hypervolume(), points)

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


def _column(networks: list[NetworkRecord], name: str) -> list[float]:
    """`NetworkRecord.value` of each."""
    if name in measured_names():
        return [network.value(name) for network in networks]
    return [network.costs.get(name, float("nan")) for network in networks]


def _squares(network: NetworkRecord) -> tuple[float, int]:
    """Sum of squared deviations of its accuracies from their mean, and the degrees of freedom."""
    mean = network.accuracy
    return fsum((accuracy - mean) ** 2 for accuracy in network.accuracies), len(network.accuracies) - 1
