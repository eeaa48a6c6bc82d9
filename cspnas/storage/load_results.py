"""The results of one study, read from its database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cspnas.errors import InputError
from cspnas.storage.database import Database
from cspnas.study.evaluation import Evaluation, evaluation_from
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults, StudyRows
from cspnas.study.row_validation import (
    check_driver,
    check_front,
    check_study,
    check_suggestion,
    check_training,
    damaged,
    damaged_row,
)
from cspnas.study.study_record import StudyRecord
from cspnas.study.suggestion import RecordedSuggestion


def trainings_in(
    database: Database, study_id: int, *, after: int = 0, among: list[int] | None = None
) -> list[tuple[NetworkRecord, Evaluation]]:
    """Trainings, oldest first, each with its network, whose source is not known here. `after`: of greater ids; `among`: of
    these ids. Raises StorageError for figures that no search can have written.
    """
    trainings = []
    for row in database.evaluations(study_id, after=after, among=among):
        try:
            check_training(row)
        except InputError as error:
            raise damaged(row["digest"], error, database.shown_url) from None
        network = NetworkRecord(row["digest"], row["document"], row["costs"], shown=database.shown_url)
        trainings.append((network, evaluation_from(row)))
    return trainings


def study_rows(database: Database, study_id: int) -> StudyRows:
    """All that results are made of."""
    first = {row["digest"]: row for row in database.first_suggestions(study_id)}
    trainings = [
        (replace(network, source=first[network.digest]["source"]) if network.digest in first else network, evaluation)
        for network, evaluation in trainings_in(database, study_id)
    ]
    genotypes = {digest: row["genotype"] for digest, row in first.items()}
    return StudyRows(trainings, genotypes, database.last_front(study_id), database.shown_url)


def load_results(database: Database, study: StudyRecord) -> StudyResults:
    """The results of a study. Raises StorageError for rows that no search can have written."""
    shown = database.shown_url
    with _row(f"study {study.name}", shown):
        check_study(study.settings.values, study.facts.values)
    for orphan in database.orphans(study.id):
        raise damaged(str(orphan["digest"]), f"evaluation {orphan['id']}: found no such network", shown)
    for kind in database.kinds_of_suggestions(study.id):
        with _row(f"suggestion {kind['number']}", shown):
            check_suggestion(**kind)
    for driver in database.drivers(study.id):
        with _row(f"driver {driver['id']}", shown):
            check_driver(driver)
    rows = study_rows(database, study.id)
    with _row("the last front", shown):
        check_front([] if rows.last_front is None else rows.last_front, study.facts.reference.objectives)
    return StudyResults(study.facts.reference, rows, study.id)


def load_suggestions(database: Database, study_id: int, since: int = 0) -> list[RecordedSuggestion]:
    """All suggestions from number `since` on, in order. Raises StorageError for one that no search can have written."""
    found = database.suggestions(study_id, since=since)
    for one in found:
        with _row(f"suggestion {one.number}", database.shown_url):
            check_suggestion(one.number, one.source, one.outcome, one.genotype, one.note)
    return found


@contextmanager
def _row(name: str, shown: str) -> Iterator[None]:
    """Raises StorageError with the row's `name` for what is refused within."""
    try:
        yield
    except InputError as error:
        raise damaged_row(name, error, shown) from None
