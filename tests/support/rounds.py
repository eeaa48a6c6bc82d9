"""Searches that are killed again and again, in rounds; one JSON line a round, and one with the losses at the end.

    python tests/faults/rounds.py driver ROUNDS FOLDER       SIGKILL of the search at a random time, then it is typed again
    python tests/faults/rounds.py worker ROUNDS FOLDER       SIGKILL of a random worker, in one search
    python tests/faults/rounds.py failpoints EVERY FOLDER    killed at every EVERY-th commit boundary, then finished
    python tests/faults/rounds.py disk EVERY FOLDER          the disk is full at every EVERY-th 4 KiB, then no more
    python tests/faults/rounds.py race ROUNDS FOLDER         two searches started at once
    python tests/faults/rounds.py once WORKERS FOLDER [EVALUATOR [KEY=JSON]...]     12 trainings, not killed at all

Everything is the product's own (`run_search`, database, projection, local runner, worker processes) except that a training
sleeps and its accuracy is made up from the unit of work. Each search is a fork of this process, which has imported
everything already, so that a round takes less than a second.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from control_groups import Group

SPACE = """
family: densenet
stem: {channels: 4, stride: 4}
stages:
  - {csp: [true, false], split_ratio: 0.5, fusion: [first, both], growth_rate: [2, 3, 4, 5, 6, 7], depth: [1, 2, 3]}
  - {csp: [true, false], split_ratio: 0.5, fusion: [first, both], growth_rate: [2, 3, 4, 5, 6, 7], depth: [1, 2, 3]}
objectives: [accuracy, flops]
baselines: {widths: 1}
proxy: {precision: float32, epochs: 1}
search: {sampler: random}
"""
PATIENCE = 120.0  # seconds for a search to end


class Sleeper:
    """An evaluator whose trainings take about `seconds` and fail never; accuracy is a function of the unit of work."""

    seconds = 0.02

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self, work: dict[str, Any], progress: Callable[[Any], None]) -> dict[str, Any]:
        """A result as a training gives it."""
        share = int(hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:8], 16) / 2**32
        self.work(share)
        return {"accuracy": 0.5 + 0.4 * share, "latency": 0.001, "failure": None, "curve": [], "correct": "1:gA=="}

    def work(self, share: float) -> None:
        """`share` is between 0 and 1, of the network's and its seed's own."""
        time.sleep(2 * self.seconds * share)


class Slow(Sleeper):
    """Long enough to be killed in the middle."""

    seconds = 0.3


class Announced(Sleeper):
    """A file `training` stands in the working folder for as long as a training runs."""

    def work(self, share: float) -> None:
        """Long enough to be stopped in the middle by who has seen the file."""
        mark = Path("training")
        mark.touch()
        time.sleep(0.6)
        mark.unlink()


class Brief(Sleeper):
    """About what a search of 2 workers trains in a second: 13."""

    seconds = 0.15


class Poison(Sleeper):
    """Every third network kills its worker."""

    def work(self, share: float) -> None:
        """A real fault of the processor's: the worker's log has where."""
        if share < 0.33:
            print("about to read address 0", flush=True)
            os.kill(os.getpid(), signal.SIGSEGV)


class Broken(Sleeper):
    """A machine on which every training dies after it began."""

    def work(self, share: float) -> None:
        """As by a library that is not there any more."""
        os._exit(3)


class Hangs(Sleeper):
    """Every third network stops its worker for good."""

    def work(self, share: float) -> None:
        """SIGSTOP: not even a signal handler runs any more."""
        if share < 0.33:
            os.kill(os.getpid(), signal.SIGSTOP)


def search(
    folder: Path, evaluator: str, *, trials: int, workers: int, failpoint: str | None = None, **set_: Any
) -> None:
    """One search of the study in `folder`, from the space's text to the end, in this process."""
    from cspnas.cli.progress import Progress
    from cspnas.documents.space_file import read_space
    from cspnas.io import failpoints
    from cspnas.runners.protocol import RunnerOptions
    from cspnas.searching.run import run_search
    from cspnas.storage.locations import new_place

    os.chdir(folder)
    Path("tiny.yaml").write_text(set_.pop("space", SPACE))
    failpoints.arm(failpoint)
    limit = set_.pop("time_limit", None)
    study = read_space(Path("tiny.yaml"), {"search.trials": trials, "search.workers": workers, **set_})
    study = replace(study, time_limit=limit)
    options = RunnerOptions(device="cpu", evaluator=evaluator if ":" in evaluator else f"rounds:{evaluator}")
    reason = run_search(study, new_place("tiny", None), options=options, reuse_from=None, on_open=Progress)
    sys.stderr.write(f"done: {reason}\n")


