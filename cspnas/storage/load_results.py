"""The results of one study, read from its database."""

from __future__ import annotations

from cspnas.storage.database import Database
from cspnas.study.results import StudyResults, StudyRows
from cspnas.study.study_record import StudyRecord


def study_rows(database: Database, study_id: int) -> StudyRows:
    """All that results are made of."""
    evaluations, first = database.evaluations(study_id), database.first_suggestions(study_id)
    return StudyRows(evaluations, first, database.last_front(study_id), database.shown_url)


def load_results(database: Database, study: StudyRecord) -> StudyResults:
    """The results of a study. Raises StorageError for figures that no search can have written."""
    return StudyResults(study.facts.reference, study_rows(database, study.id), study.id)
