"""A driver is alive while it holds a lock, not a clock: flock on a file beside the SQLite database."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import IO

from cspnas.errors import CspnasError, StorageError


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
