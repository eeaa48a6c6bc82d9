"""The main job's figures: driver overhead per trial, start-up times, what a second worker brings.

    python benchmarks/main_job.py overhead     process CPU time a trial at 100 trials, training left out
    python benchmarks/main_job.py overhead_10000   the same after 10,000 trials; resume, front update, `cspnas front`
    python benchmarks/main_job.py overhead postgresql, overhead_10000 postgresql   on a server of its own, wall time
    python benchmarks/main_job.py startup      wall time of `cspnas --help` and of `cspnas front` on 100 trials
    python benchmarks/main_job.py workers      trainings a minute with one and with two workers, in turn

Each prints JSON with the machine; medians of several, all values kept.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from cspnas.documents.space_file import find_space, read_space
from cspnas.runners.protocol import Work
from cspnas.samplers.registry import sampler_of
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.storage.load_results import load_results
from cspnas.storage.optuna_projection import Projection
from cspnas.storage.tables import architectures_table, evaluations_table, suggestions_table
from cspnas.study.candidates import Candidate, admitted, admitted_sample, reference_of, valid_candidates
from cspnas.study.evaluation import Evaluation, end_of
from cspnas.study.network_record import NetworkRecord
from cspnas.study.settings import Study
from cspnas.study.states import State
from cspnas.study.study_record import StudyRecord
from cspnas.training.payload import ResultPayload
from cspnas.training.recipe import training_seed

URL: str | None = None  # of the server's database; else files
CLOCK = time.process_time  # a server's time counts too: there it is wall time


def made_up(work: Work) -> ResultPayload:
    """A result without training: accuracy from the digest, everything else of the size a real one has."""
    share = int(hashlib.sha256(work.digest.encode()).hexdigest()[:8], 16) / 2**32
    curve = [{"loss": 1.0, "accuracy": 0.5, "seconds": 1.0}] * 4
    return {"accuracy": 0.7 + 0.2 * share, "curve": curve, "correct": "A" * 670, "failure": None, "seconds": 1.0}


def new_study(folder: Path, exploring: int, sampler: str = "random") -> tuple[Study, Database, StudyRecord]:
    """A densenet study without results that tries `exploring` networks before it confirms a third as many."""
    study = _study(exploring, sampler)
    database = Database(URL or f"sqlite:///{folder / 'densenet.db'}", create=True)
    facts = {
        "reference": reference_of(study, admitted_sample(study)).to_json(),
        "recipe_digest": "0",
        "space": "densenet",
        "data": {},
        "precision": "float32",
    }
    return study, database, database.create_study("densenet", study.identity(), facts)


def _study(exploring: int, sampler: str) -> Study:
    changes = {"search.sampler": sampler, "search.trials": exploring * 4 // 3, "search.confirm": 0.25}
    return read_space(find_space("densenet"), changes)


def open_driver(study: Study, database: Database, row: StudyRecord) -> tuple[Driver, Projection]:
    """As a search starts: what is there is read, Optuna's tables are brought up to date."""
    driver = Driver(study, database, row, sampler_of(study), database.start_driver(row.id, {}))
    projection = Projection(database, "densenet", study.space, driver.results)
    projection.update()
    return driver, projection


def drive(driver: Driver, projection: Projection, trials: int) -> dict[str, list[float]]:
    """CPU milliseconds of each of up to `trials` trials (suggest, cost, record, project, front), by what they are for."""
    spent: dict[str, list[float]] = {"exploring": [], "confirming": []}
    for _ in range(trials):
        start = CLOCK()
        work = driver.suggest()
        if not isinstance(work, Work):
            break
        driver.finish(work, made_up(work))
        projection.update()
        again = len(driver.results.networks[work.digest].evaluations) > 1
        spent["confirming" if again else "exploring"].append(1000 * (CLOCK() - start))
    return spent


