"""How busy a search keeps its workers.

    python benchmarks/scale.py ray [TRAININGS [SLOTS]]   8 slots of a local Ray cluster, trainings that sleep 20 s, or $SLEEP
    python benchmarks/scale.py local [TRAININGS [SAMPLER]]   64 processes of the local runner, trainings that sleep 4 to 6 s
    python benchmarks/scale.py restart [ROUNDS]    SIGKILL of a real search; seconds from the command until work goes on

Prints JSON with the machine. The whole path is the real one (driver, database, Optuna, runner, its processes and logs);
only the training is replaced by a sleep, so that many slots can be measured on few cores. `local` also says what a
thousand slots would need: the driver is busy `driver_seconds` for each training, one after the other, so that it keeps
`slots` busy while `slots / training_seconds` trainings a second take it less than a second.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a worker process imports this file: it needs neither Optuna nor torch
    from cspnas.searching.driver import Driver
    from cspnas.storage.optuna_projection import Projection

SLOTS, SECONDS = 8, float(os.environ.get("SLEEP", "20"))
LOCAL_SLOTS, LOCAL_SECONDS = 64, (4.0, 6.0)


class Sleeper:
    """An evaluator that sleeps: accuracy from the unit of work, and when it began, in seconds of the machine's clock."""

    def __init__(self, device: str) -> None:
        self.device = device

    def seconds(self, share: float) -> float:
        """How long a training sleeps; `share` is between 0 and 1, of its own."""
        return SECONDS

    def __call__(self, work: dict[str, Any], progress: Callable[[Any], None]) -> dict[str, Any]:
        """A result as a training gives it."""
        began = time.time()
        share = int(hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:8], 16) / 2**32
        time.sleep(self.seconds(share))
        result: dict[str, Any] = {
            "accuracy": 0.7 + 0.2 * share,
            "latency": 0.001,
            "failure": None,
            "curve": [],
            "correct": "A" * 670,
        }
        return result | {"seconds": time.time() - began, "began": began, "pid": os.getpid()}


class Napper(Sleeper):
    """Sleeps differently long, as trainings take."""

    def seconds(self, share: float) -> float:
        """Between the two bounds."""
        least, most = LOCAL_SECONDS
        return least + (most - least) * share


def local(trainings: int = 640, sampler: str = "random") -> dict[str, Any]:
    """As `ray`, by the local runner; and the CPU and wall seconds that its process spends on a training."""
    from cspnas.runners.local.runner import LocalRunner
    from cspnas.runners.run_loop import run_loop

    results: list[dict[str, Any]] = []
    start = time.time()
    with tempfile.TemporaryDirectory() as folder:
        driver, projection = _driver(Path(folder), trainings, sampler)

        def on_event(kind: str, work: Any, result: Any) -> None:
            if kind == "finished":
                results.append(result)
                projection.update()

        cpu = time.process_time()
        runner = LocalRunner(["cpu"] * LOCAL_SLOTS, Path(folder) / "logs", "scale:Napper")
        run_loop(runner, driver, on_event)
        cpu = time.process_time() - cpu
    mean = sum(result["seconds"] for result in results) / len(results)
    per_training = cpu / len(results)
    return {
        "sampler": sampler,
        "slots": LOCAL_SLOTS,
        "whole_seconds": time.time() - start,
        "mean_training_seconds": mean,
        **_busy(results, start, LOCAL_SLOTS),
        "driver_cpu_seconds_per_training": per_training,
        "model": {
            "driver_load_at_64_slots": LOCAL_SLOTS / mean * per_training,
            "slots_that_one_driver_keeps_busy": mean / per_training,
            "training_seconds_that_1000_slots_need": 1000 * per_training,
        },
    }


def restart(rounds: int = 5) -> dict[str, Any]:
    """`cspnas search` on real trainings, killed in the middle; from typing it again to the first training's beginning."""
    waits = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "cspnas", "search", "densenet", "--workers", "2", "--trials", "1000"]
        command += ["--set", "proxy.precision=float32", "--device", "cpu"]
        for number in range(rounds + 1):
            for log in (Path(folder) / "studies" / "densenet").glob("worker-*.log"):
                log.unlink()
            start = time.monotonic()
            with subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL) as search:
                logs = Path(folder) / "studies" / "densenet"
                while not any(log.read_text() for log in logs.glob("worker-*.log")):
                    time.sleep(0.01)
                waits.append(time.monotonic() - start)
                time.sleep(1 + number % 3)
                search.kill()
    return {"first_seconds": waits[0], "again_seconds": _spread(sorted(waits[1:]))}


