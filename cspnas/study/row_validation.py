"""What a study's tables can hold of networks and trainings: what was edited or damaged there ends in one line as it is read,
so that no later code meets it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from cspnas.errors import FailureKind, InputError, StorageError
from cspnas.objectives.objectives import GREATEST, exact_names, measured_names, objective_of
from cspnas.study.settings import SAMPLERS
from cspnas.study.states import Outcome, State

# States of an evaluation.
WITH_ACCURACY, WITHOUT = (State.TRAINED, State.REUSED), (State.FAILED, State.IN_FLIGHT)
SOURCE = re.compile(rf"{'|'.join(SAMPLERS)}|uniform|confirm|baseline:(plain|csp)|(given|queued):.+")
# In seconds since 1970; later ones have no date.
YEAR_9999 = 253_370_764_800
# As JSON and the tables give them: true and false are none.
NUMBERS = (int, float)
# costs that every study has; others came later, or are an installed package's
FROM_THE_START = ("flops", "params", "peak_memory", "training_memory", "traffic")


def damaged(digest: str, reason: object, shown: str = "") -> StorageError:
    """The error for a network whose rows no search can have written, in the database `shown`."""
    return damaged_row(f"network {digest[:12]}", reason, shown)


def damaged_row(row: str, reason: object, shown: str) -> StorageError:
    """The error for a `row` that no search can have written, in the database `shown`."""
    place = f"{shown}: " if shown else ""
    return StorageError(f"{place}{row}: the study database is damaged ({reason}); restore it from a backup")


def check_costs(costs: Any, objectives: Collection[str]) -> None:
    """Raises InputError where `costs` are not every exact objective with its value."""
    if not isinstance(costs, dict):
        raise InputError(f"costs {_short(costs)}", expected="a mapping of names to numbers")
    if tuple(costs) != exact_names():
        _check_names(costs, objectives)
    for name, value in costs.items():
        # NaN is not.
        if not (type(value) in NUMBERS and 0 <= value <= GREATEST):
            raise InputError(f"{name} {_short(value)}", expected=f"a number from 0 to {GREATEST:g}")


def _check_names(costs: Collection[str], objectives: Collection[str]) -> None:
    exact = exact_names()
    missing = [name for name in exact if name not in costs and (name in FROM_THE_START or name in objectives)]
    unknown = [name for name in costs if name not in exact]
    if missing or unknown:
        found = f"no cost {missing[0]!r}" if missing else f"a cost {_short(unknown[0])}"
        hint = "" if missing else "unless a package adds it that is not installed"
        raise InputError(found, expected=", ".join(exact), hint=hint)


def check_training(row: Mapping[str, Any]) -> None:
    """Raises InputError where an evaluation's figures are none that belong to its state."""
    state, accuracy = row["state"], row["accuracy"]
    where = f"evaluation {row.get('id', 'not yet recorded')}"
    if state not in WITH_ACCURACY and state not in WITHOUT:
        raise InputError(f"state {_short(state)}", expected=f"one of {', '.join(WITH_ACCURACY + WITHOUT)}", where=where)
    if state in WITHOUT and accuracy is not None:
        raise InputError(f"accuracy {_short(accuracy)}", expected=f"none in state {state}", where=where)
    _check_columns(row, where)
    for row_of in map(objective_of, measured_names()):
        value = row.get(row_of.name)
        needed = row_of.name == "accuracy" and state in WITH_ACCURACY
        if (needed or value is not None) and not row_of.accepts(value):
            raise InputError(f"{row_of.name} {_short(value)}", expected=row_of.values, where=where)


def _check_columns(row: Mapping[str, Any], where: str) -> None:
    """What is not measured: times, numbers and the kind of a failure. A row that is still to be written lacks some."""
    for name in ("started", "finished"):
        _check_time(name, row.get(name, 0.0), where, missing=name == "finished" and row["state"] == State.IN_FLIGHT)
    for name in ("seed", "fidelity", "repeat", "attempt", "driver_id", "micro_batch"):
        value = row.get(name)
        if value is not None and not (type(value) is int and value >= 0):
            raise InputError(f"{name} {_short(value)}", expected="a whole number from 0", where=where)
    kind = row.get("failure_kind")
    if kind is not None and kind not in set(FailureKind):
        raise InputError(f"failure {_short(kind)}", expected=f"one of {', '.join(FailureKind)}", where=where)


def _check_time(name: str, value: Any, where: str = "", *, missing: bool = True) -> None:
    """Raises InputError for what is no time, unless it is allowed to be `missing` and is."""
    if not (value is None and missing) and not (type(value) in NUMBERS and 0 <= value < YEAR_9999):
        raise InputError(f"{name} {_short(value)}", expected="seconds since 1970", where=where)


def check_suggestion(number: Any, source: Any, outcome: Any, genotype: Any = None, note: Any = None) -> None:
    """Raises InputError for columns of a suggestion that no search writes."""
    if outcome not in set(Outcome):
        raise InputError(f"outcome {_short(outcome)}", expected=f"one of {', '.join(Outcome)}")
    if not isinstance(source, str) or not SOURCE.fullmatch(source):
        expected = f"a sampler ({', '.join(SAMPLERS)}), uniform, confirm, baseline:, given: or queued:"
        raise InputError(f"source {_short(source)}", expected=expected)
    if not (type(number) is int and number >= 0):
        raise InputError(f"number {_short(number)}", expected="a whole number from 0")
    check_genotype(genotype)
    if not isinstance(note, dict | None):
        raise InputError(f"note {_short(note)}", expected="a mapping, or none")


def check_study(settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Raises InputError where a study's frozen settings and facts are none."""
    for name, value in (("identity", settings), ("facts", facts)):
        if not isinstance(value, dict):
            raise InputError(f"{name} {_short(value)}", expected="a mapping of keys to values")
    if not isinstance(settings.get("space.family"), str):
        raise InputError(f"space.family {_short(settings.get('space.family'))}", expected="the name of a family")


def check_front(points: Any, objectives: Collection[str]) -> None:
    """Raises InputError where `points` are no members with a value of each objective."""
    expected = f"a list of [digest, {', '.join(objectives)}]"
    if not isinstance(points, list):
        raise InputError(f"points {_short(points)}", expected=expected)
    for point in points:
        sound = isinstance(point, list) and len(point) == 1 + len(objectives) and isinstance(point[0], str)
        if not sound or any(type(value) not in NUMBERS for value in point[1:]):
            raise InputError(f"point {_short(point)}", expected=expected)


def check_driver(row: Mapping[str, Any]) -> None:
    """Raises InputError where a driver's columns are none that a search writes."""
    if not isinstance(row["about"], dict):
        raise InputError(f"about {_short(row['about'])}", expected="a mapping of what was driving")
    for name in ("started", "ended"):
        _check_time(name, row[name], missing=name != "started")


def check_genotype(genotype: Any) -> None:
    """Raises InputError where it is neither a mapping nor left out; whether its genes are the space's is not asked here."""
    if genotype is not None and not isinstance(genotype, dict):
        raise InputError(f"genotype {_short(genotype)}", expected="a mapping of genes to choices")


def _short(value: Any) -> str:
    """At most 40 characters, on one line."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
