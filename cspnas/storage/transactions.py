"""One database by URL: its engine, its transactions, the turns that drivers take. What is written is `database.py`'s."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from cspnas.errors import InputError, StorageError
from cspnas.io.failpoints import hit
from cspnas.storage import postgresql
from cspnas.storage.engine import UnreachableError, dialect_url, engine_options, shown_url_of, translated, url_object
from cspnas.storage.migrations import check_schema, make_tables
from cspnas.storage.postgresql import EngineOptions
from cspnas.storage.sqlite import (
    INTO_FILE,
    into_file,
    moved_file,
    read_mode,
    read_settings,
    sqlite_files,
    sqlite_path,
    write_settings,
)
from cspnas.storage.tables import drivers_table

Row = dict[str, Any]
# The environment variable with the seconds after which a driver counts as hung.
HEARTBEAT = "CSPNAS_HEARTBEAT"


class GoneError(UnreachableError):
    """The study's file was deleted, moved or replaced while it was in use."""

    exit_code = 1


class TakenOverError(StorageError):
    """Another search works on this study now, and only one may."""


class Transactions:
    """Engine and transactions of one database by URL. Every database error becomes a StorageError of one line.

    A SQLite file is created where `create` is set, and only once: a file that is deleted later stays deleted.
    """

    def __init__(self, url: str, *, create: bool = False, read_only: bool = False) -> None:
        self.url = url
        self.path = sqlite_path(url)
        self.shown_url = shown_url_of(url)
        self._read_only = read_only
        self._mode = "rwc" if create else "rw"
        if read_only and self.path is not None:
            self._mode = read_mode(self.path)
        self._file: tuple[int, int] | None = None
        self._session: sa.Connection | None = None
        # The driver that writes by this, where there may be no other.
        self._driver: int | None = None
        self.hung_seconds = hung_seconds()
        options: EngineOptions = {"json_serializer": canonical_json, **self.engine_options()}
        if read_only:
            # Whoever reads a study may keep it for hours, and tells nobody when that ends: no connection stays meanwhile.
            options["poolclass"] = sa.NullPool
        self.engine = postgresql.new_engine(url_object(url), **options)
        if self.path is not None:
            sa.event.listen(self.engine, "connect", read_settings if read_only else write_settings)
        elif read_only:
            sa.event.listen(self.engine, "connect", postgresql.only_read)
        with self.opening(), self.transaction() as connection:
            if create:
                make_tables(connection)
            check_schema(connection, self.shown_url, write=not read_only)
        self._mode = "rw" if create else self._mode
        self._file = self._identity()

    @property
    def shared(self) -> bool:
        """Whether several drivers may work on a study here at once."""
        return self.path is None

    def engine_options(self) -> EngineOptions:
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
            moved = moved_file(self._file)
            raise GoneError(
                f"{self.path}: the study's file was {f'moved to {moved}' if moved else 'deleted or replaced'} while it was "
                "in use; put it back and type the command again, or start anew with another --study"
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
                    hit("commit.before")
            else:
                with session.begin():
                    yield session
                    hit("commit.before")
        hit("commit.after")

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction of a driver. Raises TakenOverError where another one began since on a file: a lock file can be
        deleted, and what that one takes over is no longer this one's to write.
        """
        with self.transaction() as connection:
            if self._driver is not None:
                own = (drivers_table.c.id == self._driver) & drivers_table.c.ended.is_(None)
                # An update, for it keeps others from writing until the end of the transaction.
                self.expect_one(connection, drivers_table.update().where(own).values(ended=None))
            yield connection

    def expect_one(self, connection: sa.Connection, statement: sa.Update) -> None:
        """Execute it. Raises TakenOverError where it found no row as this driver knows it."""
        if connection.execute(statement).rowcount != 1:
            raise TakenOverError(
                f"{self.shown_url}: found another search that has taken this study over, expected one at a time; this "
                "one ends, the other one does its trainings again"
            )

    @contextmanager
    def snapshot(self) -> Iterator[Callable[[sa.Select[Any]], list[Row]]]:
        """Reads rows, all as of one moment, whatever is written meanwhile."""
        level = "SERIALIZABLE" if self.path is not None else "REPEATABLE READ"
        with translated(self.url), self.engine.connect().execution_options(isolation_level=level) as connection:
            if self.path is not None:
                # Which sqlite3 itself does only before it writes.
                connection.exec_driver_sql("BEGIN")
            yield lambda statement: _rows(connection, statement)

    @staticmethod
    def json(value: Any) -> str:
        """JSON text as the tables hold it."""
        return canonical_json(value)

    def close(self) -> None:
        """Release the connections; what was written is in the database's own file then."""
        if self.path is not None and not self._read_only and self._identity() == self._file:
            into_file(self.path)
        elif self._file is not None and isinstance(self.engine.pool, sa.QueuePool) and self.engine.pool.checkedin():
            # Into the file that was moved: this connection still has it, and what it left in the -wal belongs to no other.
            with suppress(sa.exc.DatabaseError), self.engine.connect() as connection:
                connection.exec_driver_sql(INTO_FILE)
        self.engine.dispose()

    def rows(self, statement: sa.Select[Any]) -> list[Row]:
        """All rows of a query as dicts."""
        with self.transaction() as connection:
            return _rows(connection, statement)


def _rows(connection: sa.Connection, statement: sa.Select[Any]) -> list[Row]:
    """JSON is read as text and parsed a whole column at once, which takes half the time of one value after the other."""
    selected = list(statement.selected_columns)
    texts = [sa.cast(c, sa.Text).label(c.name) if isinstance(c.type, sa.JSON) else c for c in selected]
    found = connection.execute(statement.with_only_columns(*texts, maintain_column_froms=True))
    names, rows = list(found.keys()), found.all()
    columns = [
        _parsed(column) if isinstance(one.type, sa.JSON) else column
        for one, column in zip(selected, zip(*rows, strict=True), strict=bool(rows))
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _parsed(texts: Sequence[str | None]) -> list[Any]:
    """The value of each text, of no text None. Raises JSONDecodeError where one is no JSON."""
    whole = f"[{','.join('null' if text is None else text for text in texts)}]"
    try:
        values: list[Any] = json.loads(whole)
    except RecursionError:
        raise json.JSONDecodeError("nested too deep", "", 0) from None
    # Of two that belong together one alone is no JSON.
    if len(values) != len(texts):
        raise json.JSONDecodeError(f"{len(values)} values instead of {len(texts)}", "", 0)
    return values


def hung_seconds() -> float:
    """Seconds after which a driver that shows no sign of life counts as hung. Raises InputError for a wrong setting."""
    text = os.environ.get(HEARTBEAT, "300")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise InputError(
            repr(text[:20]), expected="seconds from 1 to 86400", where=HEARTBEAT, hint="leave it out for 300"
        )
    return seconds


def canonical_json(value: Any) -> str:
    """The same text for equal values with the same order of keys, without white space."""
    return json.dumps(value, separators=(",", ":"))
