"""A training as a value, made from the rows that databases hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspnas.errors import FailureKind
from cspnas.study.evaluation import evaluation_from
from cspnas.study.states import State

ROW = {"id": 7, "digest": "d", "seed": 3, "repeat": 1, "state": "trained", "attempt": 2, "driver_id": 5}


def test_a_row_becomes_a_value_of_its_types() -> None:
    known = evaluation_from(
        ROW | {"accuracy": 1, "latency": None, "started": 1.5, "finished": 2.5, "unknown": object()}
    )
    assert (known.id, known.seed, known.attempt, known.started, known.finished) == (7, 3, 2, 1.5, 2.5)
    assert known.state is State.TRAINED and not known.under_way
    assert dict(known.measured) == {"accuracy": 1.0} and isinstance(known.accuracy, float)


def test_what_has_not_ended_has_no_accuracy() -> None:
    known = evaluation_from({"digest": "d", "repeat": 0, "state": "in_flight", "accuracy": None})
    assert known.under_way and known.accuracy is None and known.id == 0


@given(st.sampled_from(FailureKind))
def test_a_failure_is_one_of_the_kinds(kind: FailureKind) -> None:
    assert evaluation_from(ROW | {"state": "failed", "failure_kind": str(kind)}).failure_kind is kind


def test_another_word_is_none() -> None:
    with pytest.raises(ValueError, match="paused"):
        evaluation_from(ROW | {"state": "paused"})
