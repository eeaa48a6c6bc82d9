"""SQLite as the study database uses it: exactly the file that was named, its settings, and its errors in words."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

SQLITE = "sqlite:///"
INTO_FILE = "PRAGMA wal_checkpoint(TRUNCATE)"


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """SQLite on exactly this file; mode rwc makes it where it is missing, rw does not, `read_mode` gives those to read."""
    if mode == "rwc":
        # SQLite gives the files beside it the same rights; its own are 0644 less the umask.
        with suppress(OSError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
    # After two slashes a URI has the name of a host.
    name = quote(re.sub(rb"^/+", b"/", os.fsencode(path)))
    return sqlite3.connect(f"file:{name}?mode={mode}", uri=True, timeout=30, check_same_thread=False)


def read_mode(path: Path) -> str:
    """The mode in which to read: rw, for a connection of mode ro leaves -wal and -shm behind, where that may be."""
    if os.access(path, os.W_OK) and os.access(path.absolute().parent, os.W_OK):
        return "rw"
    wal = Path(f"{path}-wal")
    # Without rows in a -wal the file is whole, and whoever cannot write beside it cannot make one.
    return "ro" if wal.exists() and wal.stat().st_size else "ro&immutable=1"


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, None for other databases. All that follows `sqlite:///` is the path, as it stands."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def sqlite_files(path: Path) -> list[Path]:
    """A database and the files that SQLite keeps beside it."""
    return [Path(f"{path}{end}") for end in ("", "-wal", "-shm", "-journal")]


def write_settings(connection: Any, record: Any) -> None:
    """WAL so that readers (the dashboard) never block the writer; a patient busy timeout."""
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def read_settings(connection: Any, record: Any) -> None:
    """Nothing is written, not even by mistake."""
    for pragma in ("busy_timeout=30000", "query_only=ON"):
        connection.execute(f"PRAGMA {pragma}")


def into_file(path: Path) -> None:
    """Move what the -wal holds into the database's own file, so that a copy of that alone is the whole study.

    What a reader or a full disk keeps from it stays in the -wal, where SQLite finds it.
    """
    with suppress(sqlite3.Error), closing(connect(path, "rw")) as connection:
        connection.execute("PRAGMA busy_timeout=1000")
        connection.execute(INTO_FILE).fetchall()


def moved_file(identity: tuple[int, int]) -> str | None:
    """Where a file of this device and inode that this process has open is now; None where it was deleted."""
    for link in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            found, target = link.stat(), str(link.readlink())
            if (found.st_dev, found.st_ino) == identity and Path(target).exists():
                return target
    return None


def reason_of(error: Exception) -> str:
    """What the database's own library says, on one line."""
    return " ".join(str(getattr(error, "orig", error)).split())


def advice_on(reason: str) -> str:
    """What to do about it."""
    for sign, advice in (
        ("full", "free some disk space and type the command again"),
        ("readonly", "make the file and its folder writable"),
        (
            "unable to open",
            "check that its folder exists and can be written, or copy the file with its -wal to one that can",
        ),
        ("malformed", "the file is damaged: restore it from a backup"),
        ("not a database", "the file is damaged or no database: restore it from a backup"),
        ("locked", "another program holds it: close that and try again"),
        ("password", "check user and password, or set PGPASSWORD or ~/.pgpass"),
        ("Connection refused", "check that the server runs and that host and port are right"),
        ("No such file or directory", "check that the server runs and that host and port are right"),
        ("does not exist", "create it, or correct the URL"),
    ):
        if sign in reason:
            return advice
    return "check the file or the server"
