"""`cspnas studies copy`: a study moves between databases with everything that our tables say of it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import sqlalchemy as sa

from cspnas.errors import InputError
from cspnas.io.steps import Step, silent
from cspnas.storage.database import Database
from cspnas.storage.engine import check_name_free, undamaged
from cspnas.storage.locations import StudyLocation
from cspnas.storage.locks import StudyLock
from cspnas.storage.migrations import NoTablesError
from cspnas.storage.open_study import load_study
from cspnas.storage.optuna_projection import Projection
from cspnas.storage.sqlite import sqlite_files
from cspnas.storage.study_creation import check_file
from cspnas.storage.tables import (
    architectures_table,
    drivers_table,
    evaluations_table,
    fronts_table,
    late_table,
    studies_table,
    suggestions_table,
)
from cspnas.storage.transactions import Row
from cspnas.storage.trial_numbers import has_trials, number_rows, numbers_of
from cspnas.study.study_record import StudyRecord

# A table, the columns that hold ids of other tables, and how its rows of one study are found.
_TABLES: tuple[tuple[sa.Table, dict[str, sa.Table]], ...] = (
    (drivers_table, {"study_id": studies_table}),
    (evaluations_table, {"study_id": studies_table, "driver_id": drivers_table}),
    (suggestions_table, {"study_id": studies_table, "evaluation_id": evaluations_table}),
    (fronts_table, {"study_id": studies_table, "evaluation_id": evaluations_table}),
    (late_table, {"evaluation_id": evaluations_table, "driver_id": drivers_table}),
)
# Rows of one insert.
ROWS_PER_CHUNK = 500


def copy_study(source: StudyLocation, target: StudyLocation, step: Step = silent) -> tuple[str, int]:
    """Copy the study, and rebuild Optuna's tables from ours; its name there, and the number of its evaluations.

    Raises InputError where it is there already, StorageError where it is not whole; then nothing is written.
    """
    database = Database(source.url, read_only=True)
    try:
        row = database.chosen(source.name)
        place = StudyLocation(target.url, target.name or row.name)
        check_name_free_of_ours(place)
        check_name_free(place.url, str(place.name))
        step(f"copying study {row.name}")
        with undamaged(database.shown_url):
            contents, numbers = _contents(database, row)
        _into(place, row, contents, numbers)
        return str(place.name), len(contents[evaluations_table])
    finally:
        database.close()


def check_name_free_of_ours(place: StudyLocation) -> None:
    """Raises InputError where the study exists."""
    if place.sqlite:
        check_file(place.file, "choose another DST")
    if place.sqlite and not (place.file.is_file() and place.file.stat().st_size):
        return
    try:
        database = Database(place.url, read_only=True)
    except NoTablesError:
        return
    try:
        _check_free(database, place)
    finally:
        database.close()


def _check_free(database: Database, place: StudyLocation) -> None:
    if database.study(str(place.name)) is not None:
        raise InputError(
            f"a study {place.name!r}",
            expected="a name that is free",
            where=database.shown_url,
            hint="choose another DST",
        )


Contents = dict[sa.Table, list[Row]]


def _contents(database: Database, study: StudyRecord) -> tuple[Contents, dict[str, int]]:
    """All rows of one study and the trial number of each network, as of one moment."""
    projected = has_trials(database)
    with database.snapshot() as read:
        evaluations = sa.select(evaluations_table.c.id).where(evaluations_table.c.study_id == study.id)
        found: Contents = {}
        for table, _ in _TABLES:
            chosen = table.c.study_id == study.id if "study_id" in table.c else table.c.evaluation_id.in_(evaluations)
            found[table] = read(sa.select(table).where(chosen).order_by(*table.primary_key.columns))
        digests = sa.select(evaluations_table.c.digest).where(evaluations_table.c.study_id == study.id)
        found[architectures_table] = read(
            sa.select(architectures_table)
            .where(architectures_table.c.digest.in_(digests))
            .order_by(architectures_table.c.digest)
        )
        numbers = numbers_of(read(number_rows(study.name))) if projected else {}
    return found, numbers


def _into(place: StudyLocation, study: StudyRecord, contents: Contents, numbers: dict[str, int]) -> None:
    fresh = place.sqlite and not place.file.exists()
    lock = StudyLock(place.file) if place.sqlite else None
    if lock is not None:
        place.file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        _write(place, study, contents, numbers)
    except BaseException:
        for path in sqlite_files(place.file) if fresh else []:
            path.unlink(missing_ok=True)
        raise
    finally:
        if lock is not None:
            lock.release(delete=not place.file.exists())


def _write(place: StudyLocation, study: StudyRecord, contents: Contents, numbers: dict[str, int]) -> None:
    database = Database(place.url, create=True)
    try:
        with database.opening() if database.shared else nullcontext():
            _check_free(database, place)
            with database.transaction() as connection:
                _insert_all(connection, replace(study, name=str(place.name)), contents)
        results = load_study(database, place.name).results
        with undamaged(database.shown_url):
            space = study.settings.space()
        Projection(database, str(place.name), space, results, numbers).update()
    finally:
        database.close()


def _insert_all(connection: sa.Connection, study: StudyRecord, contents: Contents) -> None:
    """Ids stay as they are in a database without studies; beside other studies all of a table's move by the same number."""
    moved = {table: _greatest(connection, table) for table in (studies_table, *(table for table, _ in _TABLES))}
    if not moved[studies_table]:
        moved = dict.fromkeys(moved, 0)
    _insert(connection, studies_table, [dict(replace(study, id=study.id + moved[studies_table]).row())])
    architectures = contents[architectures_table]
    known = set(connection.execute(sa.select(architectures_table.c.digest)).scalars())
    _insert(connection, architectures_table, [row for row in architectures if row["digest"] not in known])
    for table, references in _TABLES:
        columns = references | ({"id": table} if "id" in table.c else {})
        _insert(connection, table, [_moved(row, columns, moved) for row in contents[table]])
    if connection.dialect.name == "postgresql":
        for table in moved:
            if "id" in table.c:
                _go_on_after(connection, table)


def _moved(row: Row, columns: dict[str, sa.Table], moved: dict[sa.Table, int]) -> Row:
    ids = {name: row[name] + moved[table] for name, table in columns.items() if row[name] is not None}
    return {**row, **ids}


def _greatest(connection: sa.Connection, table: sa.Table) -> int:
    return connection.scalar(sa.select(sa.func.max(table.c.id))) or 0 if "id" in table.c else 0


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    for start in range(0, len(rows), ROWS_PER_CHUNK):
        connection.execute(table.insert(), rows[start : start + ROWS_PER_CHUNK])


def _go_on_after(connection: sa.Connection, table: sa.Table) -> None:
    """A sequence knows nothing of ids that were given."""
    sequence = sa.func.pg_get_serial_sequence(table.name, "id")
    greatest = _greatest(connection, table)
    if greatest:
        connection.execute(sa.select(sa.func.setval(sequence, greatest)))
