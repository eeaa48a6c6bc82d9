"""The arithmetic of Pareto fronts against brute force, exact grids and inclusion-exclusion."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cspnas.objectives.pareto import HypervolumeReference, hypervolume, knee, losses, non_dominated

GRID = 6
dimensions = st.integers(2, 3)


def _clouds(elements: st.SearchStrategy[float], most: int) -> st.SearchStrategy[np.ndarray]:
    """(n, m) arrays of losses, the empty one among them."""
    return dimensions.flatmap(lambda m: arrays(float, st.tuples(st.integers(0, most), st.just(m)), elements=elements))


any_losses = _clouds(st.one_of(st.integers(0, 4).map(float), st.floats(-2, 2), st.just(float("nan"))), 12)
grid_losses = _clouds(st.integers(-1, GRID + 1).map(lambda n: n / GRID), 8)
real_losses = _clouds(st.floats(-0.5, 1.5, width=32), 6)


@given(any_losses)
@settings(deadline=None)
def test_non_dominated_is_what_comparing_every_pair_gives(loss: np.ndarray) -> None:
    expected = [
        bool(np.isfinite(a).all()) and not any(bool((b <= a).all() and (b < a).any()) for b in loss) for a in loss
    ]
    assert non_dominated(loss).tolist() == expected


@given(any_losses)
@settings(deadline=None)
def test_a_row_with_a_nan_is_never_on_the_front_and_dominates_nothing(loss: np.ndarray) -> None:
    mask = non_dominated(loss)
    bad = np.isnan(loss).any(1)
    assert not mask[bad].any()
    assert mask[~bad].tolist() == non_dominated(loss[~bad]).tolist()


@given(grid_losses)
@settings(deadline=None)
def test_hypervolume_of_points_on_a_grid_is_the_share_of_cells_they_dominate(loss: np.ndarray) -> None:
    m = loss.shape[1]
    corners = np.array(list(itertools.product(range(GRID), repeat=m))) / GRID
    dominated = [(np.clip(loss, 0, 1) <= corner + 1e-12).all(1).any() for corner in corners]
    assert hypervolume(loss) == pytest.approx(float(np.mean(dominated)), abs=1e-12)


@given(real_losses)
@settings(deadline=None)
def test_hypervolume_is_what_inclusion_and_exclusion_of_boxes_give(loss: np.ndarray) -> None:
    boxes = np.clip(loss, 0, 1)
    total = 0.0
    for size in range(1, len(boxes) + 1):
        for chosen in itertools.combinations(boxes, size):
            total -= (-1) ** size * float(np.prod(1 - np.max(chosen, axis=0)))
    assert hypervolume(loss) == pytest.approx(total, abs=1e-9)


@given(real_losses, st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=30)
def test_hypervolume_never_falls_when_a_point_is_added_and_ignores_dominated_ones(loss: np.ndarray, seed: int) -> None:
    extra = np.random.default_rng(seed).random((1, loss.shape[1]))
    assert hypervolume(np.concatenate([loss, extra])) >= hypervolume(loss) - 1e-12
    assert hypervolume(loss[non_dominated(loss)]) == pytest.approx(hypervolume(loss), abs=1e-12)


def test_empty_input_has_an_empty_front_and_no_hypervolume() -> None:
    empty = np.empty((0, 2))
    assert non_dominated(empty).shape == (0,)
    assert hypervolume(empty) == 0.0
    assert losses(empty, HypervolumeReference(("accuracy", "flops"), 0.1, (1.0, 1.0), (1.0, 10.0))).shape == (0, 2)


def test_equal_points_are_all_on_the_front() -> None:
    assert non_dominated(np.array([[0.2, 0.4], [0.2, 0.4], [0.3, 0.4]])).tolist() == [True, True, False]


def test_nan_rows_add_no_hypervolume() -> None:
    nan = float("nan")
    assert hypervolume(np.array([[nan, 0.0], [0.5, 0.5]])) == pytest.approx(0.25)
    assert hypervolume(np.array([[nan, 0.0]])) == 0.0


def test_losses_are_0_at_the_best_and_1_at_chance_and_the_dearest_cost() -> None:
    reference = HypervolumeReference(("accuracy", "flops"), 0.1, (1.0, 100.0), (1.0, 10_000.0))
    points = np.array([[1.0, 100.0], [0.1, 10_000.0], [0.55, 1000.0]])
    assert losses(points, reference) == pytest.approx(np.array([[0, 0], [1, 1], [0.5, 0.5]]))
    assert HypervolumeReference.from_json(reference.to_json()) == reference


def test_the_knee_is_the_point_nearest_to_the_front_s_own_ideal() -> None:
    loss = np.array([[0.0, 0.9], [0.3, 0.3], [0.9, 0.0]])
    assert knee(loss, np.array([1.0, 5.0, 1.0])) == 1


def test_the_knee_does_not_depend_on_the_units_of_an_objective() -> None:
    """An axis of which the front spans a hundredth weighs as much as one that it spans whole; a flat one weighs nothing."""
    loss = np.array([[0.150, 0.9, 0.5], [0.153, 0.3, 0.5], [0.159, 0.0, 0.5]])
    assert knee(loss, np.array([9.0, 5.0, 1.0])) == 1


@given(st.permutations(range(4)))
def test_knee_ties_go_to_the_least_flops(order: list[int]) -> None:
    """(.3, .4) and (.4, .3) are equally near, as are their copies; only FLOPs tell them apart."""
    loss = np.array([[0.3, 0.4], [0.4, 0.3], [0.3, 0.4], [0.9, 0.9]])[order]
    flops = np.array([30.0, 20.0, 10.0, 1.0])[order]
    chosen = order[knee(loss, flops)]
    assert chosen == 2


def test_a_front_of_one_point_is_its_own_knee() -> None:
    assert knee(np.array([[0.4, 0.2]]), np.array([3.0])) == 0