def overhead() -> dict[str, Any]:
    """Median CPU milliseconds of trials 80 to 100 and of the confirmations after them, three studies."""
    found: dict[str, list[float]] = {"exploring": [], "confirming": []}
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            study, database, row = new_study(Path(folder), 100)
            spent = drive(*open_driver(study, database, row), 133)
            if database.shared:
                with database.transaction() as connection:
                    connection.exec_driver_sql("DROP SCHEMA public CASCADE")
                    connection.exec_driver_sql("CREATE SCHEMA public")
            database.close()
            found["exploring"].append(statistics.median(spent["exploring"][80:]))
            found["confirming"].append(statistics.median(spent["confirming"]))
    return {"cpu_ms_per_trial_at_100": found, "median": {k: statistics.median(v) for k, v in found.items()}}


def overhead_10000() -> dict[str, Any]:
    """One study of 10,000 trained networks (and its rejected candidates), written in bulk, then driven on.

    `resume_seconds` (wall): from the database's opening to the first suggestion, in a process of its own; each sampler three
    times. `front_update_ms` (wall): a result in the
    results with the front's snapshot; the worst of 40 new networks, and of 40 front members that lose their place.
    """
    with tempfile.TemporaryDirectory() as folder:
        study, database, row = new_study(Path(folder), 10_060)
        suggestions = fill(study, database, row, 10_000)
        start = time.perf_counter()
        open_driver(study, database, row)
        projected = time.perf_counter() - start
        drive(*open_driver(replace(study, sampler="cost-aware"), database, row), 20)  # which keeps its hyperparameters
        url = URL or f"sqlite:///{folder}/densenet.db"
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            samplers = ("random", "nsga2", "tpe", "cost-aware")
            resume = {name: [pool.apply(_resume, (name, url)) for _ in range(3)] for name in samplers}
        update = _front_updates(database, row)
        spent = drive(*open_driver(study, database, row), 80)
        front = _wall(["front", URL or str(Path(folder) / "densenet.db")])
    return {
        "suggestions": suggestions,
        "first_projection_seconds": projected,
        "resume_seconds": resume,
        "front_update_ms": update,
        "cpu_ms_per_trial_at_10000": {name: statistics.median(values) for name, values in spent.items()},
        "trials_measured": {name: len(values) for name, values in spent.items()},
        "cspnas_front": front,
    }


def fill(study: Study, database: Database, row: StudyRecord, count: int) -> int:
    """Write `count` trained networks and what was rejected on the way; the number of suggestions."""
    networks: dict[str, Candidate] = {}
    suggestions: list[dict[str, Any]] = []
    evaluations: list[dict[str, Any]] = []
    for drawn in valid_candidates(study, Random(1)):
        if drawn.digest in networks:
            continue
        fits = admitted(study, drawn.costs)
        suggestions.append(
            {
                "study_id": row.id,
                "number": len(suggestions),
                "source": "random",
                "outcome": "training" if fits else "rejected",
                "digest": drawn.digest,
                "evaluation_id": len(evaluations) + 1 if fits else None,
                "genotype": drawn.genotype,
                "note": None if fits else {"costs": drawn.costs},
            }
        )
        if fits:
            networks[drawn.digest] = drawn
            evaluations.append(_evaluation(study, row, drawn))
        if len(networks) == count:
            break
    with database.transaction() as connection:
        connection.execute(architectures_table.insert(), [_row(drawn.record("")) for drawn in networks.values()])
        connection.execute(evaluations_table.insert(), evaluations)
        connection.execute(suggestions_table.insert(), suggestions)
    return len(suggestions)


def _row(network: NetworkRecord) -> dict[str, Any]:
    return {"digest": network.digest, "document": network.document, "costs": network.costs}


def _evaluation(study: Study, row: StudyRecord, drawn: Candidate) -> dict[str, Any]:
    result = made_up(Work(0, drawn.digest, 1, {"architecture": {}, "recipe": {}, "seed": 0}))
    now = time.time()
    return {
        "study_id": row.id,
        "digest": drawn.digest,
        "recipe_digest": "0",
        "seed": training_seed(study.seed, drawn.digest, 0),
        "fidelity": study.recipe.epochs,
        "repeat": 0,
        "state": "trained",
        "attempt": 1,
        "accuracy": result["accuracy"],
        "result": result,
        "started": now,
        "finished": now,
    }


