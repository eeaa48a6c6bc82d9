"""Studies that a driver drives without processes, clock or training, on any database; the fixture `start` makes them.

Accuracy is a fixed function of the network and the seed, as a training's is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from cspnas.documents.space_file import read_space
from cspnas.runners.protocol import Done, Wait, Work
from cspnas.samplers.registry import sampler_of
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.storage.tables import suggestions_table
from cspnas.study.candidates import admitted_sample, reference_of
from cspnas.study.settings import Study
from cspnas.study.study_record import StudyRecord

SPACE = """
family: densenet
stem: {channels: 8, stride: 4}
stages:
  - csp: [true, false]
    split_ratio: [0.25, 0.5, 0.75]
    growth_rate: [2, 3, 4, 5, 6]
    depth: [1, 2, 3]
objectives: [accuracy, flops, peak_memory]
constraints: ["flops <= 90k"]
baselines: {widths: 2}
"""
TINY = """
family: densenet
stem: {channels: 8, stride: 4}
stages: [{csp: false, growth_rate: [2, 4, 6], depth: 1}]
objectives: [accuracy, flops]
baselines: {widths: 1}
"""


def accuracy(unit: dict[str, Any]) -> float:
    """Dearer networks are better, with an offset of the network's and a smaller one of the seed's."""
    text = json.dumps(unit["architecture"], sort_keys=True)
    own, noise = (hashlib.sha256(t.encode()).digest()[0] / 255 for t in (text, f"{text}{unit['seed']}"))
    size = sum(stage["depth"] * stage["growth_rate"] for stage in unit["architecture"]["stages"])
    return 0.3 + 0.02 * size + 0.1 * own + 0.01 * noise


def train(work: Work) -> dict[str, Any]:
    """A training that works."""
    return {"accuracy": accuracy(work.unit), "failure": None}


def failing(kind: str, chosen: Callable[[Work], bool]) -> Callable[[Work], dict[str, Any]]:
    """Trainings that fail where `chosen` says so."""
    return lambda work: {"failure": {"kind": kind, "message": ""}} if chosen(work) else train(work)


@dataclass
class Run:
    """A study on a database, driven by as many drivers as it takes."""

    study: Study
    database: Database
    row: StudyRecord

    def driver(self, **options: Any) -> Driver:
        """A new driver, as the next process would make it."""
        study = self.study
        sampler = sampler_of(study)
        return Driver(study, self.database, self.row, sampler, self.database.start_driver(self.row.id, {}), **options)

    def go(
        self,
        train: Callable[[Work], dict[str, Any]] = train,
        *,
        workers: int = 1,
        finishes: int | None = None,
        leave: bool = False,
        **options: Any,
    ) -> tuple[Driver, str | None, list[Work]]:
        """Drive until it is done, or until `finishes` results: the driver, its reason, all work handed out.

        `leave`: once stopped, ask for one more training and drop it, as a killed driver does.
        """
        driver, flight, handed, ended = self.driver(**options), [], [], 0
        while finishes is None or ended < finishes:
            while len(flight) < workers:
                work = driver.suggest()
                if isinstance(work, Done):
                    assert not flight
                    return driver, work.reason, handed
                if isinstance(work, Wait):
                    assert flight, "waits for nothing"
                    break
                flight.append(work)
                handed.append(replace(work))
            first = flight.pop(0)
            ended += driver.finish(first, train(first))
        if leave:
            driver.suggest()
        return driver, None, handed

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """All rows."""
        return self.database.evaluations(self.row.id)

    @property
    def suggestions(self) -> list[dict[str, Any]]:
        """All rows."""
        table = suggestions_table
        return self.database.rows(sa.select(table).where(table.c.study_id == self.row.id).order_by(table.c.number))

    @property
    def trained(self) -> set[tuple[str, int]]:
        """(digest, seed) of each evaluation; that no two rows share one is checked."""
        rows = [(row["digest"], row["seed"]) for row in self.evaluations]
        assert len(set(rows)) == len(rows)
        return set(rows)


@pytest.fixture
def start(tmp_path: Path, new_url: Callable[[], str]) -> Iterator[Callable[..., Run]]:
    """A new study from a space file, on a database of its own: SQLite, and PostgreSQL."""
    opened: list[Database] = []

    def make(text: str = SPACE, sampler: str = "random", trials: int = 16, seed: int = 0, **changes: Any) -> Run:
        path = tmp_path / "small.yaml"
        path.write_text(text)
        search = {"search.trials": trials, "search.sampler": sampler, "search.seed": seed}
        study = replace(read_space(path, search), **changes)
        database = Database(new_url(), create=True)
        facts = {"reference": reference_of(study, admitted_sample(study, 50)).to_json(), "recipe_digest": "r" * 64}
        opened.append(database)
        return Run(study, database, database.create_study("small", study.identity(), facts))

    yield make
    for database in opened:
        database.close()


Start = Callable[..., Run]
