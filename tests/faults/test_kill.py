"""Real searches whose processes are killed: nothing recorded is lost, nothing is left behind, the same command goes on."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import BRIEF, Command, searching
from searches import PATIENCE

COMMAND = ("--trials", "6", "--workers", "2")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Command]]:
    with searching(tmp_path) as make:
        yield lambda: make(*COMMAND)


def _children(pid: int) -> dict[int, str]:
    """Pid to command line of every live child, from /proc."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == pid and state != "Z":
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it ended meanwhile
                continue
    return found


def _workers(pid: int) -> list[int]:
    return sorted(child for child, command in _children(pid).items() if "worker_main" in command)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _end_within(pids: list[int], seconds: float) -> None:
    """Fails if a process is still there after `seconds`."""
    deadline = time.monotonic() + seconds
    while left := [pid for pid in pids if _alive(pid)]:
        assert time.monotonic() < deadline, f"still alive: {left}"
        time.sleep(0.05)


def _query(folder: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(folder / "studies" / "tiny.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


RESULTS = """SELECT id, digest, seed, attempt, state, accuracy, result, started, finished FROM cspnas_evaluations
             WHERE finished IS NOT NULL ORDER BY id"""


def _check_whole(folder: Path) -> None:
    """Six trainings, each key once, nothing in flight, Optuna's tables in step."""
    rows = _query(folder, "SELECT state, digest, recipe_digest, seed, fidelity FROM cspnas_evaluations")
    assert [row[0] for row in rows] == ["trained"] * 6
    assert len({row[1:] for row in rows}) == 6
    trials = _query(folder, "SELECT state FROM trials")
    assert {state for (state,) in trials} == {"COMPLETE"}
    assert len(trials) == len({row[1] for row in rows})


def test_a_killed_search_leaves_no_worker_and_the_same_command_finishes_it(
    start: Callable[[], Command], tmp_path: Path
) -> None:
    search = start()
    search.until("[1/6]")
    delay = random.uniform(0, 1.5)
    time.sleep(delay)
    children = list(_children(search.pid))
    assert len(_workers(search.pid)) == 2, f"after {delay} s"
    search.kill()
    search.wait(5)
    _end_within(children, 5)
    before = _query(tmp_path, RESULTS)
    assert 1 <= len(before) <= 6
    cut_short = _query(tmp_path, "SELECT id, seed, attempt FROM cspnas_evaluations WHERE state = 'in_flight'")
    again = start()
    _, errors = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, errors
    _check_whole(tmp_path)
    after = _query(tmp_path, RESULTS)
    assert [row for row in after if row[0] in {old[0] for old in before}] == before
    for identifier, seed, attempt in cut_short:
        assert (identifier, seed, attempt) in [(row[0], row[2], row[3]) for row in after]  # no worker of it crashed


def test_a_killed_worker_is_replaced_and_its_training_tried_again(start: Callable[[], Command], tmp_path: Path) -> None:
    search = start()
    search.until("[1/6]")
    victim = random.choice(_workers(search.pid))
    os.kill(victim, signal.SIGKILL)
    _, errors = search.communicate(timeout=PATIENCE)
    assert search.returncode == 0, errors
    assert errors.count("trying again") == 1
    _check_whole(tmp_path)
    attempts = [attempt for (attempt,) in _query(tmp_path, "SELECT attempt FROM cspnas_evaluations")]
    assert sorted(attempts) == [1, 1, 1, 1, 1, 2]


def test_a_second_search_is_refused_with_the_pid_of_the_first_and_ctrl_c_ends_that_one_at_once(
    start: Callable[[], Command], tmp_path: Path
) -> None:
    first = start()
    first.until("[1/6]")
    os.kill(first.pid, signal.SIGSTOP)  # a stopped driver still holds its study: no heartbeat is needed
    second = start()
    _, refusal = second.communicate(timeout=PATIENCE)
    assert second.returncode == 2
    assert f"(pid {first.pid} on " in refusal and refusal.count("\n") == 1
    os.kill(first.pid, signal.SIGCONT)
    children = list(_children(first.pid))
    started = time.monotonic()
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=PATIENCE)
    assert time.monotonic() - started < 5
    assert first.returncode == 130
    assert errors.endswith("everything finished is kept; the same command continues the search\n")
    assert "Traceback" not in errors and "Warning" not in errors
    _end_within(children, 5)
    assert len(_query(tmp_path, RESULTS)) >= 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_what_ends_a_job_or_closes_a_terminal_ends_a_search_as_ctrl_c_does(
    start: Callable[[], Command], tmp_path: Path, number: int, code: int
) -> None:
    """Sent to the whole process group, as Slurm and a terminal do. What is trained just then goes on from its last step."""
    search = start()
    search.until("[1/6]")
    children = list(_children(search.pid))
    os.killpg(search.pid, number)
    _, errors = search.communicate(timeout=PATIENCE)
    assert search.returncode == code
    assert errors.splitlines()[-1] == "interrupted: everything finished is kept; the same command continues the search"
    assert "Traceback" not in errors and "trying again" not in errors
    _end_within(children, 5)
    kept = list((tmp_path / "studies" / "tiny").glob("checkpoints/*.safetensors"))
    assert 1 <= len(kept) <= 2
    if number == signal.SIGTERM:
        again = start()
        _, errors = again.communicate(timeout=PATIENCE)
        assert again.returncode == 0, errors
        _check_whole(tmp_path)
        logs = "".join(path.read_text() for path in (tmp_path / "studies" / "tiny").glob("worker-*.log"))
        assert all(f"{path.name}: going on from epoch " in logs for path in kept)
        assert {attempt for (attempt,) in _query(tmp_path, "SELECT attempt FROM cspnas_evaluations")} == {1}


def test_a_search_whose_reader_goes_away_goes_on_to_its_end(start: Callable[[], Command], tmp_path: Path) -> None:
    """As in `cspnas search ... 2>&1 | head -1`: nobody reads more than the first line."""
    command = [sys.executable, "-m", "cspnas", *BRIEF, *COMMAND]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as search:
        assert search.stdout is not None and search.stdout.readline()
        search.stdout.close()
        assert search.wait(PATIENCE) == 1
    _check_whole(tmp_path)
