"""One training of one network with one seed, as a study knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cspnas.errors import FailureKind
from cspnas.objectives.objectives import measured_names
from cspnas.study.states import State


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


def evaluation_from(row: Mapping[str, Any]) -> Evaluation:
    """Of a row of the tables, whose figures were checked, or of one that is to be written there."""
    measured = {name: float(row[name]) for name in measured_names() if row.get(name) is not None}
    same = {field.name: row[field.name] for field in fields(Evaluation) if field.name in row}
    kind = row.get("failure_kind")
    words = {"state": State(row["state"]), "failure_kind": None if kind is None else FailureKind(kind)}
    return Evaluation(**{"id": 0, "seed": 0, **same, **words, "measured": measured})
