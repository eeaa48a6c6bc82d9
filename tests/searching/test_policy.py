"""What a search does next, on results and candidates that are made up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from cspnas.runners.protocol import Done, Wait
from cspnas.searching.policy import (
    MAX_REPEATED_SUGGESTIONS,
    Baseline,
    Confirm,
    Explore,
    NextStep,
    SearchPolicy,
    SearchState,
)
from cspnas.study.candidates import Candidate
from cspnas.study.network_record import NetworkRecord


@dataclass(frozen=True)
class Results:
    """As many evaluations of each kind."""

    trainings: int = 0
    explored: int = 0
    confirmations: int = 0
    in_flight: int = 0


def baseline(number: int) -> tuple[str, Candidate]:
    return "baseline:plain", Candidate(None, str(number), {}, {"number": number})  # type: ignore[arg-type]


NETWORK = NetworkRecord("d" * 64, "{}", {}, "cost-aware")
POLICY = SearchPolicy(trials=40, confirm_share=0.25)
HALF = Results(trainings=20, explored=20)
LATE = Results(trainings=30, explored=30)
SPENT = Results(trainings=40, explored=30, confirmations=10)
BEGUN = SearchState()
ALL = SearchState(all_tried="all 12 admitted architectures are trained")


def step(results: Results, state: SearchState = BEGUN, policy: SearchPolicy = POLICY, front: bool = True) -> NextStep:
    return policy.next(results, state, lambda: NETWORK if front else None)


def test_baselines_come_first_in_their_order() -> None:
    state = SearchState(baselines=(baseline(1), baseline(2)), idle=MAX_REPEATED_SUGGESTIONS)
    assert step(Results(), state) == Baseline(*baseline(1))
    assert step(LATE, replace(state, baselines=state.baselines[1:])) == Baseline(*baseline(2))


def test_then_the_sampler_is_asked_and_after_fifty_idle_suggestions_no_more() -> None:
    assert step(HALF) == Explore(evenly=False)
    assert step(HALF, SearchState(idle=MAX_REPEATED_SUGGESTIONS - 1)) == Explore(evenly=False)
    assert step(HALF, SearchState(idle=MAX_REPEATED_SUGGESTIONS)) == Explore(evenly=True)


def test_the_last_quarter_of_the_trainings_confirms_the_front() -> None:
    assert step(replace(LATE, explored=29)) == Explore(evenly=False)
    assert step(LATE) == Confirm(NETWORK)
    assert step(replace(LATE, trainings=39, confirmations=9)) == Confirm(NETWORK)


def test_what_cannot_be_confirmed_now_leaves_the_training_to_a_new_network() -> None:
    assert step(LATE, front=False) == Explore(evenly=False)
    assert step(replace(LATE, confirmations=10)) == Explore(evenly=False)  # reused ones filled the quota


@pytest.mark.parametrize(("trials", "share", "quota"), [(40, 0.25, 10), (100, 0.29, 29), (7, 0.5, 3), (40, 0.0, 0)])
def test_the_quota_is_the_share_of_the_budget_rounded_down(trials: int, share: float, quota: int) -> None:
    policy = SearchPolicy(trials, share)
    assert policy.quota == quota
    before = Results(trainings=trials - 1, explored=trials - 1, confirmations=quota - 1)
    assert step(before, policy=policy) == (Confirm(NETWORK) if quota else Explore(evenly=False))


@pytest.mark.parametrize(
    ("results", "state", "expected"),
    [
        (SPENT, SearchState(), Done("all 40 trainings are done")),
        (replace(SPENT, in_flight=2), SearchState(baselines=(baseline(1),)), Wait()),
        (HALF, ALL, Confirm(NETWORK)),
        (replace(HALF, confirmations=10), ALL, Done("all 12 admitted architectures are trained")),
        (replace(HALF, confirmations=10, in_flight=1), ALL, Wait()),
    ],
)
def test_it_is_over_when_the_budget_or_the_space_is_and_nothing_is_under_way(
    results: Results, state: SearchState, expected: NextStep
) -> None:
    assert step(results, state) == expected


def test_time_ends_a_search_once_its_own_trainings_have_ended_and_its_last_share_confirms() -> None:
    policy = replace(POLICY, time_limit=100.0)
    timed: dict[str, Any] = {"policy": policy}
    assert step(HALF, SearchState(seconds=75.0), **timed) == Explore(evenly=False)
    assert step(HALF, SearchState(seconds=75.1), **timed) == Confirm(NETWORK)
    assert step(HALF, SearchState(seconds=100.0, under_way=True), **timed) == Wait()
    assert step(replace(HALF, in_flight=1), SearchState(seconds=100.0), **timed) == Done("time is up")
