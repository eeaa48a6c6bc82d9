"""A storage URL: the engine on it, and every database error as one line without credentials."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, IntegrityError, ProgrammingError

from cspnas.errors import InputError, StorageError
from cspnas.io.redaction import redact
from cspnas.storage import postgresql
from cspnas.storage.postgresql import EngineOptions
from cspnas.storage.sqlite import SQLITE, advice_on, connect, reason_of, sqlite_path

# What SQLite says of a state that may pass by itself.
PASSING = ("full", "locked", "disk i/o")


class UnreachableError(StorageError):
    """The database cannot be used now, and may be later: a server that is away, a full disk."""


def shown_url_of(url: str) -> str:
    """A URL as people may see it."""
    return redact(url)


def url_object(url: str) -> sa.URL:
    """`url` for SQLAlchemy, which would read ?, # and %20 in a SQLite path as something else."""
    path = sqlite_path(url)
    return sa.make_url(url) if path is None else sa.URL.create("sqlite", database=str(path))


def engine_options(url: str, mode: Callable[[], str] = lambda: "rw") -> EngineOptions:
    """What every engine on the database needs: SQLite opens exactly the file that was named, in `mode` of that moment."""
    path = sqlite_path(url)
    if path is None:
        return postgresql.connect_options(url_object(url))
    return {"creator": lambda: connect(path, mode())}


def dialect_url(url: str) -> str:
    """A URL for engines that take text alone, with `engine_options`; of SQLite it says no more than the dialect."""
    return url if sqlite_path(url) is None else f"{SQLITE}study.db"


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Every database error becomes a StorageError of one line."""
    try:
        yield
    except IntegrityError as error:
        raise StorageError(
            f"{shown_url_of(url)}: another program writes to this study ({redact(reason_of(error))}); stop one of the two "
            "and type the command again"
        ) from error
    except (DBAPIError, json.JSONDecodeError, UnicodeDecodeError) as error:
        reason = redact(reason_of(error))
        kind = UnreachableError if _passing(error, sqlite_path(url) is not None) else StorageError
        raise kind(f"{shown_url_of(url)}: the study database cannot be used ({reason}); {advice_on(reason)}") from None


def _passing(error: Exception, sqlite: bool) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    if sqlite:
        return isinstance(error, DatabaseError) and any(sign in str(error.orig).lower() for sign in PASSING)
    return not isinstance(error, DataError | ProgrammingError)


@contextmanager
def undamaged(shown_url_of: str) -> Iterator[None]:
    """Around reading a study in `shown_url_of`: a key that is missing, or a value of another type, becomes a StorageError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise StorageError(
            f"{redact(shown_url_of)}: the study is damaged ({type(error).__name__}: {reason_of(error)}); "
            "restore the file from a backup"
        ) from error


def check_name_free(url: str, name: str) -> None:
    """Raises InputError where Optuna's tables have a study `name` that is none of ours; they may be missing."""
    path = sqlite_path(url)
    if path is not None and not path.is_file():
        return
    engine = postgresql.new_engine(url_object(url), **engine_options(url))
    try:
        with translated(url), engine.connect() as connection:
            found = sa.inspect(connection).has_table("studies") and connection.scalar(
                sa.text("SELECT 1 FROM studies WHERE study_name = :name"), {"name": name}
            )
    finally:
        engine.dispose()
    if found:
        raise InputError(
            f"a study {name!r} of Optuna's that cspnas did not make",
            expected="a name that is free",
            where=shown_url_of(url),
            hint="choose another --study or another --storage",
        )
