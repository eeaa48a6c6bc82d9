"""A search from a study's description to its end: database, lock, driver, projection, runner."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.candidates import admitted_sample, reference_of
from cspnas.database import Database, NoTablesError, evaluations_table, sqlite_path
from cspnas.errors import InputError, StorageError
from cspnas.library import Place
from cspnas.lock import StudyLock
from cspnas.recipe import recipe_digest
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

    assert place.name is not None and place.file is not None
    # Bad input ends in these lines, with nothing written, not even a lock.
    _check_file(place.file)
    known = _existing_row(place)
    if known is not None:
        check_unchanged(study, known)
    with workplace(where, study, place.file.parent / place.name) as workers:
        measured_on = latency_device(study, workers)
        facts = new_facts(study, workers.precision, measured_on) if known is None else known["facts"]
        check_device(measured_on, facts)
        return _with_lock(study, place, facts, workers, _reuser(reuse_from, measured_on), on_open)


def _with_lock(
    study: Study,
    place: Place,
    facts: dict[str, Any],
    workers: Workplace,
    reuse: Callable[[dict[str, Any]], dict[str, Any] | None],
    on_open: Callable[[Session], Event],
) -> str:
    assert place.name is not None and place.file is not None
    _make_folder(place)
    lock = StudyLock(place.file)
    lock.acquire()
    database = Database(place.url, create=True)
    try:
        row = database.study(place.name)
        if row is None:
            row = database.create_study(place.name, study.identity(), facts)
        else:  # another search may have made it since
            check_unchanged(study, row)
        study = replace(study, recipe=replace(study.recipe, precision=row["facts"]["precision"]))
        return _drive(study, database, row, workers, reuse, on_open)
    finally:
        database.close()
        lock.release()


def _drive(
    study: Study,
    database: Database,
    row: dict[str, Any],
    workers: Workplace,
    reuse: Callable[[dict[str, Any]], dict[str, Any] | None],
    on_open: Callable[[Session], Event],
) -> str:
    from cspnas.driver import Driver
    from cspnas.projection import Projection
    from cspnas.samplers.optuna_samplers import OptunaSampler

    sampler = OptunaSampler(study.sampler, study.space, study.objectives, study.seed)
    about = {"pid": os.getpid(), "host": socket.gethostname(), "python": platform.python_version(), **sampler.about()}
    driver_id = database.start_driver(row["id"], about)
    driver = Driver(study, database, row, sampler, driver_id, reuse=reuse)
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


def _make_folder(place: Place) -> None:
    path = sqlite_path(place.url)
    assert path is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path.parent}: {error.strerror}; choose another --storage") from None
    if path.is_dir():
        raise InputError("a folder", expected="a database file", where=str(path))


def _check_file(path: Path) -> None:
    """Raises StorageError for a file that is no SQLite database, before a lock file is made beside it."""
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise StorageError(f"{path}: found no SQLite database; choose another --storage, or restore a backup")


def _existing_row(place: Place) -> dict[str, Any] | None:
    """The study's row where it is there already."""
    if place.file is None or place.name is None or not place.file.is_file() or not place.file.stat().st_size:
        return None
    try:
        database = Database(place.url, read_only=True)
    except NoTablesError:
        return None
    try:
        return database.study(place.name)
    finally:
        database.close()


def _reuser(place: Place | None, measured_on: str | None) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """Looks an evaluation key up in another database; a latency counts only where it is of this study's device."""
    if place is None:
        return lambda key: None
    import sqlalchemy as sa

    other = Database(place.url, read_only=True)

    def find(key: dict[str, Any]) -> dict[str, Any] | None:
        table = evaluations_table
        conditions = [table.c[name] == value for name, value in key.items()]
        rows = other.rows(sa.select(table.c.result).where(*conditions, table.c.accuracy.is_not(None)))
        results: list[dict[str, Any]] = [row["result"] for row in rows]
        if measured_on is not None:
            results = [found for found in results if found.get("latency") and found["device"] == measured_on]
        return results[0] if results else None

    return find
