"""A small study whose trainings are a fixed function of network and seed: what the tests of the tables share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cspnas.documents.space_file import read_space
from cspnas.runners.protocol import Work
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.study.candidates import admitted_sample, reference_of
from cspnas.study.settings import Study
from cspnas.study.study_record import StudyRecord

SPACE = """
family: densenet
stem: {channels: 8, stride: 4}
stages: [{growth_rate: [2, 3, 4, 5, 6], depth: [1, 2]}]
objectives: [accuracy, flops, peak_memory]
baselines: {widths: 2}
search: {trials: 16, sampler: random}
"""


def small_study(folder: Path, **overrides: Any) -> Study:
    """The study of a space file, with other settings where they are given (`__` for a dot)."""
    path = folder / "small.yaml"
    path.write_text(SPACE)
    return read_space(path, {key.replace("__", "."): value for key, value in overrides.items()})


def open_small(url: str, study: Study) -> tuple[Database, StudyRecord]:
    """A new study in the database."""
    database = Database(url, create=True)
    facts = {"reference": reference_of(study, admitted_sample(study, 50)).to_json(), "recipe_digest": "r" * 64}
    return database, database.create_study("small", study.identity(), facts)


def driver_of(study: Study, database: Database, row: StudyRecord) -> Driver:
    """A new driver, as the next process would make it."""
    sampler = OptunaSampler(study.sampler, study.space, study.objectives, study.seed)
    return Driver(study, database, row, sampler, database.start_driver(row.id, {}))


def result_of(work: Work) -> dict[str, Any]:
    """Accuracy by network and seed, reached in two epochs; one network in eight diverges."""
    if int(work.digest, 16) % 8 == 0:
        return {"failure": {"kind": "diverged", "message": ""}}
    accuracy = 0.4 + int(work.digest[:4], 16) / 2**18 + work.unit["seed"] % 1000 / 1e5
    curve = [{"loss": 2.0 - share, "accuracy": share * accuracy, "seconds": 0.5} for share in (0.5, 1.0)]
    return {"accuracy": accuracy, "curve": curve, "failure": None}


def driven(url: str, study: Study, trainings: int = 10**9) -> tuple[Database, Driver]:
    """A study after a search that has ended, or after so many trainings."""
    database, row = open_small(url, study)
    driver = driver_of(study, database, row)
    while driver.results.finished < trainings and isinstance(work := driver.suggest(), Work):
        driver.finish(work, result_of(work))
    return database, driver