def _resume(sampler: str, url: str) -> float:
    study, start = _study(10_060, sampler), time.perf_counter()
    database = Database(url)
    driver, _ = open_driver(study, database, database.studies()[0])
    driver.sampler.suggest(driver._number)
    return time.perf_counter() - start


def _front_updates(database: Database, row: StudyRecord) -> dict[str, float]:
    results = load_results(database, row)
    members, others = results.front(), results.measured()[:40]
    worst = {"new_network": 0.0, "member_gets_worse": 0.0}

    def hear(case: str, network: NetworkRecord, digest: str, accuracy: float) -> None:
        repeat = 0 if digest not in results.networks else 1
        evaluation = Evaluation(-1, digest, 0, repeat, State.IN_FLIGHT)
        known = NetworkRecord(digest, network.document, network.costs, "random")
        end = end_of({"accuracy": accuracy}, State.TRAINED)
        start = time.perf_counter()
        results.add(known, evaluation, {})
        results.finish(digest, -1, end)
        results.snapshot()
        worst[case] = max(worst[case], 1000 * (time.perf_counter() - start))

    for number, network in enumerate(others):
        hear("new_network", network, f"new {number}", 0.6 + number / 100)
    for network in members[:40]:
        hear("member_gets_worse", network, network.digest, 0.1)
    return {**worst, "members": len(members)}


def startup() -> dict[str, Any]:
    """Wall seconds of whole commands, warm, seven runs each."""
    with tempfile.TemporaryDirectory() as folder:
        drive(*open_driver(*new_study(Path(folder), 75)), 100)
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
    """Trainings a minute of the same 12 trainings with one and two workers, twice in turn: of whole commands, start-up
    included, and from the first training's start to the last one's end.
    """
    whole: dict[str, list[float]] = {"1": [], "2": []}
    steady: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(2):
        for count, rates in whole.items():
            with tempfile.TemporaryDirectory() as folder:
                words = f"search densenet --trials 12 --sampler random --workers {count}".split()
                start = time.perf_counter()
                subprocess.run([sys.executable, "-m", "cspnas", *words], check=True, cwd=folder, capture_output=True)
                rates.append(60 * 12 / (time.perf_counter() - start))
                steady[count].append(60 * 12 / _training_seconds(Path(folder) / "studies" / "densenet.db"))
    figures = {"whole_commands": whole, "while_training": steady}
    ratios = {name: statistics.median(rates["2"]) / statistics.median(rates["1"]) for name, rates in figures.items()}
    return {"trainings_per_minute": figures, "two_over_one": ratios}


def _training_seconds(file: Path) -> float:
    """From the first training's start to the last one's end."""
    database = Database(f"sqlite:///{file}", read_only=True)
    try:
        rows = database.evaluations(database.studies()[0].id)
    finally:
        database.close()
    return float(max(row["finished"] for row in rows) - min(row["started"] for row in rows))


def on_server(started: Any, chosen: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """`chosen` on a database of the server; between its studies the tables go."""
    globals()["URL"] = started.url(started.new_database())
    return chosen()


if __name__ == "__main__":
    modes = {"overhead": overhead, "overhead_10000": overhead_10000, "startup": startup, "workers": workers}
    chosen = modes[sys.argv[1]]
    machine = {"machine": platform.machine(), "system": platform.platform(), "python": platform.python_version()}
    if "postgresql" in sys.argv[2:]:
        sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
        import servers

        CLOCK = time.perf_counter
        with servers.server(("synchronous_commit = on",)) as started:
            figures = {f"{sys.argv[1]} on PostgreSQL, milliseconds are wall time": on_server(started, chosen)}
    else:
        figures = {sys.argv[1]: chosen()}
    print(json.dumps({**figures, **machine, "load_average": os.getloadavg()}, indent=2))
