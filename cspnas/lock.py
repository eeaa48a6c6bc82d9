"""A driver is alive while it holds a lock, not a clock: flock on a file beside the SQLite database."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from typing import IO

from cspnas.errors import CspnasError, StorageError


class StudyBusyError(CspnasError):
    """Another search drives this study."""

    exit_code = 2


class StudyLock:
    """Held from `acquire` to `release` or the process's end; the file says who holds it."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Raises StudyBusyError with the holder's pid and host."""
        try:
            self._file = self.path.open("a+", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}; make the folder writable") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = _holder(self._file.read())
            self._file.close()
            self._file = None
            raise StudyBusyError(
                f"{self.path}: found a search already running on this study ({holder}), expected one at a time; "
                "wait for it, stop it, or use another --study"
            ) from None
        self._file.truncate(0)
        self._file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
        self._file.flush()

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