def forked(folder: Path, *arguments: Any, **options: Any) -> int:
    """The pid of a process of its own that searches; what it prints goes to `folder`/printed."""
    folder.mkdir(parents=True, exist_ok=True)
    pid = os.fork()
    if pid:
        return pid
    from cspnas.errors import CspnasError

    file_bytes, code = options.pop("file_bytes", None), 1
    try:
        os.setsid()
        printed = os.open(folder / "printed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        if file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        search(folder, *arguments, **options)
        code = 0
    except CspnasError as error:
        code = error.exit_code + 10  # 11 or 12: a line for the user
        with suppress(OSError):
            print(f"cspnas: {error}", flush=True)
    except OSError as error:  # as the command has it: a full disk behind its own output is one line, too
        code = 11
        with suppress(OSError):
            print(f"cspnas: {error.filename or 'output'}: {error.strerror}", flush=True)
    except BaseException:  # noqa: BLE001 (the process ends below, whatever came)
        with suppress(OSError):
            traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int, seconds: float = PATIENCE) -> int | None:
    """Wait status of a search; None where it was stuck and had to be killed."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def workers_of(pid: int) -> list[int]:
    """Pids of a search's worker processes."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [c for c in map(int, children) if b"worker_main" in Path(f"/proc/{c}/cmdline").read_bytes()]
    except OSError:
        return []


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Of the study's database, by a connection of SQLite's own; none where it is not there yet."""
    path = folder / "studies" / "tiny.db"
    if not path.is_file():
        return []
    connection = sqlite3.connect(path, timeout=30)
    try:
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()


FINISHED = (
    "SELECT id, digest, seed, attempt, state, accuracy, finished FROM cspnas_evaluations WHERE finished IS NOT NULL"
)
KEYS = "SELECT digest, recipe_digest, seed, fidelity FROM cspnas_evaluations"
NETWORKS = "SELECT digest, seed, accuracy FROM cspnas_evaluations ORDER BY digest, seed"


def losses(folder: Path, before: list[tuple[Any, ...]]) -> dict[str, int]:
    """What must not be: finished results that are gone or changed, keys twice, trainings that nobody ends, Optuna behind."""
    finished, keys = rows(folder, FINISHED), rows(folder, KEYS)
    shown = rows(folder, "SELECT count(*), sum(state IN ('COMPLETE', 'FAIL')) FROM trials")
    networks = len({row[1] for row in finished})
    return {
        "finished": len(finished),
        "lost": len(set(before) - set(finished)),
        "duplicates": len(keys) - len(set(keys)),
        "in_flight": len(keys) - len(finished),
        "trials_wrong": 0 if not shown else abs(networks - shown[0][0]) + abs(networks - (shown[0][1] or 0)),
    }


def say(**line: Any) -> dict[str, Any]:
    """One JSON line, at once."""
    print(json.dumps(line), flush=True)
    return line


def kill_driver(rounds: int, folder: Path) -> None:
    """`rounds` kills at random times of searches of one study, each typed again, then one to the end."""
    trials, before, stuck, lost = 100 * rounds, rows(folder, FINISHED), 0, 0
    for number in range(rounds):
        pid = forked(folder, "Brief", trials=trials, workers=2)
        time.sleep(random.uniform(0, 3.0))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = rows(folder, FINISHED)
        lost += len(set(before) - set(found))
        before = found
        say(round=number, finished=len(found), lost=lost)
    done = len(before) + 12
    stuck += ended(forked(folder, "Brief", trials=done, workers=2)) != 0
    say(mode="driver", rounds=rounds, trials=done, stuck=stuck, **losses(folder, before))


def kill_workers(rounds: int, folder: Path) -> None:
    """`rounds` kills of random workers of one search, which goes on to its end."""
    trials = 12 + 5 * rounds
    pid, kills, deadline = forked(folder, "Slow", trials=trials, workers=4), 0, time.monotonic() + 20 + 3 * rounds
    while kills < rounds and time.monotonic() < deadline:
        time.sleep(random.uniform(0.1, 0.5))
        found = workers_of(pid)
        if found:
            os.kill(random.choice(found), signal.SIGKILL)
            kills += 1
            say(round=kills, finished=len(rows(folder, FINISHED)))
    stuck = ended(pid, 60 + 3 * rounds) != 0
    attempts = rows(folder, "SELECT state, failure_kind, attempt FROM cspnas_evaluations")
    odd = [row for row in attempts if row not in {("trained", None, n) for n in (1, 2, 3)} | {("failed", "crashed", 3)}]
    say(mode="worker", rounds=kills, trials=trials, stuck=int(stuck), odd=len(odd), **losses(folder, []))


def kill_at_failpoints(every: int, folder: Path) -> None:
    """One worker, so that trainings end in order: whatever boundary it is killed at, the same networks come out."""
    from cspnas.io.failpoints import FAILPOINTS

    trials, options = 6, {"trials": 6, "workers": 1}
    assert ended(forked(folder / "whole", "Sleeper", **options)) == 0
    whole = rows(folder / "whole", NETWORKS)
    total = {"rounds": 0, "different": 0, "stuck": 0, "lost": 0, "duplicates": 0, "in_flight": 0, "trials_wrong": 0}
    for name in FAILPOINTS[:4]:
        for count in (
            1,
            *range(2 + random.randrange(every), 10_000, every),
        ):  # at the first one there is half a database
            place = folder / f"{name}-{count}"
            status = ended(forked(place, "Sleeper", **options, failpoint=f"{name}@{count}"))
            if status == 0:  # it ended before it came there so often
                break
            before = rows(place, FINISHED)
            total["stuck"] += status != signal.SIGKILL or ended(forked(place, "Sleeper", **options)) != 0
            total["rounds"] += 1
            total["different"] += rows(place, NETWORKS) != whole
            found = losses(place, before)
            say(failpoint=name, count=count, **found)
            for key in ("lost", "duplicates", "in_flight", "trials_wrong"):
                total[key] += found[key]
    say(mode="failpoints", trials=trials, **total)


def fill_the_disk(every: int, folder: Path, least: int = 4) -> None:
    """A small file system of its own, or a bound on every file's size where none can be mounted; then enough of both."""
    folder.mkdir(parents=True, exist_ok=True)
    total = {"rounds": 0, "full": 0, "stuck": 0, "tracebacks": 0, "lost": 0, "duplicates": 0, "in_flight": 0}
    for kib in range(least, 4000, 4 * every):
        disk = folder / f"disk-{kib}"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(disk)]
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        try:
            options: dict[str, Any] = {"trials": 6, "workers": 1}
            status = ended(forked(disk, "Sleeper", **options, **({} if mounted else {"file_bytes": kib << 10})))
            before = rows(disk, FINISHED) if status != 0 else []
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            full, again = status != 0, ended(forked(disk, "Sleeper", **options))
            said = (disk / "printed").read_text(errors="replace")
            found = losses(disk, before)
            total["rounds"] += 1
            total["full"] += full
            total["tracebacks"] += "Traceback" in said or (
                full and os.waitstatus_to_exitcode(status or 1) not in (11, 12)
            )
            total["stuck"] += status is None or again != 0
            for key in ("lost", "duplicates", "in_flight"):
                total[key] += found[key]
            code = None if status is None else os.waitstatus_to_exitcode(status)
            say(kib=kib, mounted=mounted, full=full, code=code, again=again, said=said.splitlines()[:1], **found)
        finally:
            if mounted:
                subprocess.run(["umount", "-l", str(disk)], check=False)
        if not full:
            break
    say(mode="disk", **total)


