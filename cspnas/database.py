"""The study database: `cspnas_` tables are the truth. All SQL of ours is here; one transaction a step."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, IntegrityError

from cspnas.errors import InputError, StorageError
from cspnas.failpoints import reach
from cspnas.objectives import MEASURED
from cspnas.sqlite_file import (
    SQLITE,
    advice_on,
    connect,
    read_settings,
    reason_of,
    sqlite_files,
    sqlite_path,
    url_object,
    write_settings,
)
from cspnas.study_tables import (
    architectures_table,
    drivers_table,
    evaluations_table,
    fronts_table,
    metadata,
    schema_table,
    studies_table,
    suggestions_table,
)

SCHEMA_VERSION = 1
Row = dict[str, Any]


class NoTablesError(InputError):
    """A database that holds no study of ours yet."""


class GoneError(StorageError):
    """The study's file was deleted or replaced while it was in use."""

    exit_code = 1


class Database:
    """One database by URL. Every database error becomes a StorageError of one line.

    A SQLite file is created where `create` is set, and only once: a file that is deleted later stays deleted.
    """

    def __init__(self, url: str, *, create: bool = False, read_only: bool = False) -> None:
        self.url = url
        self.path = sqlite_path(url)
        self.shown_url = url if self.path else sa.engine.make_url(url).render_as_string(hide_password=True)
        self._mode = "rwc" if create else "rw"  # even to read: a connection of mode ro leaves -wal and -shm behind
        self._file: tuple[int, int] | None = None
        self.engine = sa.create_engine(url_object(url), json_serializer=_canonical_json, **self.engine_options())
        if self.path is not None:
            sa.event.listen(self.engine, "connect", read_settings if read_only else write_settings)
        with self._translated():
            if create:
                metadata.create_all(self.engine)
            self._check_schema(create)
        self._mode = "rw"
        self._file = self._identity()

    def engine_options(self) -> dict[str, Any]:
        """What every engine on this database needs: SQLite opens exactly the file that was named."""
        path = self.path
        return {} if path is None else {"creator": lambda: connect(path, self._mode)}

    @property
    def dialect_url(self) -> str:
        """A URL for engines that take text alone, with `engine_options`; of SQLite it says no more than the dialect."""
        return self.url if self.path is None else f"{SQLITE}study.db"

    @property
    def files(self) -> list[Path]:
        """What must not be overwritten: the database's own files."""
        return [] if self.path is None else [*sqlite_files(self.path), Path(f"{self.path}.lock")]

    def _identity(self) -> tuple[int, int] | None:
        """Device and inode of the file, None where there is none."""
        try:
            found = self.path.stat() if self.path is not None else None
        except OSError:
            return None
        return (found.st_dev, found.st_ino) if found is not None else None

    def _check_there(self) -> None:
        """Raises GoneError where the file is no longer the one that was opened: SQLite would go on writing into nothing."""
        if self._file is not None and self._identity() != self._file:
            raise GoneError(
                f"{self.path}: the study's file was deleted, moved or replaced while it was in use; put it back, "
                "or type the command again to start anew"
            )

    def _check_schema(self, create: bool) -> None:
        if not sa.inspect(self.engine).has_table("cspnas_schema"):
            raise NoTablesError(
                "a database without cspnas tables", expected="a study made by cspnas search", where=self.shown_url
            )
        with self.engine.begin() as connection:
            version = connection.scalar(sa.select(schema_table.c.version))
            if version is None and create:
                connection.execute(schema_table.insert().values(version=SCHEMA_VERSION))
            elif version != SCHEMA_VERSION:
                raise InputError(
                    f"schema version {version}",
                    expected=f"version {SCHEMA_VERSION}",
                    where=self.shown_url,
                    do="open it with the version of cspnas that made it",
                )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise StorageError(
                f"{self.shown_url}: another program writes to this study ({reason_of(error)}); stop one of the two and "
                "type the command again"
            ) from error
        except (DatabaseError, json.JSONDecodeError, UnicodeDecodeError) as error:
            reason = reason_of(error)
            raise StorageError(
                f"{self.shown_url}: the study database cannot be used ({reason}); {advice_on(reason)}"
            ) from None

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction: all of it or nothing."""
        self._check_there()
        with self._translated(), self.engine.begin() as connection:
            yield connection
            reach("commit.before")
        reach("commit.after")

    @staticmethod
    def json(value: Any) -> str:
        """JSON text as the tables hold it."""
        return _canonical_json(value)

    def close(self) -> None:
        """Release the connections."""
        self.engine.dispose()

    def rows(self, statement: sa.Select[Any]) -> list[Row]:
        """All rows of a query as dicts."""
        with self.transaction() as connection:
            found = connection.execute(statement)
            names = list(found.keys())
            return [dict(zip(names, row, strict=True)) for row in found]

    def studies(self) -> list[Row]:
        """Every study in the database."""
        return self.rows(sa.select(studies_table).order_by(studies_table.c.id))

    def study(self, name: str) -> Row | None:
        """The study of this name."""
        found = self.rows(sa.select(studies_table).where(studies_table.c.name == name))
        return found[0] if found else None

    def chosen(self, name: str | None) -> Row:
        """The study `name`, or the only one. Raises InputError where it is not there or must be named."""
        rows = {row["name"]: row for row in self.studies()}
        if name is None and len(rows) == 1:
            return next(iter(rows.values()))
        if name is None or name not in rows:
            raise InputError(
                f"study {name!r}" if name else f"{len(rows)} studies",
                expected=f"one of {', '.join(rows) or 'none: the database is empty'}",
                where=self.shown_url,
                do="name it after a #",
            )
        return rows[name]

    def create_study(self, name: str, identity: Row, facts: Row) -> Row:
        """A new study; all its settings in one transaction."""
        with self.transaction() as connection:
            connection.execute(
                studies_table.insert().values(name=name, identity=identity, facts=facts, created=time.time())
            )
        study = self.study(name)
        assert study is not None
        return study

    def start_driver(self, study_id: int, about: Row) -> int:
        """A new driver's id; whoever calls it holds the study's lock."""
        with self.transaction() as connection:
            row = connection.execute(drivers_table.insert().values(study_id=study_id, about=about, started=time.time()))
            return _key(row)

    def end_driver(self, driver_id: int) -> None:
        """Note that a driver ended in order."""
        with self.transaction() as connection:
            connection.execute(drivers_table.update().where(drivers_table.c.id == driver_id).values(ended=time.time()))

    def evaluations(self, study_id: int) -> list[Row]:
        """All evaluations with their documents and costs, oldest first; of the bulky `result` only what was measured."""
        result = evaluations_table.c.result
        kept = [column for column in evaluations_table.c if column is not result]
        kept += [result[name].as_float().label(name) for name in MEASURED if name not in evaluations_table.c]
        kept.append(result["micro_batch"].as_integer().label("micro_batch"))
        return self.rows(
            sa.select(*kept, architectures_table.c.document, architectures_table.c.costs)
            .join(architectures_table)
            .where(evaluations_table.c.study_id == study_id)
            .order_by(evaluations_table.c.id)
        )

    def result(self, evaluation_id: int) -> Row:
        """Curve, correctness bits, seconds, device, versions and failure of one evaluation."""
        found = self.rows(sa.select(evaluations_table.c.result).where(evaluations_table.c.id == evaluation_id))
        return found[0]["result"] or {}

    def suggestions(self, study_id: int) -> list[Row]:
        """All suggestions in order."""
        table = suggestions_table
        return self.rows(sa.select(table).where(table.c.study_id == study_id).order_by(table.c.number))

    def first_suggestions(self, study_id: int) -> list[Row]:
        """digest, source and genotype of the suggestion that first gave each network."""
        table = suggestions_table
        first = (
            sa.select(sa.func.min(table.c.number))
            .where(table.c.study_id == study_id, table.c.evaluation_id.is_not(None))
            .group_by(table.c.digest)
        )
        columns = (table.c.digest, table.c.source, table.c.genotype)
        return self.rows(sa.select(*columns).where(table.c.study_id == study_id, table.c.number.in_(first)))

    def outcomes(self, study_id: int) -> dict[str, int]:
        """How many suggestions had each outcome."""
        table = suggestions_table
        counts = sa.select(table.c.outcome, sa.func.count().label("count")).where(table.c.study_id == study_id)
        return {row["outcome"]: row["count"] for row in self.rows(counts.group_by(table.c.outcome))}

    def fronts(self, study_id: int) -> list[Row]:
        """Every snapshot of the front, oldest first."""
        table = fronts_table
        return self.rows(sa.select(table).where(table.c.study_id == study_id).order_by(table.c.id))

    def last_front(self, study_id: int) -> list[Any] | None:
        """The points of the newest snapshot: [digest, values...] of each member."""
        table = fronts_table
        found = self.rows(
            sa.select(table.c.points).where(table.c.study_id == study_id).order_by(table.c.id.desc()).limit(1)
        )
        return found[0]["points"] if found else None

    def record_suggestion(
        self, suggestion: Row, architecture: Row | None = None, evaluation: Row | None = None, front: Row | None = None
    ) -> int | None:
        """Record a suggestion and, where it starts or reuses one, its evaluation, with the front that a reused result
        gives; the evaluation's id.
        """
        with self.transaction() as connection:
            if architecture is not None:
                self._add_architecture(connection, architecture)
            identifier = suggestion.get("evaluation_id")
            if evaluation is not None:
                row = connection.execute(evaluations_table.insert().values(evaluation))
                identifier = _key(row)
            connection.execute(suggestions_table.insert().values({**suggestion, "evaluation_id": identifier}))
            if front is not None:
                connection.execute(fronts_table.insert().values({**front, "evaluation_id": identifier}))
        return identifier

    def _add_architecture(self, connection: sa.Connection, architecture: Row) -> None:
        table = architectures_table
        same = table.c.digest == architecture["digest"]
        known = connection.scalar(sa.select(table.c.costs).where(same))
        if known is None:
            connection.execute(table.insert().values(architecture))
        elif architecture["costs"].keys() - known.keys():  # an earlier study's row, from before some cost had a name
            connection.execute(table.update().where(same).values(costs={**architecture["costs"], **known}))

    def restart(self, evaluation_id: int, attempt: int, driver_id: int, micro_batch: int | None = None) -> None:
        """An evaluation that was cut short is in flight again, as this attempt and for this driver."""
        result = None if micro_batch is None else {"micro_batch": micro_batch}
        with self.transaction() as connection:
            connection.execute(
                evaluations_table.update()
                .where(evaluations_table.c.id == evaluation_id)
                .values(attempt=attempt, driver_id=driver_id, state="in_flight", started=time.time(), result=result)
            )

    def finish(self, evaluation_id: int, changes: Row, front: Row | None) -> None:
        """Record a result, and the front's new snapshot where it changed."""
        with self.transaction() as connection:
            connection.execute(
                evaluations_table.update().where(evaluations_table.c.id == evaluation_id).values(**changes)
            )
            if front is not None:
                connection.execute(fronts_table.insert().values({**front, "evaluation_id": evaluation_id}))


@contextmanager
def undamaged(shown: str) -> Iterator[None]:
    """Around reading a study in `shown`: a key that is missing, or a value of another type, becomes a StorageError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{shown}: the study is damaged ({type(error).__name__}: {reason_of(error)}); restore the file from a backup"
        ) from error


def check_name_free(url: str, name: str) -> None:
    """Raises InputError where Optuna's tables have a study `name` that is none of ours; they may be missing."""
    path = sqlite_path(url)
    if path is None or not path.is_file():
        return
    connection = connect(path, "rw")
    try:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'studies'").fetchone()
        taken = tables and connection.execute("SELECT 1 FROM studies WHERE study_name = ?", (name,)).fetchone()
    except sqlite3.DatabaseError as error:
        raise StorageError(f"{url}: the database cannot be read ({error}); {advice_on(str(error))}") from None
    finally:
        connection.close()
    if taken:
        raise InputError(
            f"a study {name!r} of Optuna's that cspnas did not make",
            expected="a name that is free",
            where=url,
            do="choose another --study or another --storage",
        )


def _key(result: sa.CursorResult[Any]) -> int:
    """The primary key of the row that an insert made."""
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def _canonical_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
