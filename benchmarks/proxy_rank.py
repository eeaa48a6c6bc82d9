"""Does the proxy rank? 24 random networks of the shipped densenet space: the default proxy, the same with a second seed, and
five times the epochs.

    python benchmarks/proxy_rank.py train [PROCESSES]    adds what is missing to benchmarks/results/proxy_rank.json
    python benchmarks/proxy_rank.py report               Kendall tau with 95 % intervals

The networks are the first 24 of the accuracy table, whose study drew them at random. Where the table has their first or
second seed already, that is taken: a recipe and a seed give the same bits on the same machine.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from cspnas.documents.space_file import find_space, read_space
from cspnas.training.payload import UnitOfWork
from cspnas.training.recipe import training_seed

sys.path.insert(0, str(Path(__file__).parent / "accuracy_table"))
from table import Row, load

FILE = Path(__file__).parent / "results" / "proxy_rank.json"
NETWORKS, LONGER = 24, 5
BOOTSTRAPS = 10_000
Job = tuple[str, str, UnitOfWork]  # digest, what it is, unit of work


def jobs(rows: list[Row], study_seed: int, precision: str, known: dict[str, dict[str, float]]) -> list[Job]:
    """What is not known yet, network by network, so that a part of it is already an answer."""
    recipe = replace(read_space(find_space("densenet")).recipe, precision=precision)
    found = []
    for row in rows:
        for what, repeat, epochs in (("second seed", 1, recipe.epochs), ("long", 0, LONGER * recipe.epochs)):
            if what not in known[row.digest]:
                seed, trained = training_seed(study_seed, row.digest, repeat), asdict(replace(recipe, epochs=epochs))
                found.append((row.digest, what, UnitOfWork(architecture=row.architecture, recipe=trained, seed=seed)))
    return found


def evaluate(job: Job) -> tuple[str, str, float]:
    """Train in a worker process."""
    from cspnas.runners.local.worker import trainer

    result = trainer("cpu")(job[2], lambda epoch: None)
    accuracy = result["accuracy"]
    assert accuracy is not None, result["failure"]
    return job[0], job[1], float(accuracy)


def train(processes: int) -> None:
    """Everything that is missing; each result is written as soon as it is there."""
    rows, provenance = load()
    rows = rows[:NETWORKS]
    document = json.loads(FILE.read_text()) if FILE.exists() else {"networks": {}}
    document |= {"device": provenance["device"], "versions": provenance["versions"], "longer": LONGER}
    known = document["networks"]
    for row in rows:
        known.setdefault(row.digest, {})["proxy"] = row.accuracies[0]
        if len(row.accuracies) > 1:
            known[row.digest]["second seed"] = row.accuracies[1]
    left = jobs(rows, provenance["study"]["search.seed"], provenance["facts"]["precision"], known)
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=8) as pool:
        for digest, what, accuracy in pool.imap_unordered(evaluate, left):
            known[digest][what] = accuracy
            FILE.write_text(json.dumps(document, indent=1) + "\n")
            done = sum(len(one) for one in known.values())
            print(f"[{done}/{3 * len(rows)}] {digest[:12]} {what} {accuracy:.4f}", flush=True)


def tau(pairs: np.ndarray) -> dict[str, float]:
    """Of two columns, with a 95 % bootstrap interval over networks."""
    rng = np.random.default_rng(0)
    draws = [kendalltau(*pairs[rng.integers(len(pairs), size=len(pairs))].T).statistic for _ in range(BOOTSTRAPS)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return {
        "tau": float(kendalltau(*pairs.T).statistic),
        "low": float(low),
        "high": float(high),
        "networks": len(pairs),
    }


def report() -> dict[str, Any]:
    """The proxy against five times its epochs, and against itself with another seed: what a better proxy could reach."""
    networks = json.loads(FILE.read_text())["networks"].values()
    pairs = {
        what: np.array([[one["proxy"], one[what]] for one in networks if what in one])
        for what in ("long", "second seed")
    }
    both = [[(one["proxy"] + one["second seed"]) / 2, one["long"]] for one in networks if len(one) == 3]
    return {
        f"proxy against {LONGER} times its epochs": tau(pairs["long"]),
        "proxy against a second seed": tau(pairs["second seed"]),
        f"mean of two seeds against {LONGER} times the epochs": tau(np.array(both)),
    }


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(int(sys.argv[2]) if len(sys.argv) > 2 else os.cpu_count() or 1)
    print(json.dumps(report(), indent=2))
