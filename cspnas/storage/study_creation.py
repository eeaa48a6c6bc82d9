"""A study's row in its database, made where it is missing, and the checks that it can be searched there."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspnas.data.registry import known_data
from cspnas.data.summary import DataSummary
from cspnas.errors import InputError, StorageError, one_line
from cspnas.io.standard_streams import tell
from cspnas.storage.database import Database
from cspnas.storage.engine import check_name_free, shown_url_of, undamaged
from cspnas.storage.locations import StudyLocation
from cspnas.storage.locks import StudyLock
from cspnas.storage.migrations import NoTablesError
from cspnas.storage.sqlite import sqlite_files
from cspnas.study.settings import Study
from cspnas.study.study_record import FrozenSettings, StudyFacts, StudyRecord

Opening = tuple[Database, StudyRecord]
# What is said of a key that a study does not state.
_DEFAULT = "its default"


def known_row(study: Study, place: StudyLocation) -> StudyRecord | None:
    """The study's row where it is there already, unchanged. Raises InputError where it cannot be searched there."""
    assert place.name is not None
    if place.sqlite:
        check_file(place.file)
    row = _existing_row(place)
    if row is None:
        check_name_free(place.url, place.name)
    else:
        with undamaged(shown_url_of(place.url)):
            check_unchanged(study, row)
    return row


@contextmanager
def opened(study: Study, place: StudyLocation, facts: StudyFacts) -> Iterator[Opening]:
    """The database and the study's row in it, made with `facts` where it is missing; a SQLite file is locked."""
    if not place.sqlite:
        with _writing(study, place, facts) as opening:
            yield opening
        return
    _make_folder(place.file)
    lock = StudyLock(place.file)
    lock.acquire()
    try:
        with _writing(study, place, facts) as opening:
            yield opening
    finally:
        lock.release()


@contextmanager
def _writing(study: Study, place: StudyLocation, facts: StudyFacts) -> Iterator[Opening]:
    """What could not be made is not left behind."""
    fresh = place.sqlite and not place.file.exists()
    database = None
    try:
        database = Database(place.url, create=True)
        row = _row(study, database, str(place.name), facts)
    except StorageError:
        if database is not None:
            database.close()
        for path in [*sqlite_files(place.file), StudyLock(place.file).path] if fresh else []:
            path.unlink(missing_ok=True)
        raise
    try:
        yield database, row
    finally:
        database.close()


def _row(study: Study, database: Database, name: str, facts: StudyFacts) -> StudyRecord:
    """The study's row, made where it is missing. Another search may have made it since it was looked for."""
    with database.opening() if database.shared else _nothing():
        row = database.study(name)
        if row is None:
            return database.create_study(name, study.identity(), facts.values)
    check_unchanged(study, row)
    if row.facts != facts:
        check_data(study, name, row.facts)
    return row


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def check_unchanged(study: Study, row: StudyRecord) -> None:
    """Raises InputError where the study was made with another space, recipe or seed, with what changed."""
    before, now = row.settings, FrozenSettings(study.identity())
    changed = before.changed(now)
    if changed:
        key = changed[0]
        more = f" (and {len(changed) - 1} more: {', '.join(changed[1:4])})" if len(changed) > 1 else ""
        raise InputError(
            f"{key} = {now.values.get(key, _DEFAULT)}{more}",
            expected=f"{before.values.get(key, _DEFAULT)}, as when study {row.name!r} was made",
            where=f"study {row.name}",
            hint="undo the change, or start another study with --study NEW_NAME",
        )


def check_data(study: Study, name: str, facts: StudyFacts) -> DataSummary:
    """What the data are; a line says where the same images and labels have classes of other names. Raises InputError where
    the study was made on other ones: results would not compare.
    """
    with undamaged(f"study {name}"):
        before, class_names = facts.checksum, tuple(facts.data.get("class_names") or ())
    now, summary = known_data(study.recipe.dataset, study.recipe.images)
    if now != before:
        from cspnas.data import datasets

        raise datasets.changed(study.recipe.dataset, now, before, where=f"study {name}")
    renamed = [pair for pair in zip(class_names, summary.class_names, strict=False) if pair[0] != pair[1]]
    if renamed:
        pairs = ", ".join(f"{old} is {new} now" for old, new in renamed[:3])
        tell(
            f"note: study {name}: classes have other names ({one_line(pairs)}); what is exported keeps the earlier ones"
        )
    return summary


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: {error.strerror}; choose another --storage") from None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def check_file(path: Path, hint: str = "choose another --storage") -> None:
    """Raises an error for a path that is no SQLite database, before a lock file is made beside it."""
    try:
        found = path.stat()
        head = _head(path) if stat.S_ISREG(found.st_mode) else b""
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; {hint}") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise InputError(kind, expected="a database file", where=str(path), hint=hint)
    # Each name would have a lock and a journal of its own.
    if found.st_nlink > 1:
        raise InputError(
            f"a file with {found.st_nlink} names (hard links)",
            expected="one",
            where=str(path),
            hint="copy it, or use a symbolic link",
        )
    if head not in (b"", b"SQLite format 3\0"):
        raise StorageError(f"{path}: found no SQLite database; {hint}, or restore a backup")


def _existing_row(place: StudyLocation) -> StudyRecord | None:
    """The study's row where it is there already."""
    if place.name is None or (place.sqlite and not (place.file.is_file() and place.file.stat().st_size)):
        return None
    try:
        database = Database(place.url, read_only=True)
    except NoTablesError:
        return None
    try:
        return database.study(place.name)
    finally:
        database.close()
