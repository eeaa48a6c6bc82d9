"""How busy a search keeps its workers.

    python benchmarks/scale.py ray [TRAININGS]     8 slots of a local Ray cluster, trainings that sleep 20 s

Prints JSON with the machine. The whole path is the real one (driver, database, Optuna, Ray Tune, its actors and logs);
only the training is replaced by a sleep, so that 8 slots can be measured on fewer cores.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cspnas.candidates import admitted_sample, reference_of
from cspnas.database import Database
from cspnas.driver import Driver
from cspnas.projection import Projection
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.space_document import find_space, read_space

SLOTS, SECONDS = 8, 20.0


class Sleeper:
    """An evaluator that sleeps: accuracy from the unit of work, and when it began, in seconds of the machine's clock."""

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self, work: dict[str, Any], progress: Callable[[Any], None]) -> dict[str, Any]:
        """A result as a training gives it."""
        began = time.time()
        time.sleep(SECONDS)
        share = int(hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:8], 16) / 2**32
        result: dict[str, Any] = {
            "accuracy": 0.7 + 0.2 * share,
            "latency": 0.001,
            "failure": None,
            "curve": [],
            "correct": "A" * 670,
        }
        return result | {"seconds": time.time() - began, "began": began, "pid": os.getpid()}


def ray(trainings: int = 80) -> dict[str, Any]:
    """Share of the slots' time that is spent asleep, between the first beginning and the last end, and overall."""
    from cspnas.runners.ray_cluster import cluster
    from cspnas.runners.ray_slots import Slots
    from cspnas.runners.ray_tune import RayRunner

    results: list[dict[str, Any]] = []
    start = time.time()
    with tempfile.TemporaryDirectory() as folder, cluster("local", SLOTS) as nodes:
        driver, projection = _driver(Path(folder), trainings)

        def on_event(kind: str, work: Any, result: Any) -> None:
            if kind == "finished":
                results.append(result)
                projection.update()

        slots = Slots(SLOTS, "cpu", 0.0, tuple(node.identifier for node in nodes), "scale:Sleeper")
        RayRunner(slots, Path(folder)).run(driver, on_event)
    return {"whole_seconds": time.time() - start, **_busy(results, start)}


def _busy(results: list[dict[str, Any]], start: float) -> dict[str, Any]:
    """All of it; without the way up and the last round, where slots are idle for want of work; gaps within a process."""
    ends = sorted(result["began"] + result["seconds"] for result in results)
    begins = sorted(result["began"] for result in results)
    first, last = begins[SLOTS - 1], begins[-1]  # all slots at work, until the last training begins
    inside = sum(max(0.0, min(r["began"] + r["seconds"], last) - max(r["began"], first)) for r in results)
    asleep = sum(result["seconds"] for result in results)
    return {
        "trainings": len(results),
        "busy_first_begin_to_last_end": asleep / (SLOTS * (ends[-1] - begins[0])),
        "busy_while_there_is_work": inside / (SLOTS * (last - first)),
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


def _driver(folder: Path, trainings: int) -> tuple[Driver, Projection]:
    study = read_space(find_space("densenet"), {"search.trials": trainings})
    database = Database(f"sqlite:///{folder / 'densenet.db'}", create=True)
    reference = reference_of(study, admitted_sample(study)).to_json()
    facts = {"reference": reference, "recipe_digest": "0", "space": "densenet", "data": {}, "precision": "float32"}
    row = database.create_study("densenet", study.identity(), facts)
    sampler = OptunaSampler(study.sampler, study.space, study.objectives, study.seed)
    driver = Driver(study, database, row, sampler, database.start_driver(row["id"], {}))
    return driver, Projection(database, "densenet", study.space, driver.ledger)


if __name__ == "__main__":
    measured = {"ray": ray}[sys.argv[1]](*map(int, sys.argv[2:]))
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    print(json.dumps({sys.argv[1]: measured, **machine, "load_average": os.getloadavg()}, indent=2))
