"""The samplers compared on one truth: same space, same driver, same initial points, budget counted in trainings.

    python benchmarks/samplers/compare.py run TRUTH METHOD TRAININGS SEEDS [WORKERS]    adds what is missing to the results
    python benchmarks/samplers/compare.py rescore                                       after the table got more seeds
    python benchmarks/samplers/compare.py table                                         figures and plot from the results

TRUTH is `rows` (the accuracy table's networks alone) or `model` (the whole space, by a regression on the table).
Every method is asked by the product's driver: what it proposes twice is reused, what breaks a constraint is rejected, and
neither counts. The same 10 random networks come first for all methods of a seed. A run is kept in
benchmarks/results/samplers/ as soon as it ends, so that an interrupted comparison goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peers import METHODS, POOLED
from rows_only import on_rows
from truth import Model, Rows, Truth

from cspnas.documents.space_file import find_space, read_space
from cspnas.objectives.pareto import HypervolumeReference, hypervolume, losses, non_dominated
from cspnas.runners.protocol import Done, Wait, Work
from cspnas.samplers.protocol import Sampler
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.study.candidates import Candidate, admitted_sample, reference_of
from cspnas.study.network_record import NetworkRecord
from cspnas.study.settings import Study
from cspnas.training.payload import ResultPayload

RESULTS = Path(__file__).parents[1] / "results" / "samplers"
INITIAL = 10  # random networks, the same for all methods
DIGITS = 7  # of a regret


class Oracle:
    """The study's driver trains here: noise-free accuracies of networks, and noisy ones of trainings."""

    def __init__(self, truth: Truth) -> None:
        self.truth, self.known = truth, dict[str, float]()

    def accuracy(self, network: NetworkRecord) -> float:
        """Without noise."""
        if network.digest not in self.known:
            drawn = Candidate(network.architecture, network.digest, network.costs, {})
            self.known[network.digest] = float(self.truth.accuracies([drawn])[0])
        return self.known[network.digest]

    def train(self, network: NetworkRecord, seed: int) -> ResultPayload:
        """A training's result."""
        return {"accuracy": self.truth.measured(self.accuracy(network), network.digest, seed), "failure": None}


def regret(driver: Driver, oracle: Oracle, whole: float) -> float:
    """1 - hypervolume of the noise-free values of the networks on the observed front, over that of the true front."""
    members = driver.results.front()
    points = driver.results.points(members)
    points[:, driver.results.reference.objectives.index("accuracy")] = [oracle.accuracy(one) for one in members]
    return 1 - hypervolume(losses(points, driver.results.reference)) / whole


def rescore(truth: Rows, reference: HypervolumeReference, whole: float) -> None:
    """Regrets of all runs on rows by what the table says now, after every training. What a method saw were first seeds, which
    stay as they are.
    """
    place = {row.digest: number for number, row in enumerate(truth.rows)}
    first, mean = (
        losses(np.array([_values(row, value(row.accuracies), reference) for row in truth.rows]), reference)
        for value in (lambda seeds: seeds[0], lambda seeds: float(np.mean(seeds)))
    )
    for file in RESULTS.glob("rows-*.json"):
        document = json.loads(file.read_text())
        for one in document["runs"].values():
            trained = np.array([place[digest] for digest in one["trained"]])
            one["curve"] = []
            for count in range(INITIAL, len(trained) + 1):
                seen = trained[:count]
                front = seen[non_dominated(first[seen])]
                one["curve"].append([count, round(1 - hypervolume(mean[front]) / whole, DIGITS)])
        document["truth"] = truth.report
        file.write_text(json.dumps(document) + "\n")


def _values(row: Any, accuracy: float, reference: HypervolumeReference) -> list[float]:
    return [accuracy if name == "accuracy" else row.costs[name] for name in reference.objectives]


def methods(truth: Truth, name: str) -> Callable[[Study], Sampler]:
    """The method as it runs on this truth."""
    return on_rows(METHODS[name], truth, name in POOLED) if isinstance(truth, Rows) else METHODS[name]


