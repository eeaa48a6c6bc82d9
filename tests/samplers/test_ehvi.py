"""Expected hypervolume improvement with known costs: the closed form against Monte Carlo and brute-force integration."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import ndtr
from scipy.stats import norm

from cspnas.samplers.ehvi import (
    Sampled,
    added_volume,
    expected_improvement,
    improvement_over,
    log_error_excess,
    volume_steps,
)

Array = np.ndarray


def normal_excess(threshold: Array, mean: Array, deviation: Array) -> Array:
    """psi(t) of a ~ N(mean, deviation^2): deviation (z Phi(z) + phi(z)), z = (mean - t) / deviation. Shapes broadcast.

    A deviation of 0 gives max(mean - t, 0).
    """
    scale = np.maximum(deviation, 1e-12)
    z = (mean - threshold) / scale
    density = np.exp(-0.5 * np.square(np.clip(z, -40, 40))) / np.sqrt(2 * np.pi)
    return np.asarray(np.maximum(scale * (z * ndtr(z) + density), 0))


def dominated(costs: Array, accuracies: Array, reference: float) -> float:
    """Hypervolume of (losses, accuracy above the reference), by moocore."""
    points = np.column_stack([costs, 1 - np.maximum(accuracies, reference)])
    return float(moocore.hypervolume(points, ref=[*[1.0] * costs.shape[1], 1 - reference]))


def improvement(costs: Array, excess: Any, incumbents: Array, accuracies: Array, reference: float) -> Array:
    """Expected improvements over the incumbents."""
    return expected_improvement(costs, excess, volume_steps(incumbents, accuracies, reference))


def front(rng: Any, count: int, dimensions: int) -> tuple[Array, Array]:
    """Random incumbents, dominated ones and ties among them."""
    costs = rng.random((count, dimensions)).round(1)
    return costs, (0.3 + 0.6 * rng.random(count)).round(1)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_added_volume_is_the_difference_of_two_hypervolumes(dimensions: int, count: int) -> None:
    """By moocore, for candidates inside, on and beyond the range."""
    rng = np.random.default_rng(count)
    incumbents = rng.random((count, dimensions)).round(1)
    candidates = (1.4 * rng.random((50, dimensions)) - 0.2).round(1)
    found = added_volume(candidates, incumbents)
    for candidate, volume in zip(np.clip(candidates, 0, 1), found, strict=True):
        both = np.vstack([incumbents, candidate[None]])
        before = moocore.hypervolume(incumbents, ref=[1.0] * dimensions) if count else 0.0
        assert volume == pytest.approx(moocore.hypervolume(both, ref=[1.0] * dimensions) - before, abs=1e-12)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 12])
def test_the_closed_form_is_the_mean_improvement_over_draws(dimensions: int, count: int) -> None:
    """Monte Carlo with moocore: 4,000 antithetic draws, within 4 standard errors."""
    rng = np.random.default_rng(10 * dimensions + count)
    costs, accuracies = front(rng, count, dimensions)
    candidate, mean, deviation = rng.random((1, dimensions)).round(2), 0.7, 0.1
    draws = rng.standard_normal(2000)
    draws = mean + deviation * np.concatenate([draws, -draws])
    before = dominated(costs, accuracies, 0.1) if count else 0.0
    after = [dominated(np.vstack([costs, candidate]), np.append(accuracies, draw), 0.1) for draw in draws]
    gains = (np.array(after) - before).reshape(2, -1).mean(0)
    found = improvement(
        candidate,
        lambda t: normal_excess(np.asarray(t), np.array([mean]), np.array([deviation])),
        costs,
        accuracies,
        0.1,
    )
    assert found[0] == pytest.approx(gains.mean(), abs=4 * gains.std() / np.sqrt(len(gains)) + 1e-9)


@given(seed=st.integers(0, 10_000), dimensions=st.integers(1, 3), count=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_the_closed_form_is_the_integral_over_accuracy(seed: int, dimensions: int, count: int) -> None:
    """Brute force: the improvement by moocore, integrated against the density between all levels, with ties."""
    rng = np.random.default_rng(seed)
    costs, accuracies = front(rng, count, dimensions)
    candidate, mean, deviation = rng.random((1, dimensions)).round(1), 0.6, 0.15
    before = dominated(costs, accuracies, 0.2) if count else 0.0

    def density(accuracy: float) -> float:
        after = dominated(np.vstack([costs, candidate]), np.append(accuracies, accuracy), 0.2)
        return float((after - before) * norm.pdf(accuracy, mean, deviation))

    edges = [0.2, *sorted(set(accuracies[accuracies > 0.2])), mean + 8 * deviation]
    expected = sum(quad(density, a, b, epsabs=1e-10)[0] for a, b in pairwise(edges))
    found = improvement(
        candidate,
        lambda t: normal_excess(np.asarray(t), np.array([mean]), np.array([deviation])),
        costs,
        accuracies,
        0.2,
    )
    assert found[0] == pytest.approx(expected, abs=1e-7)


@given(mean=st.floats(0.1, 4), deviation=st.floats(0.01, 1), threshold=st.floats(0, 0.99))
def test_the_excess_of_a_lognormal_error_is_its_integral(mean: float, deviation: float, threshold: float) -> None:
    """psi(t) = E[max(1 - exp(-y) - t, 0)] by quadrature."""
    low = max(-np.log(1 - threshold), mean - 9 * deviation)
    expected = quad(
        lambda y: (1 - np.exp(-y) - threshold) * norm.pdf(y, mean, deviation),
        low,
        max(low, mean + 9 * deviation),
        epsabs=1e-11,
        limit=200,
    )[0]
    found = log_error_excess(np.array([threshold]), np.array([mean]), np.array([deviation]))
    assert found[0] == pytest.approx(expected, abs=1e-7)


def test_a_certain_accuracy_gives_the_improvement_itself() -> None:
    """Deviation 0: the difference of two hypervolumes; a dominated candidate adds nothing."""
    costs, accuracies = np.array([[0.2, 0.6], [0.5, 0.3]]), np.array([0.8, 0.7])
    candidates = np.array([[0.3, 0.4], [0.6, 0.7]])
    mean = np.array([0.75, 0.65])
    found = improvement(candidates, lambda t: normal_excess(np.asarray(t), mean, np.zeros(2)), costs, accuracies, 0.1)
    expected = dominated(np.vstack([costs, candidates[:1]]), np.append(accuracies, 0.75), 0.1)
    assert found == pytest.approx([expected - dominated(costs, accuracies, 0.1), 0], abs=1e-12)


def test_equal_and_repeated_incumbents_change_nothing() -> None:
    """A front given twice, and one of a single point repeated, score as the front itself."""
    rng = np.random.default_rng(0)
    costs, accuracies = front(rng, 6, 2)
    candidates = rng.random((20, 2))

    def score(points: Array, levels: Array) -> Array:
        mean, deviation = np.full(20, 0.6), np.full(20, 0.1)
        return improvement(candidates, lambda t: normal_excess(np.asarray(t), mean, deviation), points, levels, 0.2)

    once = score(costs, accuracies)
    assert score(np.vstack([costs, costs]), np.tile(accuracies, 2)) == pytest.approx(once, abs=1e-12)
    same = score(np.repeat(costs[:1], 5, 0), np.repeat(accuracies[:1], 5))
    assert same == pytest.approx(score(costs[:1], accuracies[:1]), abs=1e-12)


def test_incumbents_below_the_reference_do_not_count() -> None:
    """Worse than chance is no incumbent."""
    candidates = np.array([[0.3], [0.9]])
    arguments = (np.full(2, 0.5), np.full(2, 0.1))
    none = improvement(
        candidates, lambda t: normal_excess(np.asarray(t), *arguments), np.empty((0, 1)), np.empty(0), 0.1
    )
    below = improvement(
        candidates, lambda t: normal_excess(np.asarray(t), *arguments), np.array([[0.0]]), np.array([0.05]), 0.1
    )
    assert below == pytest.approx(none)


@pytest.mark.parametrize(("dimensions", "count"), [(1, 5), (2, 30), (3, 30), (4, 12), (5, 8)])
def test_sampling_cost_space_finds_what_the_closed_form_does(dimensions: int, count: int) -> None:
    """Within 3 % of the greatest for nearly all candidates, and the same best candidate up to that."""
    rng = np.random.default_rng(dimensions)
    costs, accuracies = rng.random((count, dimensions)), 0.3 + 0.6 * rng.random(count)
    candidates, mean, deviation = rng.random((200, dimensions)), rng.uniform(0.4, 0.95, 200), np.full(200, 0.05)

    def excess(threshold: float) -> Array:
        return normal_excess(np.asarray(threshold), mean, deviation)

    exact = improvement(candidates, excess, costs, accuracies, 0.1)
    found = Sampled(costs, accuracies, 0.1)(candidates, excess)
    assert np.quantile(np.abs(found - exact), 0.95) < 0.03 * exact.max()
    assert exact[found.argmax()] > 0.97 * exact.max()


def test_many_known_costs_and_a_large_front_are_sampled_and_few_are_exact() -> None:
    """Six costs and 40 incumbents: the volumes of one candidate would take minutes; by moocore for the ten best of them."""
    rng = np.random.default_rng(0)
    costs, accuracies = rng.random((40, 6)), 0.3 + 0.6 * rng.random(40)
    candidates, mean = 0.5 * rng.random((300, 6)), rng.uniform(0.5, 0.9, 300)

    def excess(threshold: float) -> Array:
        return np.maximum(mean - threshold, 0)

    found = improvement_over(costs, accuracies, 0.1)(candidates, excess)
    before = dominated(costs, accuracies, 0.1)
    for n in np.argsort(-found)[:10]:
        after = dominated(np.vstack([costs, candidates[n][None]]), np.append(accuracies, mean[n]), 0.1)
        assert found[n] == pytest.approx(after - before, rel=0.05)
    few = improvement_over(costs[:5, :2], accuracies[:5], 0.1)(candidates[:, :2], excess)
    assert few == pytest.approx(improvement(candidates[:, :2], excess, costs[:5, :2], accuracies[:5], 0.1), abs=1e-12)
