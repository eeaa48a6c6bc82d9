"""One training of one network with one seed, as a study knows it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from cspnas.errors import FailureKind
from cspnas.objectives.objectives import measured_names
from cspnas.study.states import State
from cspnas.training.payload import EvaluationKey, ResultPayload


@dataclass(frozen=True, slots=True)
class EvaluationEnd:
    """How a training ended; `finished` in seconds since 1970."""

    state: State
    result: ResultPayload
    finished: float

    @property
    def failure_kind(self) -> FailureKind | None:
        """Why it failed; None where it did not."""
        failure = self.result.get("failure")
        return FailureKind(failure["kind"]) if failure else None

    @property
    def measured(self) -> dict[str, float]:
        """Each measured objective that is known; no accuracy where it failed."""
        known: Mapping[str, Any] = self.result
        found = {name: float(known[name]) for name in measured_names() if known.get(name) is not None}
        if self.failure_kind is not None:
            found.pop("accuracy", None)
        return found


def end_of(result: ResultPayload, state: State) -> EvaluationEnd:
    """The end, now, of a training with this result; `state` where it is no failure."""
    return EvaluationEnd(State.FAILED if result.get("failure") else state, result, time.time())


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`repeat` counts the trainings of this network from 0, `attempt` the tries of this one from 1. `measured` holds each
    measured objective that is known. `micro_batch`: images at once, where a whole batch did not fit. Times are seconds since
    1970; `id` is that of the database's row, 0 before it is there.
    """

    id: int
    digest: str
    seed: int
    repeat: int
    state: State
    attempt: int = 1
    measured: Mapping[str, float] = field(default_factory=dict)
    failure_kind: FailureKind | None = None
    micro_batch: int | None = None
    driver_id: int | None = None
    started: float = 0.0
    finished: float | None = None

    @property
    def accuracy(self) -> float | None:
        """Of the last epoch, a fraction; None where it was not trained to the end."""
        return self.measured.get("accuracy")

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self.state == State.IN_FLIGHT

    def ended(self, end: EvaluationEnd) -> Evaluation:
        """This one with its end."""
        return replace(
            self, state=end.state, failure_kind=end.failure_kind, measured=end.measured, finished=end.finished
        )


@dataclass(frozen=True, slots=True)
class BegunEvaluation:
    """A training as it begins, in flight, or with the `end` that another study has. `started`: seconds since 1970."""

    key: EvaluationKey
    repeat: int
    driver_id: int
    started: float
    end: EvaluationEnd | None

    @property
    def evaluation(self) -> Evaluation:
        """Before the tables have it."""
        digest, seed = self.key["digest"], self.key["seed"]
        begun = Evaluation(
            0, digest, seed, self.repeat, State.IN_FLIGHT, driver_id=self.driver_id, started=self.started
        )
        return begun if self.end is None else begun.ended(self.end)


def evaluation_from(row: Mapping[str, Any]) -> Evaluation:
    """Of a row of the tables, whose figures were checked."""
    measured = {name: float(row[name]) for name in measured_names() if row.get(name) is not None}
    same = {field.name: row[field.name] for field in fields(Evaluation) if field.name in row}
    kind = row.get("failure_kind")
    words = {"state": State(row["state"]), "failure_kind": None if kind is None else FailureKind(kind)}
    return Evaluation(**{"id": 0, "seed": 0, **same, **words, "measured": measured})