def race(rounds: int, folder: Path) -> None:
    """Two searches of one study, started in one moment: one is let in, or one after the other."""
    total = {"rounds": 0, "refused": 0, "neither": 0, "stuck": 0, "duplicates": 0, "in_flight": 0}
    for number in range(rounds):
        place = folder / f"race-{number}"
        pids = [forked(place, "Sleeper", trials=6, workers=1) for _ in range(2)]
        codes = [None if (s := ended(pid)) is None else os.waitstatus_to_exitcode(s) for pid in pids]
        found = losses(place, [])
        total["rounds"] += 1
        total["refused"] += 12 in codes
        total["neither"] += 0 not in codes or not set(codes) <= {0, 12}
        total["stuck"] += None in codes
        total["duplicates"] += found["duplicates"]
        total["in_flight"] += found["in_flight"] + (found["finished"] != 6)
        say(round=number, codes=codes, **found)
    say(mode="race", **total)


def main() -> None:
    """Import what searches need once, then fork."""
    if os.environ.get("CSPNAS_TEST_GROUP"):
        Group(Path(os.environ["CSPNAS_TEST_GROUP"])).enter()  # what is imported counts there, too
    import optuna  # noqa: F401 (what is forked has it)
    import torch

    torch.set_num_threads(1)
    mode, number, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).absolute()
    if mode == "once":
        evaluator, *sets = sys.argv[4:] or ["Sleeper"]
        options = {key: json.loads(value) for key, _, value in (text.partition("=") for text in sets)}
        status = ended(forked(folder, evaluator, workers=number, **{"trials": 12, **options}), 5 * PATIENCE)
        say(mode=mode, stuck=int(status != 0), **losses(folder, []))
        return
    modes = {"driver": kill_driver, "worker": kill_workers, "failpoints": kill_at_failpoints}
    (modes | {"disk": fill_the_disk, "race": race})[mode](number, folder)


if __name__ == "__main__":
    main()
