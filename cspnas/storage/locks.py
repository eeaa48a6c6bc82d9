"""A driver is alive while it holds a lock, not a clock: flock on a file beside the SQLite database, on PostgreSQL an
advisory lock of a session of its own. Both go with the process.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from cspnas.errors import CspnasError, StorageError
from cspnas.io.file_lock import FileLock, HeldError
from cspnas.storage import postgresql
from cspnas.storage.database import Database
from cspnas.storage.engine import translated


class StudyBusyError(CspnasError):
    """Another search drives this study."""

    exit_code = 2


class StudyLock(FileLock):
    """Of a database's file: it lies beside the real one, so that two paths to one database are one lock."""

    def __init__(self, database: Path) -> None:
        self.database = database
        real = database.resolve()
        super().__init__(real.with_name(real.name + ".lock"))

    def acquire(self) -> None:
        """Raises StudyBusyError with the holder's pid and host; StorageError where there can be no lock file."""
        try:
            super().acquire()
        except HeldError as holder:
            raise StudyBusyError(
                f"{self.database}: found a search already running on this database ({holder}), expected one at a time; "
                "wait for it, stop it, or use another database (another --study without --storage, or another --storage)"
            ) from None
        except OSError as error:
            hint = _HINTS.get(error.errno or 0, "make the folder writable, or choose another --storage")
            reason = "it is a link" if error.errno == errno.ELOOP else error.strerror
            raise StorageError(f"{self.path}: {reason}; a search needs a lock file there: {hint}") from None


_HINTS = {errno.ENOSPC: "free some disk space and type the command again", errno.ELOOP: "delete the link"}


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
            # Not back to the pool, which would keep the lock.
            session.invalidate()
            session.close()
