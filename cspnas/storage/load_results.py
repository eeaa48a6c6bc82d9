"""The results of one study, read from its database."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cspnas.objectives.pareto import HypervolumeReference
from cspnas.storage.database import Database
from cspnas.study.results import StudyResults, StudyRows


def study_rows(database: Database, study_id: int) -> StudyRows:
    """All that a results is made of."""
    evaluations, first = database.evaluations(study_id), database.first_suggestions(study_id)
    return StudyRows(evaluations, first, database.last_front(study_id), database.shown_url)


def load_results(database: Database, row: Mapping[str, Any]) -> StudyResults:
    """The results of a study's `row`. Raises StorageError for figures that no search can have written."""
    reference = HypervolumeReference.from_json(row["facts"]["reference"])
    return StudyResults(reference, study_rows(database, row["id"]), row["id"])
