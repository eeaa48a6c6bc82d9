"""`cspnas studies`: what lies under studies/."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from cspnas.errors import CspnasError, StorageError
from cspnas.io.quantities import counted
from cspnas.io.steps import Step, silent
from cspnas.storage.database import Database
from cspnas.storage.engine import undamaged
from cspnas.storage.locations import STUDIES_FOLDER, StudyLocation, copy_place, existing_place, server_place
from cspnas.storage.migrations import NoTablesError
from cspnas.storage.open_study import load_study
from cspnas.study.study_record import StudyRecord


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """A study of a database; `front`: networks on it, `created`: local time. `best_accuracy` is a fraction."""

    file: str
    study: str
    space: str
    created: str
    trainings: int
    front: int
    best_accuracy: float | None

    def __str__(self) -> str:
        best = f"{100 * self.best_accuracy:.2f}%" if self.best_accuracy is not None else "-"
        return (
            f"{self.study}  {counted(self.trainings, 'training')}, front {self.front}, best {best}, space {self.space}, "
            f"made {self.created}, {self.file}"
        )


@dataclass(frozen=True, slots=True)
class UnreadableStudy:
    """A file, or a study in it, that cannot be read, and why."""

    file: str
    error: str

    def __str__(self) -> str:
        return f"{self.file}: {self.error}"


def listing(storage: str | None, *, as_json: bool, step: Step = silent) -> str:
    """One line a study, of the folder or of one database; a damaged file is listed with its error and hides no other."""
    if storage is not None:
        place = server_place(storage)
        rows = _studies_in(place.url, place.shown, step)
        if len(rows) == 1 and isinstance(rows[0], UnreadableStudy):
            raise StorageError(rows[0].error)
    else:
        rows = [
            row
            for path in sorted(STUDIES_FOLDER.glob("*.db"))
            for row in _studies_in(f"sqlite:///{path}", str(path), step)
        ]
    if as_json:
        return json.dumps([asdict(row) for row in rows], indent=2)
    if not rows:
        where = f"under {STUDIES_FOLDER}/" if storage is None else f"in {place.shown}"
        return f"no study {where} yet; next: cspnas search densenet"
    return "\n".join(map(str, rows))


def copy_to(source: str, target: str, step: Step = silent) -> str:
    """Copy a study to another database; a line that says what was copied."""
    from cspnas.storage.copy_study import copy_study

    place = existing_place(source, "SRC")
    to = copy_place(target)
    name, count = copy_study(place, to, step)
    trainings = counted(count, "training")
    return f"{StudyLocation(to.url, name).target}: {trainings} of {place.target}, and all that belongs to them"


def _studies_in(url: str, path: str, step: Step) -> list[ListedStudy | UnreadableStudy]:
    if url.startswith("sqlite:") and Path(path).exists() and not Path(path).is_file():
        return [UnreadableStudy(path, "found a folder, a device or a pipe, expected a database file")]
    try:
        database = Database(url, read_only=True)
        return [_listed_or_error(database, study, path, step) for study in database.studies()]
    except NoTablesError as error:
        return [UnreadableStudy(path, str(error))] if url.startswith("sqlite:") else []
    except CspnasError as error:
        return [UnreadableStudy(path, str(error))]


def _listed_or_error(database: Database, study: StudyRecord, path: str, step: Step) -> ListedStudy | UnreadableStudy:
    try:
        with undamaged(path):
            return _listed(database, study, path, step)
    except CspnasError as error:
        return UnreadableStudy(path, f"study {study.name}: {error}")


def _listed(database: Database, study: StudyRecord, path: str, step: Step) -> ListedStudy:
    results = load_study(database, study.name, step).results
    front = results.front()
    return ListedStudy(
        file=path,
        study=study.name,
        space=study.facts.values["space"],
        created=datetime.fromtimestamp(study.created).isoformat(" ", "minutes"),
        trainings=results.finished,
        front=len(front),
        best_accuracy=front[0].accuracy if front else None,
    )
