"""The front that is kept up to date is the front computed anew, after any sequence of points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cspnas.objectives.incremental_pareto import IncrementalFront

# Few values, so that points tie, coincide and dominate each other often.
value = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, float("nan")])


def front_of(loss: np.ndarray) -> set[int]:
    """By the definition, pair by pair."""
    rows = [row for row in range(len(loss)) if np.isfinite(loss[row]).all()]
    beats = lambda a, b: (loss[a] <= loss[b]).all() and (loss[a] < loss[b]).any()
    return {row for row in rows if not any(beats(other, row) for other in rows)}


@given(st.data(), st.integers(2, 3), st.integers(0, 4))
def test_any_sequence_of_new_and_changed_points_gives_the_front_computed_anew(
    data: st.DataObject, objectives: int, known: int
) -> None:
    points = st.lists(value, min_size=objectives, max_size=objectives)
    loss = np.array(data.draw(st.lists(points, min_size=known, max_size=known)), float).reshape(known, objectives)
    front = IncrementalFront(loss)
    assert set(front.members) == front_of(loss)
    for _ in range(data.draw(st.integers(0, 12))):
        row, point = data.draw(st.integers(0, len(loss))), np.array(data.draw(points))
        before = {(r, *loss[r]) for r in front.members}
        loss = np.concatenate([loss, point[None]]) if row == len(loss) else loss.copy()
        loss[row] = point
        changed = front.put(row, point)
        assert sorted(front.members) == sorted(front_of(loss))
        assert np.array_equal(front.loss, loss, equal_nan=True)
        assert changed or {(r, *loss[r]) for r in front.members} == before


@given(st.lists(st.tuples(value, value), min_size=1, max_size=8), st.lists(st.tuples(value, value), max_size=8))
def test_undominated_are_the_points_that_no_member_dominates(members: list[object], points: list[object]) -> None:
    loss, asked = np.array(members, float), np.nan_to_num(np.array(points, float).reshape(-1, 2))
    expected = [
        row
        for row, point in enumerate(asked)
        if not any((m <= point).all() and (m < point).any() for m in loss[np.isfinite(loss).all(1)])
    ]
    assert IncrementalFront(loss).undominated(asked).tolist() == expected


def test_thousands_of_points_one_by_one() -> None:
    loss = np.random.default_rng(0).random((3000, 3))
    front = IncrementalFront(loss[:0])
    for row, point in enumerate(loss):
        front.put(row, point)
    assert set(front.members) == set(IncrementalFront(loss).members)
    worst = front.members[0]
    assert front.put(int(worst), np.ones(3))
    assert worst not in front.members and pytest.approx(1.0) == front.loss[worst]
