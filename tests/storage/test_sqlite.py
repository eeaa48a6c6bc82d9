"""A study's file: whole after every clean end, and read where nothing may be written."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from small_studies import driven, small_study

from cspnas.errors import StorageError
from cspnas.storage.database import Database
from cspnas.storage.open_study import load_study
from cspnas.storage.optuna_projection import Projection

FORK = multiprocessing.get_context("fork")
NOBODY = 65534


@pytest.fixture
def shelf() -> Iterator[Path]:
    """A folder that every user of this machine can reach, as pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        Path(folder).chmod(0o755)


def searched(folder: Path) -> tuple[Path, int]:
    """The file of a study after a search that has ended well, and how many trainings it has."""
    study = small_study(folder)
    database, driver = driven(f"sqlite:///{folder / 'small.db'}", study, 5)
    Projection(database, "small", study.space, driver.results).update()
    database.close()
    return folder / "small.db", driver.results.finished


def as_nobody(path: Path) -> str:
    """What a user without rights is told of a study: how many trainings and trials it has, or the error."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_read, args=(path, sender))
    process.start()
    told: str = receiver.recv()
    process.join()
    return told


def _read(path: Path, sender: Connection) -> None:
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        results = load_study(Database(f"sqlite:///{path}", read_only=True), None).results
        sender.send(f"{results.finished} {len(results.trials)}")
    except StorageError as error:
        sender.send(f"StorageError: {error}")


def test_the_file_alone_is_the_whole_study_once_a_search_has_ended(tmp_path: Path) -> None:
    path, finished = searched(tmp_path)
    alone = Path(shutil.copy(path, tmp_path / "alone.db"))
    opened = load_study(Database(f"sqlite:///{alone}", read_only=True), None)
    assert opened.results.finished == finished and opened.results.trials


def test_a_dashboard_that_looks_on_does_not_keep_the_file_from_being_whole(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    path = tmp_path / "small.db"
    database, driver = driven(f"sqlite:///{path}", study, 5)
    watcher = sqlite3.connect(path)
    watcher.execute("SELECT count(*) FROM cspnas_evaluations").fetchall()
    database.close()
    alone = Path(shutil.copy(path, tmp_path / "alone.db"))
    watcher.close()
    assert load_study(Database(f"sqlite:///{alone}", read_only=True), None).results.finished == driver.results.finished


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o555), (0o644, 0o555), (0o444, 0o777)])
def test_reading_needs_no_writing_and_leaves_nothing_behind(shelf: Path, file: int, folder: int) -> None:
    path, finished = searched(shelf)
    path.chmod(file)
    shelf.chmod(folder)
    before = sorted(shelf.iterdir())
    told = as_nobody(path)
    assert told == f"{finished} {finished}"
    assert sorted(shelf.iterdir()) == before


def test_what_a_killed_search_left_in_the_wal_is_read_too_or_missed_in_one_line(shelf: Path) -> None:
    """Oracle: the rows that it wrote. Without the -shm SQLite cannot read the -wal where it may not write."""
    study = small_study(shelf)
    database, driver = driven(f"sqlite:///{shelf / 'small.db'}", study, 5)
    path = shelf / "killed.db"
    for end in ("", "-wal", "-shm"):
        shutil.copy(shelf / f"small.db{end}", shelf / f"killed.db{end}")
        Path(f"{path}{end}").chmod(0o444)
    database.close()
    shelf.chmod(0o555)
    assert as_nobody(path) == f"{driver.results.finished} 0"
    shelf.chmod(0o755)
    Path(f"{path}-shm").unlink()
    shelf.chmod(0o555)
    told = as_nobody(path)
    assert told.startswith("StorageError: ") and "copy the file with its -wal to one that can" in told


@pytest.mark.parametrize(("umask", "rights"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_a_study_and_the_files_beside_it_have_the_rights_that_the_umask_leaves(
    tmp_path: Path, umask: int, rights: int
) -> None:
    before = os.umask(umask)
    try:
        database, _ = driven(f"sqlite:///{tmp_path / 'small.db'}", small_study(tmp_path), 1)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("small.db*")}
    database.close()
    assert modes == dict.fromkeys(("small.db", "small.db-wal", "small.db-shm"), rights)


def test_a_path_that_begins_with_two_slashes_is_a_path(tmp_path: Path) -> None:
    """In a URI what follows them is the name of a host."""
    database, _ = driven(f"sqlite:////{tmp_path / 'small.db'}", small_study(tmp_path), 1)
    database.close()
    assert database.path == Path(f"/{tmp_path}/small.db") and (tmp_path / "small.db").stat().st_size
