"""Data that break while a search runs end it, and cost nothing: what failed of them is trained when they are mended.

By the driver, with the trainings of `driven.py`. With real searches and real images: `test_folder_search.py`.
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from driven import Run, Start, failing, train

from cspnas.errors import InputError
from cspnas.runners.protocol import Wait, Work
from cspnas.storage.optuna_projection import Projection


class Broken:
    """Trainings that fail of bad data after so many that worked."""

    def __init__(self, works: int) -> None:
        self.left, self.failed = works, list[tuple[str, int]]()

    def __call__(self, work: Work) -> dict[str, Any]:
        self.left -= 1
        if self.left >= 0:
            return train(work)
        self.failed.append((work.digest, work.unit["seed"]))
        return {"failure": {"kind": "bad data", "message": "x.png: found half an image"}}


def _results(run: Run) -> set[tuple[str, int, str, float | None]]:
    return {(row["digest"], row["seed"], row["state"], row["accuracy"]) for row in run.evaluations}


@pytest.mark.parametrize("workers", [1, 4])
def test_two_networks_that_fail_of_bad_data_end_a_search_and_mended_they_cost_nothing(
    start: Start, workers: int
) -> None:
    """The same networks, seeds and accuracies as in a study whose data were whole all the time, by one worker."""
    run, whole = start(), start()
    whole.go()
    broken = Broken(5)
    with pytest.raises(InputError, match=r"^fashion-mnist-mini: found bad data for \d networks \(x.png: found half"):
        run.go(broken, workers=workers)
    assert 2 <= len({digest for digest, _ in broken.failed}) <= 1 + workers
    states = [row["state"] for row in run.evaluations]
    assert (states.count("trained"), states.count("failed")) == (5, len(broken.failed))
    before = {row for row in _results(run) if row[2] == "trained"}
    driver, reason, handed = run.go()
    assert reason == "all 16 trainings are done"
    assert [(work.digest, work.unit["seed"]) for work in handed[: len(broken.failed)]] == broken.failed
    assert driver.results.finished == len(run.trained) == 16 and driver.results.failed == 0
    assert before <= _results(run)
    if workers == 1:
        assert _results(run) == _results(whole)


def test_one_network_that_failed_of_bad_data_ends_nothing(start: Start) -> None:
    """A disk may be away for a moment; the next search trains that network."""
    run = start()
    first: list[str] = []

    def once(work: Work) -> dict[str, Any]:
        first.append(work.digest)
        return failing("bad data", lambda work: len(first) == 3)(work)

    driver, reason, _ = run.go(once)
    assert reason == "all 16 trainings are done" and driver.results.failed == 1
    driver, _, handed = run.go()
    assert [work.digest for work in handed] == [first[2]]
    assert driver.results.failed == 0 and driver.results.finished == 16


def test_what_is_under_way_may_end_before_the_search_does(start: Start) -> None:
    """Its worker read the data when they were whole. What is to be tried again is not waited for: nobody does it."""
    run = start()
    driver = run.driver()
    first, second, healthy, crashed = (driver.suggest() for _ in range(4))
    for work in (first, second, crashed):
        assert isinstance(work, Work)
        kind = "crashed" if work is crashed else "bad data"
        driver.finish(work, {"failure": {"kind": kind, "message": "gone"}})
    assert isinstance(driver.suggest(), Wait)
    assert isinstance(healthy, Work) and driver.finish(healthy, train(healthy))
    with pytest.raises(InputError, match="bad data for 2 networks"):
        driver.suggest()
    again = [work.attempt for work in run.go()[2][:3]]
    assert sorted(again) == [1, 1, 2]


def test_optunas_tables_show_how_a_mended_training_ended(start: Start) -> None:
    """As a failed trial at first, as a complete one when it was trained; never twice."""
    run = start()
    with pytest.raises(InputError):
        run.go(Broken(5))
    shown = Projection(run.database, "small", run.study.space, run.driver().results)
    driver = run.driver()  # this one's results have them under way
    shown = Projection(run.database, "small", run.study.space, driver.results)
    shown.update()
    work = driver.suggest()
    assert isinstance(work, Work)
    driver.finish(work, {"failure": {"kind": "bad data", "message": "still"}})
    shown.update()
    driver, _, _ = run.go()
    Projection(run.database, "small", run.study.space, driver.results).update()
    with run.database.transaction() as connection:
        states = connection.execute(sa.text("SELECT state FROM trials")).scalars().all()
    assert set(states) == {"COMPLETE"} and len(states) == len({row["digest"] for row in run.evaluations})


def test_another_driver_hears_what_becomes_of_a_mended_training(start: Start) -> None:
    """On a database that several share: the first one's results end as those read from the tables, whatever it knew before.

    On a file of one driver there is nobody to hear it; a second driver there takes over the rows alone.
    """
    run = start()
    first = run.driver()
    work = first.suggest()
    assert isinstance(work, Work)
    first.finish(work, {"failure": {"kind": "bad data", "message": "away"}})
    assert first.results.failed == 1 and first.results.bad_data == {work.evaluation_id}
    second, _, handed = run.go(finishes=3)  # begins with it
    assert handed[0].evaluation_id == work.evaluation_id
    results = first.results if run.database.shared else run.driver().results
    if run.database.shared:
        first.suggest()
    assert results.failed == second.results.failed == 0 and not results.bad_data
    known = {(one.id, one.accuracy) for n in results.networks.values() for one in n.evaluations if one.accuracy}
    assert known == {(row["id"], row["accuracy"]) for row in run.evaluations if row["accuracy"]} and len(known) == 3
