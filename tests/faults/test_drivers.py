"""Several real searches on one PostgreSQL study at once: nothing is trained twice, the budget is shared exactly."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from commands import Command, searching
from searches import PATIENCE
from servers import Server, server

TRIALS = 8
NAME = "tiny"


class Studied:
    """Searches of one study on a server, and what is in its tables."""

    def __init__(self, make: Callable[..., Command], url: str) -> None:
        self._make, self.url = make, url
        self._engine = sa.create_engine(url)

    def start(self, *more: str) -> Command:
        """One more search with one worker on the same study."""
        common = ("--trials", str(TRIALS), "--workers", "1", "--storage", self.url)
        return self._make(*common, *more)

    def query(self, statement: str) -> list[Any]:
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(statement))]

    def check_whole(self) -> None:
        """The budget exactly, each key once, nothing under way, Optuna's tables in step and without a RUNNING trial."""
        rows = self.query("SELECT state, study_id, digest, recipe_digest, seed, fidelity FROM cspnas_evaluations")
        assert [row[0] for row in rows] == ["trained"] * TRIALS
        assert len({row[1:] for row in rows}) == TRIALS
        numbers = [row[0] for row in self.query("SELECT number FROM cspnas_suggestions ORDER BY number")]
        assert numbers == list(range(len(numbers)))
        trials = self.query("SELECT state FROM trials")
        assert {state for (state,) in trials} == {"COMPLETE"}
        assert len(trials) == len({row[2] for row in rows})
        digests = self.query("SELECT value_json FROM trial_user_attributes WHERE key = 'digest'")
        assert len(digests) == len(set(digests)) == len(trials)

    def stop_in_a_training(self, search: Command) -> list[Any]:
        """Stop a search while trainings of its are under way; their ids."""
        under_way = "SELECT id FROM cspnas_evaluations WHERE state = 'in_flight' AND driver_id = {}"
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            os.kill(search.pid, signal.SIGSTOP)
            time.sleep(0.1)
            if found := self.query(under_way.format(self.driver(search))):
                return found
            os.kill(search.pid, signal.SIGCONT)
            time.sleep(0.05)
        raise AssertionError("no training of it was under way")

    def driver(self, search: Command) -> int:
        """The search's driver, 0 where it is none yet; searches that start together may be either."""
        numbers = [row[0] for row in self.query(f"SELECT id FROM cspnas_drivers WHERE about->>'pid' = '{search.pid}'")]
        return int(numbers[0]) if numbers else 0

    def drivers(self) -> set[int]:
        """Drivers that a training was recorded for."""
        return {row[0] for row in self.query("SELECT driver_id FROM cspnas_evaluations")}


@pytest.fixture
def studied(tmp_path: Path, new_server_url: Callable[[], str]) -> Iterator[Studied]:
    with searching(tmp_path) as make:
        yield Studied(make, new_server_url())


def end(search: Command) -> str:
    """All of its stderr once it ended in order."""
    _, errors = search.communicate(timeout=PATIENCE)
    assert search.returncode == 0, errors
    return errors


def test_two_searches_share_one_budget_and_train_nothing_twice(studied: Studied) -> None:
    """Both begin on a server without any table: even those are made once."""
    searches = [studied.start(), studied.start()]
    for search in searches:
        assert f"done: all {TRIALS} trainings are done" in end(search)
    studied.check_whole()
    assert studied.drivers() == {1, 2}


def test_what_a_killed_search_had_under_way_is_taken_over_at_once_by_the_other(studied: Studied) -> None:
    victim = studied.start()
    other = studied.start()
    victim.until("[")  # most trainings are still to come, whichever search began first
    time.sleep(random.uniform(0, 0.5))
    killed = studied.stop_in_a_training(victim)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait(5)
    end(other)
    studied.check_whole()
    mine = studied.driver(other)
    taken = studied.query(f"SELECT id FROM cspnas_evaluations WHERE driver_id = {mine} AND attempt = 1")
    assert killed and set(killed) <= set(taken)


def test_a_hung_search_loses_what_it_had_under_way_and_its_late_result_counts_once(
    studied: Studied, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped process keeps its lock; only the time since its last sign of life tells. Then it goes on, and ends."""
    monkeypatch.setenv("CSPNAS_HEARTBEAT", "10")
    hung = studied.start()
    hung.until("[1/8]")
    under_way = studied.stop_in_a_training(hung)
    other = studied.start()
    errors = end(other)
    assert "done: all 8" in errors
    taken = studied.query("SELECT id FROM cspnas_evaluations WHERE driver_id = 2")
    assert under_way and set(under_way) <= set(taken)
    before = studied.query("SELECT * FROM cspnas_evaluations ORDER BY id")
    os.kill(hung.pid, signal.SIGCONT)
    end(hung)
    assert studied.query("SELECT * FROM cspnas_evaluations ORDER BY id") == before
    late = studied.query("SELECT evaluation_id, driver_id FROM cspnas_late_results")
    assert late == [(identifier, 1) for (identifier,) in under_way]
    studied.check_whole()


class Outage:
    """A study on a server of its own, which may be stopped."""

    def __init__(self, studied: Studied, own: Server, folder: Path) -> None:
        self.studied, self.server, self.spool = studied, own, folder / "studies" / NAME / "spool"

    def results(self) -> list[Path]:
        return sorted(self.spool.glob("*.json"))

    def wait_for_results(self, count: int) -> list[Path]:
        deadline = time.monotonic() + PATIENCE
        while len(self.results()) < count:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self.results()


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[Outage]:
    with server() as own, searching(tmp_path) as make:
        yield Outage(Studied(make, own.url(own.new_database())), own, tmp_path)


def test_results_wait_for_a_stopped_server_on_disk_whatever_becomes_of_their_search(
    outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the search lives on and records what it kept; then it is killed meanwhile, and the next one records it."""
    monkeypatch.setenv("CSPNAS_HEARTBEAT", "10")  # who was cut off has a few seconds to come back, not half a minute
    studied = outage.studied
    search = studied.start("--workers", "2")
    search.until("[1/8]")
    outage.server.stop()
    outage.wait_for_results(1)
    outage.server.start()
    seen = search.until("note: the database is back")
    assert seen.count("note: the database is away, trainings go on") == 1 and "Traceback" not in seen
    search.until("[")
    assert not outage.results()
    outage.server.stop()
    kept = [json.loads(path.read_text())["entry"] for path in outage.wait_for_results(1)]
    search.kill()
    search.wait(5)
    count = len(outage.results())
    outage.server.start()
    errors = end(studied.start("--workers", "2"))
    assert f"note: {count} result{'s' * (count > 1)} that an earlier search kept" in errors
    assert not outage.results()
    accuracies = {row[0]: row[1] for row in studied.query("SELECT digest || seed, accuracy FROM cspnas_evaluations")}
    for entry in kept:
        assert accuracies[f"{entry['key']['digest']}{entry['key']['seed']}"] == entry["result"]["accuracy"]
    studied.check_whole()
    assert studied.query("SELECT count(*) FROM cspnas_late_results") == [(0,)]
