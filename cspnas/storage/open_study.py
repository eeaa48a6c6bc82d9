"""A study as it stands in its database, open to read."""

from __future__ import annotations

from dataclasses import dataclass

from cspnas.io.steps import Step, silent
from cspnas.storage.database import Database
from cspnas.storage.engine import undamaged
from cspnas.storage.load_results import load_results
from cspnas.storage.trial_numbers import trial_numbers
from cspnas.study.results import StudyResults
from cspnas.study.study_record import StudyRecord


@dataclass(frozen=True, slots=True)
class OpenStudy:
    """A study read from its database."""

    name: str
    row: StudyRecord
    results: StudyResults
    database: Database


def load_study(database: Database, name: str | None, step: Step = silent) -> OpenStudy:
    """The study `name`, or the only one. Raises InputError where it is not there or must be named."""
    row = database.chosen(name)
    step(f"reading study {row.name}")
    with undamaged(database.shown_url):
        results = load_results(database, row)
        results.trials = trial_numbers(database, row.name)
    return OpenStudy(row.name, row, results, database)
