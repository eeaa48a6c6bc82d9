"""The main job's figures: driver overhead per trial, start-up times, what a second worker brings.

    python benchmarks/main_job.py overhead     process CPU time a trial at 100 trials, training left out
    python benchmarks/main_job.py startup      wall time of `cspnas --help` and of `cspnas front` on 100 trials
    python benchmarks/main_job.py workers      trainings a minute with one and with two workers, in turn

Each prints JSON with the machine; medians of several, all values kept.
"""

from __future__ import annotations

import hashlib
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from cspnas.candidates import admitted_sample, reference_of
from cspnas.database import Database
from cspnas.driver import Driver, Work
from cspnas.projection import Projection
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.space_document import find_space, read_space


def made_up(work: Work) -> dict[str, Any]:
    """A result without training: accuracy from the digest, everything else of the size a real one has."""
    share = int(hashlib.sha256(work.digest.encode()).hexdigest()[:8], 16) / 2**32
    curve = [{"loss": 1.0, "accuracy": 0.5, "seconds": 1.0}] * 4
    return {"accuracy": 0.7 + 0.2 * share, "curve": curve, "correct": "A" * 670, "failure": None, "seconds": 1.0}


def drive(folder: Path, trials: int) -> list[float]:
    """CPU seconds of each trial: suggest with `random`, cost, record, project, front."""
    study = read_space(find_space("densenet"), {"search.sampler": "random", "search.trials": trials})
    database = Database(f"sqlite:///{folder / 'densenet.db'}", create=True)
    reference = reference_of(study, admitted_sample(study))
    facts = {
        "reference": reference.to_json(),
        "recipe_digest": "0",
        "space": "densenet",
        "data": {},
        "precision": "float32",
    }
    row = database.create_study("densenet", study.identity(), facts)
    sampler = OptunaSampler("random", study.space, study.objectives, study.seed)
    driver = Driver(study, database, row, sampler, database.start_driver(row["id"], {}))
    projection = Projection(database, "densenet", study.space, driver.ledger)
    seconds: list[float] = []
    while True:
        start = time.process_time()
        work = driver.suggest()
        if not isinstance(work, Work):
            return seconds
        driver.finish(work, made_up(work))
        projection.update()
        seconds.append(time.process_time() - start)


def overhead() -> dict[str, Any]:
    """Median CPU milliseconds of trials 80 to 100, three studies."""
    medians = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            medians.append(1000 * statistics.median(drive(Path(folder), 100)[80:]))
    return {"cpu_ms_per_trial_at_100": medians, "median": statistics.median(medians)}


def startup() -> dict[str, Any]:
    """Wall seconds of whole commands, warm, seven runs each."""
    with tempfile.TemporaryDirectory() as folder:
        drive(Path(folder), 100)
        commands = {"help": ["--help"], "front_100_trials": ["front", str(Path(folder) / "densenet.db")]}
        return {name: _wall(arguments) for name, arguments in commands.items()}


def _wall(arguments: list[str], runs: int = 7) -> dict[str, Any]:
    seconds = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cspnas", *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds[1:], "median": statistics.median(seconds[1:])}


def workers() -> dict[str, Any]:
    """Trainings a minute of the same 12 trainings with one and two workers, start-up included, twice in turn."""
    rates: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(2):
        for count in rates:
            with tempfile.TemporaryDirectory() as folder:
                command = [
                    sys.executable,
                    "-m",
                    "cspnas",
                    "search",
                    "densenet",
                    "--trials",
                    "12",
                    "--sampler",
                    "random",
                ]
                start = time.perf_counter()
                subprocess.run([*command, "--workers", count], check=True, cwd=folder, capture_output=True)
                rates[count].append(60 * 12 / (time.perf_counter() - start))
    ratio = statistics.median(rates["2"]) / statistics.median(rates["1"])
    return {"trainings_per_minute": rates, "two_over_one": ratio}


if __name__ == "__main__":
    chosen = {"overhead": overhead, "startup": startup, "workers": workers}[sys.argv[1]]
    machine = {"machine": platform.machine(), "system": platform.platform(), "python": platform.python_version()}
    print(json.dumps({sys.argv[1]: chosen(), **machine}, indent=2))
