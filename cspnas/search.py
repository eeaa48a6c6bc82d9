"""A search from a study's description to its end: database, lock, driver, projection, runner."""

from __future__ import annotations

import os
import platform
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.candidates import admitted_sample, reference_of
from cspnas.database import Database, NoTablesError, check_name_free, undamaged
from cspnas.errors import InputError, StorageError
from cspnas.library import Place
from cspnas.lock import StudyLock
from cspnas.recipe import recipe_digest
from cspnas.reuse import Reuse, other_study, reuser
from cspnas.sqlite_file import sqlite_files
from cspnas.study import Study

if TYPE_CHECKING:
    from cspnas.runners.workplace import Where, Workplace

Event = Callable[[str, Any, Any], None]


@dataclass(frozen=True, slots=True)
class Session:
    """An open study with its driver, before anything runs."""

    study: Study
    database: Database
    driver: Any
    devices: list[str]


def run_search(
    study: Study,
    place: Place,
    *,
    where: Where,
    reuse_from: Place | None,
    on_open: Callable[[Session], Event],
) -> str:
    """Search until the budget is spent; why it ended. The same call again continues the study."""
    from cspnas.runners.workplace import workplace

    assert place.name is not None
    # Bad input ends in these lines, with nothing written, not even a lock.
    known = _known(study, place)
    if known is not None:
        check_data(study, place.name, known["facts"])
    other = other_study(reuse_from)
    with workplace(where, study, place.file.parent / place.name) as workers:
        measured_on = latency_device(study, workers)
        facts = new_facts(study, workers.precision, measured_on) if known is None else known["facts"]
        check_device(measured_on, facts)
        reuse = reuser(study, facts, measured_on, other, reuse_from)
        return _with_lock(study, place, facts, workers, reuse, on_open)


def _with_lock(
    study: Study,
    place: Place,
    facts: dict[str, Any],
    workers: Workplace,
    reuse: Reuse,
    on_open: Callable[[Session], Event],
) -> str:
    _make_folder(place.file)
    lock = StudyLock(place.file)
    lock.acquire()
    try:
        with _writing(study, place, facts) as (database, row):
            study = replace(study, recipe=replace(study.recipe, precision=row["facts"]["precision"]))
            return _drive(study, database, row, workers, reuse, on_open)
    finally:
        lock.release()


def _known(study: Study, place: Place) -> dict[str, Any] | None:
    """The study's row where it is there already, unchanged. Raises InputError where it cannot be searched there."""
    assert place.name is not None
    _check_file(place.file)
    row = _existing_row(place)
    if row is None:
        check_name_free(place.url, place.name)
    else:
        with undamaged(place.url):
            check_unchanged(study, row)
    return row


@contextmanager
def _writing(study: Study, place: Place, facts: dict[str, Any]) -> Iterator[tuple[Database, dict[str, Any]]]:
    """The database and the study's row in it, made where it is missing; what could not be made is not left behind."""
    assert place.name is not None
    fresh = not place.file.exists()
    database = None
    try:
        database = Database(place.url, create=True)
        row = database.study(place.name)
        if row is None:
            row = database.create_study(place.name, study.identity(), facts)
        else:  # another search may have made it since
            check_unchanged(study, row)
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


def _drive(
    study: Study,
    database: Database,
    row: dict[str, Any],
    workers: Workplace,
    reuse: Reuse,
    on_open: Callable[[Session], Event],
) -> str:
    from cspnas.driver import Driver
    from cspnas.projection import Projection
    from cspnas.samplers.by_name import sampler_of

    sampler = sampler_of(study)
    about = {"pid": os.getpid(), "host": socket.gethostname(), "python": platform.python_version(), **sampler.about()}
    driver_id = database.start_driver(row["id"], about)

    def take_over(key: dict[str, Any]) -> dict[str, Any] | None:
        found = reuse(key)
        if found is not None:
            show("reused", None, {**key, **found})
        return found

    with undamaged(database.shown_url):
        driver = Driver(study, database, row, sampler, driver_id, reuse=take_over)
    projection = Projection(database, row["name"], study.space, driver.ledger)
    projection.update()
    show = on_open(Session(study, database, driver, workers.devices))

    def on_event(kind: str, work: Any, detail: Any) -> None:
        if kind == "finished":
            projection.update()
        show(kind, work, detail)

    reason = workers.run(driver, on_event)
    projection.update()  # results that were reused after the last training ended
    database.end_driver(driver_id)
    return reason


