"""A driver is alive while it holds a lock, not a clock: flock on a file beside the SQLite database, on PostgreSQL an
advisory lock of a session of its own. Both go with the process.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from cspnas.errors import CspnasError, StorageError
from cspnas.storage import postgresql
from cspnas.storage.database import Database
from cspnas.storage.engine import translated


class StudyBusyError(CspnasError):
    """Another search drives this study."""

    exit_code = 2


class StudyLock:
    """Held from `acquire` to `release` or the process's end; the file says who holds it.

    It lies beside the database's real file, so that two paths to one database are one lock.
    """

    def __init__(self, database: Path) -> None:
        self.database = database
        real = database.resolve()
        self.path = real.with_name(real.name + ".lock")
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Raises StudyBusyError with the holder's pid and host."""
        file = self._open()
        self._hold(file)
        while not self._is_there(file):  # deleted by another that could not sign it
            file.close()
            file = self._open()
            self._hold(file)
        self._sign(file)
        self._file = file

    def _hold(self, file: IO[str]) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = _holder(file.read())
            file.close()
            raise StudyBusyError(
                f"{self.database}: found a search already running on this database ({holder}), expected one at a time; "
                "wait for it, stop it, or use another database (another --study without --storage, or another --storage)"
            ) from None

    def _is_there(self, file: IO[str]) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except OSError:
            return False

    def _open(self) -> IO[str]:
        try:
            return self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise StorageError(
                f"{self.path}: {error.strerror}; a search needs a lock file there: make the folder writable, or "
                "choose another --storage"
            ) from None

    def _sign(self, file: IO[str]) -> None:
        """Say who holds it; on a full disk an empty lock would be left."""
        try:
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
            file.flush()
        except OSError as error:
            self.path.unlink(missing_ok=True)
            with suppress(OSError):  # it flushes once more
                file.close()
            raise StorageError(
                f"{self.path}: {error.strerror}; free some disk space and type the command again"
            ) from None

    def release(self) -> None:
        """Let the next driver in."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _holder(text: str) -> str:
    try:
        holder = json.loads(text)
        return f"pid {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "pid unknown"


class Heartbeat:
    """That a driver on a shared database lives: a session that has its lock and now and then notes the server's time.

    Whoever finds the lock free, or the time long past, takes over what the driver left. On SQLite nothing is needed.
    """

    def __init__(self, database: Database, driver_id: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._driver_id, self._clock = database, driver_id, clock
        self._session: sa.Connection | None = None
        self._held = False
        self._next = clock()

    def show(self) -> None:
        """To be called all the time; does something each `beat_seconds`. Raises UnreachableError."""
        if not self._database.shared or self._clock() < self._next:
            return
        self._next = self._clock() + self._database.beat_seconds
        try:
            with translated(self._database.url):
                self._beat()
        except StorageError:
            self.end()
            raise

    def _beat(self) -> None:
        if self._session is None:
            self._session = self._database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if not self._held:
            self._held = postgresql.hold(self._session, postgresql.DRIVER, self._driver_id)
        self._session.execute(self._database.beat(self._driver_id))

    def end(self) -> None:
        """Give the lock back; the session may be gone already."""
        session, self._session, self._held = self._session, None, False
        if session is not None:
            session.invalidate()  # not back to the pool, which would keep the lock
            session.close()
