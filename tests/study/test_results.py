"""The results's counts, front and deviations, kept as results come, against their definitions on the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspnas.errors import FailureKind
from cspnas.objectives.objectives import exact_names
from cspnas.objectives.pareto import HypervolumeReference, hypervolume, losses
from cspnas.searching.confirmation import of_front, to_confirm
from cspnas.study.evaluation import Evaluation, EvaluationEnd
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults, StudyRows
from cspnas.study.states import State

REFERENCE = HypervolumeReference(("flops", "accuracy"), 0.1, (1.0, 0.0), (1000.0, 1.0))
accuracy = st.sampled_from([0.5, 0.625, 0.75, 0.875])  # whose sums are exact: equal means are equal floats
# One step: a network, and what becomes of its training (None: it stays under way)
step = st.tuples(st.integers(0, 5), st.one_of(st.none(), st.just("failed"), accuracy))


class Rows:
    """The trainings of a study, as a database has them."""

    def __init__(self) -> None:
        self.rows: list[Evaluation] = []

    def evaluations(self) -> list[tuple[NetworkRecord, Evaluation]]:
        return [(network(one.digest), one) for one in self.rows]


def network(digest: str) -> NetworkRecord:
    costs = {**dict.fromkeys(exact_names(), 1), "flops": 10 + 50 * (int(digest) // 2)}
    return NetworkRecord(digest, "{}", costs, "s")


def results_of(rows: Rows) -> StudyResults:
    genotypes = {row.digest: {"g": 1} for row in rows.rows}
    return StudyResults(REFERENCE, StudyRows(rows.evaluations(), genotypes, None), 1)


def played(steps: list[tuple[int, Any]]) -> tuple[StudyResults, Rows]:
    """A results that heard of every training and result as they came."""
    rows = Rows()
    results = results_of(rows)
    for identifier, (number, result) in enumerate(steps):
        digest = str(number)
        repeat = sum(row.digest == digest for row in rows.rows)
        begun = Evaluation(identifier, digest, 0, repeat, State.IN_FLIGHT)
        rows.rows.append(begun)
        results.add(network(digest), begun, {"g": 1})
        if result is not None:
            failed = result == "failed"
            kind = FailureKind.DIVERGED if failed else None
            measured = {} if failed else {"accuracy": result}
            state = State.FAILED if failed else State.TRAINED
            rows.rows[-1] = replace(begun, state=state, measured=measured, failure_kind=kind, finished=1.0)
            failure = {"failure": {"kind": "diverged", "message": ""}}
            results.finish(digest, identifier, EvaluationEnd(state, failure if failed else {"accuracy": result}, 1.0))
    return results, rows


def means(rows: Rows) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for row in rows.rows:
        if row.accuracy is not None:
            found.setdefault(row.digest, []).append(row.accuracy)
    return {digest: float(np.mean(values)) for digest, values in found.items()}


@settings(deadline=None)
@given(st.lists(step, max_size=20))
def test_counts_front_and_hypervolume_are_those_of_the_rows(steps: list[tuple[int, Any]]) -> None:
    results, rows = played(steps)
    states = [row.state for row in rows.rows]
    assert results.finished == sum(state != "in_flight" for state in states)
    assert results.trainings == len(states) and results.in_flight == states.count("in_flight")
    assert results.failed == states.count("failed")
    assert results.confirmations == sum(row.repeat > 0 for row in rows.rows)
    mean = means(rows)
    flops = {network.digest: network.costs["flops"] for network, _ in rows.evaluations()}
    beats = lambda a, b: flops[a] <= flops[b] and mean[a] >= mean[b] and (flops[a], mean[a]) != (flops[b], mean[b])
    front = {digest for digest in mean if not any(beats(other, digest) for other in mean)}
    assert {network.digest for network in results.front()} == front
    points = np.array([[flops[digest], mean[digest]] for digest in front]).reshape(-1, 2)
    assert results.hypervolume() == pytest.approx(hypervolume(losses(points, REFERENCE)))


@settings(deadline=None)
@given(st.lists(step, max_size=20))
def test_a_ledger_read_anew_says_what_the_one_that_heard_everything_says(steps: list[tuple[int, Any]]) -> None:
    heard, rows = played(steps)
    read = results_of(rows)
    for results in (heard, read):
        assert set(results.changed) == {row.digest for row in rows.rows if row.state != "in_flight"}
    assert [n.digest for n in read.front()] == [n.digest for n in heard.front()]
    assert read.seed_deviation() == pytest.approx(heard.seed_deviation(), nan_ok=True)
    chosen = [to_confirm(results) for results in (heard, read)]
    assert (chosen[0] and chosen[0].digest) == (chosen[1] and chosen[1].digest)
    assert [n.digest for n in read.confirmed()] == [n.digest for n in heard.confirmed()]
    assert read.genotypes == heard.genotypes
    one, other = heard.snapshot(), read.snapshot()
    assert (one and one.points) == (other and other.points)
    assert heard.snapshot() is None


def test_seed_deviation_pools_networks_by_their_degrees_of_freedom() -> None:
    """(.5, .7) deviates by .02 from its mean, squared and summed; (.6, .6, .9) by .06: sqrt(.08 / 3)."""
    results, _ = played([(0, 0.5), (0, 0.7), (1, 0.6), (1, 0.6), (1, 0.9), (2, 0.8)])
    deviation, freedom = results.seed_deviation()
    assert (deviation, freedom) == (pytest.approx((0.08 / 3) ** 0.5), 3)


def test_the_next_of_the_front_has_the_fewest_seeds_on_or_near_it() -> None:
    # Networks 0 and 1 cost 10 FLOPs, 2 and 3 cost 60, 4 and 5 cost 110.
    first = [(0, 0.7), (2, 0.8), (4, 0.79), (5, 0.5)]
    results, _ = played(first)
    assert [n.digest for n in results.front()] == ["2", "0"]
    assert of_front(results) is results.networks["2"]  # no deviation known yet: the front alone, the best first
    results, _ = played([*first, (2, 0.78), (0, 0.7)])
    assert results.seed_deviation()[0] == pytest.approx((0.0002 / 2) ** 0.5)  # .01
    assert of_front(results) is results.networks["4"]  # .79 + .01 is beyond the .79 of network 2
    results, _ = played([*first, (2, 0.78), (0, 0.7), (4, None)])
    assert of_front(results) is results.networks["2"]  # 4 is under way, 5 is far away
    assert to_confirm(played([(0, None)])[0]) is None