def ray(trainings: int = 64, slots: int = SLOTS) -> dict[str, Any]:
    """Share of the slots' time that is spent asleep, between the first beginning and the last end, and overall; the CPU
    seconds that a training costs this process, Tune's loop and Ray's own, from the first end to the last.
    """
    from cspnas.runners.ray.capacity import Slots
    from cspnas.runners.ray.cluster import cluster
    from cspnas.runners.ray.runner import RayRunner
    from cspnas.runners.run_loop import run_loop

    results: list[dict[str, Any]] = []
    spent: list[dict[str, float]] = []  # at the first end and at the last
    start = time.time()
    with tempfile.TemporaryDirectory() as folder, cluster("local", slots) as nodes:
        driver, projection = _driver(Path(folder), trainings)

        def on_event(kind: str, work: Any, result: Any) -> None:
            if kind == "finished":
                results.append(result)
                projection.update()
                if len(results) in (1, trainings):
                    spent.append({"seconds": time.monotonic(), "driver": time.process_time(), **_ray_processes()})

        places = Slots(slots, "cpu", 0.0, tuple(node.identifier for node in nodes), "scale:Sleeper")
        run_loop(RayRunner(places, Path(folder)), driver, on_event)
    return {
        "slots": slots,
        "whole_seconds": time.time() - start,
        **_busy(results, start, slots),
        **_ray_cost(spent, trainings),
    }


def _ray_processes() -> dict[str, float]:
    """CPU seconds so far of Tune's loop, and of Ray's servers of this machine."""
    seconds = {"loop": 0.0, "servers": 0.0}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().partition(b"\0")[0]
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it is gone by now
            continue
        name = "loop" if command.startswith(b"ray::Loop") else "servers"
        if name == "loop" or command.endswith((b"/gcs_server", b"/raylet")):
            seconds[name] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return seconds


def _ray_cost(spent: list[dict[str, float]], trainings: int) -> dict[str, Any]:
    """CPU seconds a training. The loop looks for events ten times a second whatever runs: runs of trainings that take
    differently long tell that from what a training costs.
    """
    first, last = spent
    each = {name: (last[name] - first[name]) / (trainings - 1) for name in ("driver", "loop", "servers")}
    return {"measured_seconds": last["seconds"] - first["seconds"], "cpu_seconds_per_training": each}


def _busy(results: list[dict[str, Any]], start: float, slots: int) -> dict[str, Any]:
    """All of it; without the way up and the last round, where slots are idle for want of work; gaps within a process."""
    ends = sorted(result["began"] + result["seconds"] for result in results)
    begins = sorted(result["began"] for result in results)
    first, last = begins[slots - 1], begins[-1]  # all slots at work, until the last training begins
    inside = sum(max(0.0, min(r["began"] + r["seconds"], last) - max(r["began"], first)) for r in results)
    asleep = sum(result["seconds"] for result in results)
    return {
        "trainings": len(results),
        "busy_first_begin_to_last_end": asleep / (slots * (ends[-1] - begins[0])),
        "busy_while_there_is_work": inside / (slots * (last - first)),
        "seconds_to_first_begin": begins[0] - start,
        "gap_seconds": _spread(_gaps(results)),
    }


def _gaps(results: list[dict[str, Any]]) -> list[float]:
    gaps: list[float] = []
    last: dict[int, float] = {}
    for result in sorted(results, key=lambda result: result["began"]):
        if result["pid"] in last:
            gaps.append(result["began"] - last[result["pid"]])
        last[result["pid"]] = result["began"] + result["seconds"]
    return sorted(gaps)


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": values[len(values) // 2], "greatest": values[-1], "count": len(values)}


def _driver(folder: Path, trainings: int, sampler: str = "nsga2") -> tuple[Driver, Projection]:
    from cspnas.documents.space_file import find_space, read_space
    from cspnas.samplers.registry import sampler_of
    from cspnas.searching.driver import Driver
    from cspnas.storage.database import Database
    from cspnas.storage.optuna_projection import Projection
    from cspnas.study.candidates import admitted_sample, reference_of

    study = read_space(find_space("densenet"), {"search.trials": trainings, "search.sampler": sampler})
    database = Database(f"sqlite:///{folder / 'densenet.db'}", create=True)
    reference = reference_of(study, admitted_sample(study)).to_json()
    facts = {"reference": reference, "recipe_digest": "0", "space": "densenet", "data": {}, "precision": "float32"}
    row = database.create_study("densenet", study.identity(), facts)
    driver = Driver(study, database, row, sampler_of(study), database.start_driver(row.id, {}))
    return driver, Projection(database, "densenet", study.space, driver.results)


if __name__ == "__main__":
    modes: dict[str, Callable[..., dict[str, Any]]] = {"ray": ray, "local": local, "restart": restart}
    measured = modes[sys.argv[1]](*(int(word) if word.isdecimal() else word for word in sys.argv[2:]))
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({sys.argv[1]: measured, **machine, "load_average": os.getloadavg()}, indent=2))
