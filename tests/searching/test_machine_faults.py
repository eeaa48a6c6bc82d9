"""What every network meets ends a search in one line and is charged to none; what one network does is its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driven import Run, Start, failing, train

from cspnas.errors import CspnasError
from cspnas.runners.protocol import Done, Wait, Work
from cspnas.searching.machine_faults import ENOUGH, ENOUGH_AT_FIRST, MachineFaults

Train = Callable[[Work], dict[str, Any]]


def drive(run: Run, train: Train, workers: int = 1) -> tuple[str, list[Work]]:
    """To the end: why it ended, and all work handed out. Trainings end in the order in which they began."""
    driver = run.driver()
    source = MachineFaults(driver, driver.give_back, Path("logs"))
    flight: list[Work] = []
    handed: list[Work] = []
    while True:
        while len(flight) < workers and not isinstance(work := source.suggest(), Wait):
            if isinstance(work, Done):
                assert not flight
                return work.reason, handed
            flight.append(work)
            handed.append(work)
        first = flight.pop(0)
        source.finish(first, train(first))


def states(run: Run) -> set[tuple[str, str | None, int]]:
    return {(row["state"], row["failure_kind"], row["attempt"]) for row in run.evaluations}


@pytest.mark.parametrize("kind", ["crashed", "lost", "timeout"])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_machine_on_which_every_network_fails_ends_the_search_and_charges_none(
    start: Start, workers: int, kind: str
) -> None:
    """Oracle for what comes after: the same search without the fault."""
    run, calm = start(), start()
    with pytest.raises(CspnasError) as caught:
        drive(run, failing(kind, lambda work: True), workers)
    assert str(caught.value) == (
        f"logs: 3 different networks in a row failed ({kind}: ) and none ended between, which is no network's fault; "
        "see the logs there; the same command trains them again and goes on"
    )
    assert len(run.evaluations) <= ENOUGH_AT_FIRST * workers and states(run) == {("in_flight", None, 1)}
    assert drive(run, train)[0] == drive(calm, train)[0] == "all 16 trainings are done"
    assert run.trained == calm.trained and states(run) == {("trained", None, 1)}


def test_a_machine_that_breaks_later_ends_the_search_after_more_networks(start: Start) -> None:
    """What ended well before stays; what crashed once before that keeps its attempts."""
    run = start(trials=16)
    ended: list[Work] = []

    def breaks(work: Work) -> dict[str, Any]:
        ended.append(work)
        return failing("crashed", lambda work: len(ended) in (2, 4) or len(ended) > 5)(work)

    with pytest.raises(CspnasError, match=f"^logs: {ENOUGH} different networks in a row failed"):
        drive(run, breaks)
    assert states(run) == {("trained", None, 1), ("trained", None, 2), ("in_flight", None, 1)}
    assert sum(row["state"] == "in_flight" for row in run.evaluations) == ENOUGH
    assert drive(run, train)[0] == "all 16 trainings are done"


def test_a_network_that_kills_its_workers_is_quarantined_once_another_has_ended(start: Start) -> None:
    run = start(trials=8)
    first: list[str] = []

    def poison(work: Work) -> dict[str, Any]:
        first.append(work.digest)
        return failing("crashed", lambda work: work.digest == first[0])(work)

    reason, handed = drive(run, poison)
    assert reason == "all 8 trainings are done" and len(run.evaluations) == 8
    assert [work.digest for work in handed[:3]] == first[:1] * 3
    assert [row["digest"] for row in run.evaluations if row["state"] == "failed"] == first[:1]
    assert states(run) == {("failed", "crashed", 3), ("trained", None, 1)}


def test_where_nothing_is_left_to_train_the_last_networks_that_crashed_are_quarantined(start: Start) -> None:
    """Fewer than it takes to blame the machine."""
    run = start(trials=2)
    reason, _ = drive(run, failing("crashed", lambda work: True), workers=2)
    assert reason == "all 2 trainings are done" and states(run) == {("failed", "crashed", 3)}


def test_workers_that_are_all_killed_at_once_are_one_crash(start: Start) -> None:
    """Of eight networks at their first try, and again at their second."""
    run = start(trials=16)
    reason, _ = drive(run, failing("crashed", lambda work: work.attempt <= 2), workers=8)
    assert reason == "all 16 trainings are done" and states(run) == {("trained", None, 3)}


def test_a_training_without_a_result_that_is_its_own_says_that_the_machine_is_sound(start: Start) -> None:
    """Networks that diverge, or take too long where others did not, are as good a sign as trained ones."""
    run = start(trials=12)
    ended: list[Work] = []

    def mixed(work: Work) -> dict[str, Any]:
        ended.append(work)
        kinds = ("crashed", "crashed", "diverged", "timeout", "timeout", "timeout", "timeout", "timeout", "timeout")
        return failing(kinds[(len(ended) - 1) % len(kinds)], lambda work: True)(work)

    assert drive(run, mixed)[0] == "all 12 trainings are done"
