"""Searches under faults, in few rounds; `make test-faults` (CSPNAS_FAULTS=full) does all of them. `rounds.py` has the faults.

After each: no finished result is lost or changed, no key is there twice, nothing is in flight, Optuna's tables are in step.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
from rounds import FINISHED, rows

from cspnas.errors import InputError
from cspnas.io import failpoints
from cspnas.io.failpoints import FAILPOINTS

FULL = os.environ.get("CSPNAS_FAULTS") == "full"
NOTHING_WRONG = {"stuck": 0, "lost": 0, "duplicates": 0, "in_flight": 0, "trials_wrong": 0}


def rounds(*words: object, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """The last line of `rounds.py`; the full form's lines are kept in $CSPNAS_FAULTS_LOG, as they come."""
    command = [sys.executable, str(Path(__file__).parents[1] / "support" / "rounds.py"), *map(str, words)]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}) as run:
        assert run.stdout is not None
        for line in run.stdout:
            lines.append(line)
            if os.environ.get("CSPNAS_FAULTS_LOG"):
                with Path(os.environ["CSPNAS_FAULTS_LOG"]).open("a") as log:
                    log.write(line)
    assert run.returncode == 0, lines
    return dict(json.loads(lines[-1]))


def test_a_search_killed_at_random_times_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """SIGKILL of the driver, 50 times in the full form; the same command goes on each time, and to the end."""
    number = 50 if FULL else 3
    found = rounds("driver", number, tmp_path)
    assert found["rounds"] == number and found["finished"] == found["trials"]
    assert found.items() >= NOTHING_WRONG.items()


def test_a_search_whose_workers_are_killed_ends_with_every_training(tmp_path: Path) -> None:
    """SIGKILL of one of four workers, 100 times in the full form. A network loses at most three; `odd` rows are others."""
    number = 100 if FULL else 4
    found = rounds("worker", number, tmp_path)
    assert (found["rounds"], found["finished"], found["odd"]) == (number, found["trials"], 0)
    assert found.items() >= NOTHING_WRONG.items()


def test_a_search_killed_at_any_commit_boundary_trains_what_one_never_killed_trains(tmp_path: Path) -> None:
    """Before and after every commit of ours and every update of Optuna's tables, one worker: the same networks, seeds and
    accuracies. Every boundary in the full form, about every 25th else.
    """
    found = rounds("failpoints", 1 if FULL else 25, tmp_path)
    assert found["rounds"] >= (70 if FULL else 2) and found["different"] == 0
    assert found.items() >= NOTHING_WRONG.items()


def test_a_full_disk_is_one_line_and_more_space_is_all_it_takes(tmp_path: Path) -> None:
    """At every 4 KiB in the full form; a file system that is full, or where none can be mounted, files that may not grow."""
    found = rounds("disk", 1 if FULL else 90, tmp_path)
    assert found["full"] >= (100 if FULL else 2) and found["tracebacks"] == 0
    assert found.items() >= dict.fromkeys(("stuck", "lost", "duplicates", "in_flight"), 0).items()