def new_facts(study: Study, faster_precision: Callable[[], str], measured_on: str | None = None) -> dict[str, Any]:
    """What a new study fixes for good: hypervolume reference, data, resolved precision, recipe digest, latency's device."""
    from cspnas import data as datasets

    reference = reference_of(study, admitted_sample(study))
    data = datasets.load(study.recipe.dataset)
    precision = study.recipe.precision
    if precision == "auto":
        precision = faster_precision()
    recipe = replace(study.recipe, precision=precision)
    return {
        "reference": reference.to_json(),
        "precision": precision,
        "data": {
            "dataset": data.name,
            "checksum": data.checksum,
            "mean": list(data.mean),
            "std": list(data.std),
            "class_names": list(data.class_names),
        },
        "recipe_digest": recipe_digest(recipe, data.checksum),
        "space": study.space_name,
        "training_images": len(data.train.labels),
        "latency_device": measured_on,
    }


def check_unchanged(study: Study, row: dict[str, Any]) -> None:
    """Raises InputError where the study was made with another space, recipe or seed, with what changed."""
    import json

    before = row["identity"]
    now = json.loads(json.dumps(study.identity()))
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
    if changed:
        key = changed[0]
        more = f" (and {len(changed) - 1} more: {', '.join(changed[1:4])})" if len(changed) > 1 else ""
        raise InputError(
            f"{key} = {now.get(key)}{more}",
            expected=f"{before.get(key)}, as when study {row['name']!r} was made",
            where=f"study {row['name']}",
            do="undo the change, or start another study with --study NEW_NAME",
        )


def check_data(study: Study, name: str, facts: dict[str, Any]) -> None:
    """Raises InputError where the data are no longer those that the study was made on: results would not compare."""
    from cspnas import data as datasets

    with undamaged(f"study {name}"):
        before: str = facts["data"]["checksum"]
    now = datasets.load(study.recipe.dataset).checksum
    if now != before:
        raise InputError(
            f"other images or labels in {study.recipe.dataset} (checksum {now[:12]})",
            expected=f"checksum {before[:12]}, as when study {name!r} was made",
            where=f"study {name}",
            do="put the data back, or start another study with --study NEW_NAME",
        )


def latency_device(study: Study, workers: Workplace) -> str | None:
    """The kind of device that latencies are measured on, None where latency is no objective.

    Raises InputError where the workers have devices of several kinds.
    """
    if "latency" not in study.objectives:
        return None
    names = workers.kinds()
    if len(names) > 1:
        raise InputError(
            f"objective latency on {' and '.join(names)}",
            expected="devices of one kind",
            where="--device",
            do="choose some of them",
        )
    return names[0]


def check_device(measured_on: str | None, facts: dict[str, Any]) -> None:
    """Raises InputError where a study's latencies so far are another device's."""
    before = facts.get("latency_device")
    if measured_on != before:
        raise InputError(
            f"objective latency on {measured_on}",
            expected=f"{before}, as when the study was made",
            where="--device",
            do="continue it there, or start another study with --study NEW_NAME",
        )


def _make_folder(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: {error.strerror}; choose another --storage") from None


def _check_file(path: Path) -> None:
    """Raises an error for a path that is no SQLite database, before a lock file is made beside it."""
    try:
        found = path.stat()
        head = path.open("rb").read(16) if stat.S_ISREG(found.st_mode) else b""
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}; choose another --storage") from None
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
        raise InputError(kind, expected="a database file", where=str(path), do="choose another --storage")
    if found.st_nlink > 1:  # each name would have a lock and a journal of its own
        raise InputError(
            f"a file with {found.st_nlink} names (hard links)",
            expected="one",
            where=str(path),
            do="copy it, or use a symbolic link",
        )
    if head not in (b"", b"SQLite format 3\0"):
        raise StorageError(f"{path}: found no SQLite database; choose another --storage, or restore a backup")


def _existing_row(place: Place) -> dict[str, Any] | None:
    """The study's row where it is there already."""
    if place.name is None or not place.file.is_file() or not place.file.stat().st_size:
        return None
    try:
        database = Database(place.url, read_only=True)
    except NoTablesError:
        return None
    try:
        return database.study(place.name)
    finally:
        database.close()
