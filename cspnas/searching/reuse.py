"""Results of another study, taken over where the key of an evaluation agrees (`--reuse-from`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import sqlalchemy as sa

from cspnas.errors import InputError
from cspnas.io.standard_streams import tell
from cspnas.objectives.objectives import measured_names
from cspnas.storage.database import Database
from cspnas.storage.engine import undamaged
from cspnas.storage.locations import StudyLocation
from cspnas.storage.tables import evaluations_table
from cspnas.storage.transactions import Row
from cspnas.study.row_validation import check_training, damaged
from cspnas.study.settings import Study
from cspnas.study.study_record import StudyFacts, StudyRecord, same_setting
from cspnas.training.payload import EvaluationKey, ResultPayload
from cspnas.training.recipe import recipe_digest

# Evaluation key -> result.
Reuse = Callable[[EvaluationKey], ResultPayload | None]


@dataclass(frozen=True, slots=True)
class Other:
    """The study whose results are reused."""

    database: Database
    study: StudyRecord


def other_study(place: StudyLocation | None) -> Other | None:
    """What --reuse-from names. Raises InputError where it is not there."""
    if place is None:
        return None
    database = Database(place.url, read_only=True)
    try:
        return Other(database, database.chosen(place.name))
    except InputError as error:
        raise InputError(
            error.found, expected=error.expected, where=f"--reuse-from {error.where}", hint=error.hint
        ) from None


def reuser(
    study: Study, facts: StudyFacts, measured_on: str | None, other: Other | None, place: StudyLocation | None
) -> Reuse:
    """What finds results of the other study; says where none of them can be one of this study."""
    if other is None or place is None:
        return lambda key: None
    with undamaged(place.url):
        differs, found = _differences(study, facts, other.study), finder(other, study.objectives, measured_on)
    if differs:
        tell(f"note: nothing of {place.target} can be reused: {'; '.join(differs)}")
    return found


def finder(other: Other, objectives: Collection[str], measured_on: str | None) -> Reuse:
    """Looks an evaluation key up in the other study. What it has to have measured are the study's `objectives`, those of a
    device on the study's, `measured_on`.
    """
    current, needed = _without_path(other.study), [name for name in objectives if name in measured_names()]

    def find(key: EvaluationKey) -> ResultPayload | None:
        if key["recipe_digest"] == current:
            key = {**key, "recipe_digest": other.study.facts.recipe_digest}
        for found in _results(other, key):
            if all(found.get(name) is not None for name in needed) and measured_on in (None, found.get("device")):
                return found
        return None

    return find


def _without_path(study: StudyRecord) -> str | None:
    """A study's recipe digest as it is made now, where its own still counts the path of its folder of images."""
    precision = study.facts.values.get("precision")
    if precision is None:
        return None
    recipe = study.settings.part("proxy") | {"precision": precision}
    checksum = study.facts.data.get("checksum", "")
    old = recipe_digest(recipe, checksum, with_path=True) == study.facts.recipe_digest
    return recipe_digest(recipe, checksum) if old else None


def _results(other: Other, key: EvaluationKey) -> list[ResultPayload]:
    table = evaluations_table
    conditions = [table.c.study_id == other.study.id, *(table.c[name] == value for name, value in key.items())]
    rows = other.database.rows(sa.select(table).where(*conditions, table.c.accuracy.is_not(None)))
    for row in rows:
        check_reusable(row, other.database.shown_url)
    return [row["result"] for row in rows]


def check_reusable(row: Row, shown: str) -> None:
    """Raises StorageError where an evaluation in the database `shown` has a result that no search can have recorded."""
    result = row["result"] if isinstance(row["result"], dict) else {}
    try:
        check_training({**result, **{name: value for name, value in row.items() if name != "result"}})
        check_training({**row, "accuracy": result.get("accuracy")})
    except InputError as error:
        raise damaged(row["digest"], error, shown) from None


def _differences(study: Study, facts: StudyFacts, other: StudyRecord) -> list[str]:
    """What keeps every result of another study from being one of this: seed, recipe, data, precision, code."""
    ours, theirs = study.identity(), other.settings.values
    keys = [key for key in ours if key == "search.seed" or (key.startswith("proxy.") and key != "proxy.precision")]
    differing = [key for key in keys if not same_setting(key, theirs.get(key), ours[key])]
    found = [f"{key} is {theirs.get(key)} there, {ours[key]} here" for key in differing]
    if other.facts.precision != facts.precision:
        found.append(f"precision is {other.facts.precision} there, {facts.precision} here")
    if other.facts.checksum != facts.checksum:
        found.append("the data differ")
    if not found and facts.recipe_digest not in (other.facts.recipe_digest, _without_path(other)):
        found.append("another version of the training code made it")
    return found