def test_files_that_may_not_grow_are_a_full_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in where nothing can be mounted, run everywhere: PATH without `mount` at work."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mount").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bin" / "mount").chmod(0o755)
    found = rounds("disk", 100, tmp_path / "d", environment={"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})
    assert found["full"] >= 1 and found["tracebacks"] == found["stuck"] == found["in_flight"] == 0


def test_of_two_searches_started_at_once_one_is_let_in(tmp_path: Path) -> None:
    """The other is refused, or comes when the first has ended and finds everything done."""
    number = 20 if FULL else 1
    found = rounds("race", number, tmp_path)
    assert found["rounds"] == number and found["neither"] == 0
    assert found.items() >= {"stuck": 0, "duplicates": 0, "in_flight": 0}.items()


def test_a_network_that_kills_its_workers_is_quarantined_and_shown_with_their_last_words(tmp_path: Path) -> None:
    found = rounds("once", 2, tmp_path, "Poison")
    assert found["finished"] == 12 and found.items() >= NOTHING_WRONG.items()
    dead = rows(tmp_path, "SELECT digest, failure_kind, attempt FROM cspnas_evaluations WHERE state = 'failed'")
    assert dead and {row[1:] for row in dead} == {("crashed", 3)}
    said = (tmp_path / "printed").read_text()
    assert said.count("quarantined") == len(dead) and said.count("trying again") == 2 * len(dead)
    command = [sys.executable, "-m", "cspnas", "front", "tiny"]
    shown = subprocess.run([*command, "--failed"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert shown.count("crashed, 3 attempts, quarantined: ") == len(dead)
    assert shown.count("    the worker process ended by signal SIGSEGV") == len(dead)
    listed = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    failures = json.loads(listed)["failures"]
    assert {row["digest"] for row in failures} == {row[0] for row in dead}
    for row in failures:
        assert row["quarantined"] and "about to read address 0" in row["log"] and "Segmentation fault" in row["log"]


def test_a_machine_on_which_every_worker_dies_ends_the_search_in_one_line_and_a_mended_one_goes_on(
    tmp_path: Path,
) -> None:
    """In the logs' places lie a pipe, a folder, and a link to a file of the user's."""
    logs = tmp_path / "studies" / "tiny"
    logs.mkdir(parents=True)
    os.mkfifo(logs / "worker-0.log")
    (tmp_path / "precious").write_text("of the user's")
    (logs / "worker-1.log").symlink_to(tmp_path / "precious")
    (logs / "worker-2.log").mkdir()
    found = rounds("once", 3, tmp_path, "Broken")
    assert found["finished"] == 0 and 3 <= found["in_flight"] <= 6
    printed = (tmp_path / "printed").read_text()
    assert "Traceback" not in printed and printed.count("worker-2.log: Is a directory; the search goes on") == 1
    assert printed.splitlines()[-1] == (
        "cspnas: studies/tiny: 3 different networks in a row failed (crashed: the worker process ended with exit code 3) "
        "and none ended between, which is no network's fault; see the logs there; the same command trains them again and "
        "goes on"
    )
    assert set(rows(tmp_path, "SELECT state, attempt FROM cspnas_evaluations")) == {("in_flight", 1)}
    found = rounds("once", 3, tmp_path)
    assert found["finished"] == 12 and found.items() >= NOTHING_WRONG.items()
    assert "training with seed" in (logs / "worker-0.log").read_text()
    assert (tmp_path / "precious").read_text() == "of the user's"


def test_a_worker_that_stands_still_past_its_time_is_replaced(tmp_path: Path) -> None:
    """Each stops itself (SIGSTOP) for good: recorded as timeout, never tried again, and the search ends."""
    found = rounds("once", 2, tmp_path, "Hangs", "search.timeout=1.0")
    assert found["finished"] == 12 and found.items() >= NOTHING_WRONG.items()
    hung = rows(tmp_path, "SELECT failure_kind, attempt FROM cspnas_evaluations WHERE state = 'failed'")
    assert hung and set(hung) == {("timeout", 1)}


def test_a_worker_stopped_and_continued_within_its_time_and_one_past_it(tmp_path: Path) -> None:
    """A pause shorter than the time allowed changes nothing; a longer one ends in a timeout, and the late result, which
    the killed worker never sends, in nothing. Where the whole search is stopped, no pause is too long.
    """
    command = [sys.executable, str(Path(__file__).parents[1] / "support" / "rounds.py"), "once", "1", str(tmp_path)]
    run = subprocess.Popen([*command, "Announced", "search.timeout=3.0"], stdout=subprocess.PIPE, text=True)
    worker = _worker(run.pid, tmp_path)
    group = os.getpgid(worker)
    _stop_in_a_training(lambda number: os.killpg(group, number), tmp_path / "training")
    time.sleep(5.0)
    os.killpg(group, signal.SIGCONT)
    for pause in (1.0, 5.0):
        _stop_in_a_training(lambda number: os.kill(worker, number), tmp_path / "training")
        time.sleep(pause)
        try:
            os.kill(worker, signal.SIGCONT)
        except ProcessLookupError:
            assert pause == 5.0
    out, _ = run.communicate(timeout=120)
    assert json.loads(out).items() >= NOTHING_WRONG.items()
    ends = rows(tmp_path, "SELECT failure_kind, attempt FROM cspnas_evaluations")
    assert sorted(ends, key=str) == sorted([("timeout", 1), *[(None, 1)] * 11], key=str)


def _stop_in_a_training(send: Callable[[int], None], mark: Path) -> None:
    """Between two trainings a worker may stand still as long as it likes: that is tested nowhere here."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        send(signal.SIGSTOP)
        time.sleep(0.05)
        if mark.exists():
            return
        send(signal.SIGCONT)
        time.sleep(0.05)
    raise AssertionError("the worker trained nothing for a minute")


def _worker(parent: int, folder: Path) -> int:
    """The one worker of the search that `parent` forked, once it has finished a training."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            if children and rows(folder, FINISHED):
                below = Path(f"/proc/{children[0]}/task/{children[0]}/children").read_text().split()
                return next(int(c) for c in below if b"worker_main" in Path(f"/proc/{c}/cmdline").read_bytes())
        except (OSError, StopIteration):
            pass
        time.sleep(0.02)
    raise AssertionError("no worker")


CLOCK = """
import itertools, time
real, calls = time.time, itertools.count()
time.time = lambda: real() + (0, 86400, -86400)[next(calls) // 4 % 3]
"""


def test_a_wall_clock_that_jumps_a_day_forward_and_back_ends_nothing(tmp_path: Path) -> None:
    """In the search and in its workers: no time limit is reached, no worker counts as hung, nothing is tried again."""
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    environment = {"PYTHONPATH": path}
    words = ("once", 2, tmp_path / "study", "Slow", "search.timeout=60.0", "time_limit=600.0")
    found = rounds(*words, environment=environment)
    assert found["finished"] == 12 and found.items() >= NOTHING_WRONG.items()
    ends = rows(tmp_path / "study", "SELECT DISTINCT state, attempt FROM cspnas_evaluations")
    assert ends == [("trained", 1)]
    times = [time for (time,) in rows(tmp_path / "study", "SELECT started FROM cspnas_evaluations")]
    assert max(times) - min(times) > 80_000  # the clock did jump


def test_a_message_that_a_stopped_worker_began_is_not_waited_for() -> None:
    """Half a frame is kept, and read whole when the other half comes, with what follows it."""
    from cspnas.runners.local.worker_handle import WorkerHandle

    ours, theirs = Pipe()
    worker = WorkerHandle("cpu", None, ours, ours, Path("none"))  # type: ignore[arg-type]
    long = json.dumps({"result": "x" * 50_000}).encode()
    frame = len(long).to_bytes(4, "big") + long
    os.write(theirs.fileno(), frame[:3])
    assert worker.read() == []
    os.write(theirs.fileno(), frame[3:30_000])
    assert worker.read() == []
    os.write(theirs.fileno(), frame[30_000:])
    theirs.send_bytes(b'{"began": 1}')
    assert worker.read() == [json.loads(long), {"began": 1}]
    theirs.close()
    with pytest.raises(EOFError):
        worker.read()


def test_failpoints_are_a_list_and_nothing_else_is_one() -> None:
    assert len(set(FAILPOINTS)) == len(FAILPOINTS)
    with pytest.raises(InputError, match=r"CSPNAS_FAILPOINT: found failpoint 'commit', expected one of commit\.before"):
        failpoints.arm("commit")
    failpoints.arm(None)
    for name in FAILPOINTS:
        failpoints.hit(name)  # not armed: this process lives on


@pytest.mark.parametrize("name", ["file.before", "file.after"])
def test_a_file_is_whole_or_not_there_wherever_its_writer_is_killed(tmp_path: Path, name: str) -> None:
    """By the command's own environment variable, `cspnas space --copy`: before the rename nothing, after it everything."""
    environment = {**os.environ, "CSPNAS_FAILPOINT": name}
    command = [sys.executable, "-m", "cspnas", "space", "densenet", "--copy"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL
    files = [path for path in tmp_path.iterdir() if not path.name.startswith(".cspnas-")]
    whole = Path(__file__).parents[2] / "search_spaces" / "densenet.yaml"
    assert [path.read_bytes() for path in files] == ([] if name == "file.before" else [whole.read_bytes()])
