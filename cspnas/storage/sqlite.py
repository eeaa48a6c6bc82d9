"""SQLite as the study database uses it: exactly the file that was named, its settings, and its errors in words."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

SQLITE = "sqlite:///"


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """SQLite on exactly this file; mode rwc makes it where it is missing, rw does not."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=30, check_same_thread=False)


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


def reason_of(error: Exception) -> str:
    """What the database's own library says, on one line."""
    return " ".join(str(getattr(error, "orig", error)).split())


def advice_on(reason: str) -> str:
    """What to do about it."""
    for sign, advice in (
        ("full", "free some disk space and type the command again"),
        ("readonly", "make the file and its folder writable"),
        ("unable to open", "check that the folder exists and can be written"),
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
