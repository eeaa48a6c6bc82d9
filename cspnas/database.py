"""The study database: `cspnas_` tables are the truth. All SQL of ours is here; one transaction a step."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cspnas import postgresql
from cspnas.errors import InputError, StorageError
from cspnas.failpoints import reach
from cspnas.migration import check_schema, make_tables
from cspnas.objectives import MEASURED
from cspnas.sqlite_file import read_settings, sqlite_files, sqlite_path, write_settings
from cspnas.storage import dialect_url, engine_options, shown, translated, url_object
from cspnas.study_tables import (
    architectures_table,
    drivers_table,
    evaluations_table,
    fronts_table,
    late_table,
    studies_table,
    suggestions_table,
)

Row = dict[str, Any]
HEARTBEAT = "CSPNAS_HEARTBEAT"  # the environment variable with the seconds after which a driver counts as hung


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
        self.shown_url = shown(url)
        self._mode = "rwc" if create else "rw"  # even to read: a connection of mode ro leaves -wal and -shm behind
        self._file: tuple[int, int] | None = None
        self._session: sa.Connection | None = None
        self.hung_seconds = hung_seconds()
        options = {"json_serializer": _canonical_json, **self.engine_options()}
        self.engine = postgresql.new_engine(url_object(url), **options)
        if self.path is not None:
            sa.event.listen(self.engine, "connect", read_settings if read_only else write_settings)
        elif read_only:
            sa.event.listen(self.engine, "connect", postgresql.only_read)
        with self.opening(), self.transaction() as connection:
            if create:
                make_tables(connection)
            check_schema(connection, self.shown_url, write=not read_only)
        self._mode = "rw"
        self._file = self._identity()

    @property
    def shared(self) -> bool:
        """Whether several drivers may work on a study here at once."""
        return self.path is None

    def engine_options(self) -> dict[str, Any]:
        """What every engine on this database needs."""
        return engine_options(self.url, lambda: self._mode)

    @property
    def dialect_url(self) -> str:
        """A URL for engines that take text alone, with `engine_options`."""
        return dialect_url(self.url)

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

    @contextmanager
    def opening(self) -> Iterator[None]:
        """What makes tables or studies does not meet another that does."""
        with self._turn(postgresql.OPENING, 0):
            yield

    @contextmanager
    def step(self, study_id: int) -> Iterator[bool]:
        """A driver's step: on a shared database no other driver's step of this study runs beside it.

        Gives whether others may have written since the last step. On SQLite the study's lock already keeps others out.
        """
        with self._turn(postgresql.STEP, study_id):
            yield self.shared

    @contextmanager
    def _turn(self, kind: int, key: int) -> Iterator[None]:
        """Transactions within it use the session that has the turn, and so cannot go on once that is lost."""
        if not self.shared:
            yield
            return
        with (
            translated(self.url),
            self.engine.connect() as connection,
            postgresql.turn(connection, kind, key, self.hung_seconds),
        ):
            self._session = connection
            try:
                yield
            finally:
                self._session = None

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction: all of it or nothing."""
        self._check_there()
        session = self._session
        with translated(self.url):
            if session is None:
                with self.engine.begin() as connection:
                    yield connection
                    reach("commit.before")
            else:
                with session.begin():
                    yield session
                    reach("commit.before")
        reach("commit.after")

    @contextmanager
    def snapshot(self) -> Iterator[Callable[[sa.Select[Any]], list[Row]]]:
        """Reads rows, all as of one moment, whatever is written meanwhile."""
        level = "SERIALIZABLE" if self.path is not None else "REPEATABLE READ"
        with translated(self.url), self.engine.connect().execution_options(isolation_level=level) as connection:
            if self.path is not None:
                connection.exec_driver_sql("BEGIN")  # which sqlite3 itself does only before it writes
            yield lambda statement: _rows(connection, statement)

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
            return _rows(connection, statement)

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

    def beat(self, driver_id: int) -> sa.Update:
        """The statement by which a driver shows that it works, by the server's clock."""
        return drivers_table.update().where(drivers_table.c.id == driver_id).values(beat=postgresql.CLOCK)

    @property
    def beat_seconds(self) -> float:
        """Between two signs of life of a driver; also how long a lost session goes unnoticed."""
        return min(10.0, self.hung_seconds / 10)

    def running_drivers(self) -> set[int]:
        """Drivers that live, having their lock, and do not hang; for a moment after the server's start also those that it
        cut off, until they had the time to come back.
        """
        table, clock = drivers_table, postgresql.CLOCK
        with self.transaction() as connection:
            held = postgresql.held(connection, postgresql.DRIVER)
            hung = table.c.id.in_(held) & (table.c.beat < clock - self.hung_seconds)
            cut_off = (table.c.beat < postgresql.STARTED) & (clock < postgresql.STARTED + 2 + 3 * self.beat_seconds)
            drivers = connection.execute(sa.select(table.c.id, hung.label("hung")).where(hung | cut_off)).all()
        return (held | {row.id for row in drivers}) - {row.id for row in drivers if row.hung}

    def in_flight(self, study_id: int) -> list[Row]:
        """Evaluations under way, and whose they are; oldest first."""
        table = evaluations_table
        columns = (table.c.id, table.c.digest, table.c.repeat, table.c.attempt, table.c.driver_id)
        micro_batch = table.c.result["micro_batch"].as_integer().label("micro_batch")
        flying = (table.c.study_id == study_id) & (table.c.state == "in_flight")
        return self.rows(sa.select(*columns, micro_batch).where(flying).order_by(table.c.id))

    def evaluations(self, study_id: int, *, after: int = 0, among: list[int] | None = None) -> list[Row]:
        """All evaluations with their documents and costs, oldest first; of the bulky `result` only what was measured.

        `after`: of greater ids; `among`: of these ids.
        """
        result = evaluations_table.c.result
        kept = [column for column in evaluations_table.c if column is not result]
        kept += [result[name].as_float().label(name) for name in MEASURED if name not in evaluations_table.c]
        kept.append(result["micro_batch"].as_integer().label("micro_batch"))
        return self.rows(
            sa.select(*kept, architectures_table.c.document, architectures_table.c.costs)
            .join(architectures_table)
            .where(evaluations_table.c.study_id == study_id, *self._chosen_ids(after, among))
            .order_by(evaluations_table.c.id)
        )

    @staticmethod
    def _chosen_ids(after: int, among: list[int] | None) -> list[sa.ColumnElement[bool]]:
        column = evaluations_table.c.id
        return ([column > after] if after else []) + ([] if among is None else [column.in_(among)])

    def evaluation(self, study_id: int, key: Row) -> Row | None:
        """Id and state of the evaluation with this key."""
        table = evaluations_table
        chosen = [table.c.study_id == study_id, *(table.c[name] == value for name, value in key.items())]
        found = self.rows(sa.select(table.c.id, table.c.state).where(*chosen))
        return found[0] if found else None

    def result(self, evaluation_id: int) -> Row:
        """Curve, correctness bits, seconds, device, versions and failure of one evaluation."""
        found = self.rows(sa.select(evaluations_table.c.result).where(evaluations_table.c.id == evaluation_id))
        return found[0]["result"] or {}

    def suggestions(self, study_id: int, *, since: int = 0) -> list[Row]:
        """All suggestions from number `since` on, in order."""
        table = suggestions_table
        chosen = (table.c.study_id == study_id) & (table.c.number >= since)
        return self.rows(sa.select(table).where(chosen).order_by(table.c.number))

    def suggestion_for(self, study_id: int, evaluation_id: int) -> Row:
        """The suggestion that an evaluation began with."""
        table = suggestions_table
        chosen = (table.c.study_id == study_id) & (table.c.evaluation_id == evaluation_id)
        return self.rows(sa.select(table).where(chosen).order_by(table.c.number).limit(1))[0]

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

    def keep_late(self, evaluation_id: int, driver_id: int, result: Row) -> None:
        """Keep a result whose evaluation has one already, where it is not that one. It is never counted."""
        if self.result(evaluation_id) == json.loads(_canonical_json(result)):
            return  # recorded, but the server went away before it said so
        row = {"evaluation_id": evaluation_id, "driver_id": driver_id, "result": result, "finished": time.time()}
        with self.transaction() as connection:
            connection.execute(late_table.insert().values(row))

    def finish(self, evaluation_id: int, changes: Row, front: Row | None) -> None:
        """Record a result, and the front's new snapshot where it changed."""
        with self.transaction() as connection:
            connection.execute(
                evaluations_table.update().where(evaluations_table.c.id == evaluation_id).values(**changes)
            )
            if front is not None:
                connection.execute(fronts_table.insert().values({**front, "evaluation_id": evaluation_id}))


def _rows(connection: sa.Connection, statement: sa.Select[Any]) -> list[Row]:
    found = connection.execute(statement)
    names = list(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]


def hung_seconds() -> float:
    """Seconds after which a driver that shows no sign of life counts as hung. Raises InputError for a wrong setting."""
    text = os.environ.get(HEARTBEAT, "300")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise InputError(
            repr(text[:20]), expected="seconds from 1 to 86400", where=HEARTBEAT, do="leave it out for 300"
        )
    return seconds


def _key(result: sa.CursorResult[Any]) -> int:
    """The primary key of the row that an insert made."""
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def _canonical_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
