"""CPU time of one suggestion of the default sampler: one core, three objectives, constraints on.

    python benchmarks/suggestion.py [TRAININGS ...]    100 and 1000 unless told

Milliseconds of 20 suggestions each: `alone` with nothing kept from the one before, as after a result that changed the front;
`next` on the same results, as when several slots are free (every eighth draws new candidates); `first` before the whole pool
was made (a tenth of it costs about 100 ms). `fit` is a fit of the hyperparameters, which comes at growing intervals.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

from cspnas.documents.space_file import find_space, read_space
from cspnas.runners.protocol import Work
from cspnas.samplers.acquisition import AccuracyModel
from cspnas.samplers.cost_aware import CostAwareSampler
from cspnas.samplers.hyperparameters import to_target
from cspnas.samplers.registry import sampler_of
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.study.candidates import admitted_sample, reference_of
from cspnas.study.settings import Study


def accuracy(driver: Driver, work: Work) -> float:
    """Rises with the logarithm of the FLOPs, with noise from the digest, as the accuracy table's do."""
    noise = int(work.digest[:6], 16) / 2**24 - 0.5
    return 0.8 + 0.02 * math.log(driver.results.networks[work.digest].costs["flops"] / 4e5) + 0.008 * noise


def trained(study: Study, trainings: int, database: Database) -> Driver:
    """A study that has been going on for so many trainings: random ones, the last two by the sampler itself."""
    facts = {"reference": reference_of(study, admitted_sample(study)).to_json(), "recipe_digest": "0" * 64}
    row = database.create_study("densenet", study.identity(), facts)
    for sampler, until in (("random", trainings - 2), ("cost-aware", trainings)):
        named = replace(study, sampler=sampler)
        driver = Driver(named, database, row, sampler_of(named), database.start_driver(row.id, {}))
        while driver.results.finished < until:
            work = driver.suggest()
            assert isinstance(work, Work)
            driver.finish(work, {"accuracy": accuracy(driver, work), "failure": None})
    return driver


def measure(trainings: int) -> dict[str, Any]:
    """All figures at `trainings`."""
    study = read_space(find_space("densenet"), {"baselines.widths": 0, "search.confirm": 0.0})
    study = replace(study, trials=trainings + 1)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'densenet.db'}", create=True)
        sampler = trained(study, trainings, database).sampler
        assert isinstance(sampler, CostAwareSampler)
        first = [_milliseconds(partial(sampler.suggest, 10**6 + number)) for number in range(20)]
        more = [_milliseconds(partial(sampler.suggest, 10**7 + number)) for number in range(20)]
        alone = []
        for number in range(20):
            sampler._model, sampler._told, sampler._draws()._last = AccuracyModel(sampler._surrogate), None, None
            alone.append(_milliseconds(partial(sampler.suggest, 10**8 + number)))
        rows = sampler._trained()
        fit = _milliseconds(
            partial(sampler._surrogate.fit, rows.points.features[rows.network], to_target(rows.accuracy))
        )
        database.close()
    found = {name: _spread(values) for name, values in (("alone", alone), ("next", more), ("first", first))}
    return {"objectives": list(study.objectives), **found, "fit": fit}


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def _milliseconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return round(1000 * (time.process_time() - start), 1)


if __name__ == "__main__":
    found = {count: measure(count) for count in map(int, sys.argv[1:] or ("100", "1000"))}
    machine = {"machine": platform.machine(), "python": platform.python_version(), "load_average": os.getloadavg()}
    print(json.dumps({"cpu_milliseconds": found, **machine}, indent=2))