def run(
    study: Study, method: str, oracle: Oracle, reference: HypervolumeReference, whole: float, workers: int
) -> dict[str, Any]:
    """One search: regret after every training, CPU seconds of all suggestions, counts."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        database = Database(f"sqlite:///{folder}/run.db", create=True)
        facts = {"reference": reference.to_json(), "recipe_digest": "0" * 64}
        row = database.create_study("run", study.identity(), facts)
        curve, trained = list[list[float]](), list[str]()
        first = _driver(
            replace(study, trials=INITIAL, sampler="random"), database, row, methods(oracle.truth, "random")
        )
        _go(first, oracle, workers, trained, lambda driver: None)
        driver = _driver(study, database, row, methods(oracle.truth, method))
        seconds = _go(
            driver,
            oracle,
            workers,
            trained,
            lambda now: curve.append([now.results.finished, round(regret(now, oracle, whole), DIGITS)]),
        )
        database.close()
        counts = dict(driver.outcomes)
    explored = max(1, driver.results.finished - INITIAL)
    return {"curve": curve, "trained": trained, "cpu_seconds_per_training": seconds / explored, "outcomes": counts}


def _driver(study: Study, database: Database, row: Any, method: Callable[[Study], Sampler]) -> Driver:
    return Driver(study, database, row, method(study), database.start_driver(row.id, {}))


def _go(driver: Driver, oracle: Oracle, workers: int, trained: list[str], on_step: Callable[[Driver], None]) -> float:
    """Drive to the end with so many trainings at once, first in, first out; CPU seconds of all suggestions.

    `trained` gets the digests in the order in which trainings end.
    """
    flight, seconds = list[Work](), 0.0
    if driver.results.finished:
        on_step(driver)
    while True:
        while len(flight) < workers:
            began = time.process_time()
            work = driver.suggest()
            seconds += time.process_time() - began
            if not isinstance(work, Work):
                break
            flight.append(work)
        if isinstance(work, Done):
            return seconds
        assert flight or not isinstance(work, Wait)
        first = flight.pop(0)
        trained.append(first.digest)
        driver.finish(first, oracle.train(driver.results.networks[first.digest], first.unit["seed"]))
        on_step(driver)


def machine() -> dict[str, Any]:
    """What the figures were made by."""
    import optuna
    import sklearn

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "optuna": optuna.__version__,
        "scikit-learn": sklearn.__version__,
        "botorch": version("botorch"),
        "commit": commit.stdout.strip(),
    }


def base_study(truth: Truth) -> Study:
    """The table's own space, without confirmations: a regret is of exploration."""
    assert truth.provenance["study"]["space.family"] == "densenet"
    return replace(read_space(find_space("densenet"), {"baselines.widths": 0}), confirm_share=0.0)


def arguments() -> argparse.Namespace:
    """What is to be done; argparse says in one line what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("table", help="figures and plots from the results")
    commands.add_parser("rescore", help="regrets on rows anew, after the table got more seeds")
    running = commands.add_parser("run", help="add what is missing to the results")
    running.add_argument("truth", choices=["rows", "model"])
    running.add_argument("method", choices=METHODS)
    running.add_argument("trainings", type=_count)
    running.add_argument("seeds", type=_count)
    running.add_argument("workers", type=_count, nargs="?", default=1)
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected an integer from 1")
    return int(text)


def main() -> None:
    """Parse, run, keep."""
    asked = arguments()
    if asked.command == "table":
        from figures import write

        write(RESULTS)
        return
    truth: Truth = Model() if asked.command == "run" and asked.truth == "model" else Rows()
    study = base_study(truth)
    reference = reference_of(study, admitted_sample(study))
    RESULTS.mkdir(parents=True, exist_ok=True)
    if isinstance(truth, Rows) and asked.command == "rescore":
        rescore(truth, reference, _whole("rows", study, truth, reference))
        return
    whole = _whole(asked.truth, study, truth, reference)
    file = RESULTS / f"{asked.truth}-{asked.method}-{asked.workers}.json"
    document = json.loads(file.read_text()) if file.exists() else {"runs": {}}
    document = {"machine": machine()} | document  # each later run has its own
    document |= {"kind": asked.truth, "method": asked.method, "workers": asked.workers, "truth": truth.report}
    for seed in range(asked.seeds):
        if str(seed) in document["runs"]:
            continue
        one = replace(study, seed=seed, trials=asked.trainings)
        last = run(one, asked.method, Oracle(truth), reference, whole, asked.workers)
        document["runs"][str(seed)] = last | {"machine": machine()}
        file.write_text(json.dumps(document) + "\n")
        print(
            f"{asked.truth} {asked.method} x{asked.workers} seed {seed}: {last['curve'][-1]}, "
            f"{last['cpu_seconds_per_training']:.3f} s",
            flush=True,
        )


def _whole(kind: str, study: Study, truth: Truth, reference: HypervolumeReference) -> float:
    """Hypervolume of the true front, found once for a table."""
    file = RESULTS / f"true_front_{kind}.json"
    if file.exists() and (kept := json.loads(file.read_text()))["truth"] == truth.report:
        return float(kept["hypervolume"])
    front = truth.front(study, reference)
    whole = hypervolume(losses(front, reference))
    document = {"truth": truth.report, "hypervolume": whole, "points": np.round(front, 6).tolist()}
    file.write_text(json.dumps(document) + "\n")
    return whole


if __name__ == "__main__":
    main()
