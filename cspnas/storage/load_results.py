"""The results of one study, read from its database."""

from __future__ import annotations

from dataclasses import replace

from cspnas.errors import InputError
from cspnas.storage.database import Database
from cspnas.study.evaluation import Evaluation, evaluation_from
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults, StudyRows
from cspnas.study.row_validation import check_training, damaged
from cspnas.study.study_record import StudyRecord


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
        trainings.append((NetworkRecord(row["digest"], row["document"], row["costs"]), evaluation_from(row)))
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
    """The results of a study. Raises StorageError for figures that no search can have written."""
    return StudyResults(study.facts.reference, study_rows(database, study.id), study.id)
