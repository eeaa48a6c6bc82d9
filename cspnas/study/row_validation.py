"""What a study's tables can hold of networks and trainings: what was edited or damaged there ends in one line as it is read,
so that no later code meets it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cspnas.errors import InputError, StorageError
from cspnas.objectives.objectives import EXACT, GREATEST
from cspnas.study.states import State

WITH_ACCURACY, WITHOUT = (State.TRAINED, State.REUSED), (State.FAILED, State.IN_FLIGHT)  # states of an evaluation
NUMBERS = (int, float)  # as JSON and the tables give them: true and false are none
_NAMES = frozenset(EXACT)
LATER = ("evenness",)  # a cost that studies from before it had a name do not have


def damaged(digest: str, reason: object, shown: str = "") -> StorageError:
    """The error for a network whose rows no search can have written, in the database `shown`."""
    place = f"{shown}: " if shown else ""
    return StorageError(
        f"{place}network {digest[:12]}: the study database is damaged ({reason}); restore it from a backup"
    )


def check_costs(costs: Any, objectives: Collection[str]) -> None:
    """Raises InputError where `costs` are not every exact objective with its value."""
    if not isinstance(costs, dict):
        raise InputError(f"costs {_short(costs)}", expected="a mapping of names to numbers")
    if costs.keys() != _NAMES:
        _check_names(costs, objectives)
    for name, value in costs.items():
        if not (type(value) in NUMBERS and 0 <= value <= GREATEST):  # NaN is not
            raise InputError(f"{name} {_short(value)}", expected=f"a number from 0 to {GREATEST:g}")


def _check_names(costs: Collection[str], objectives: Collection[str]) -> None:
    missing = [name for name in EXACT if name not in costs and (name not in LATER or name in objectives)]
    unknown = [name for name in costs if name not in EXACT]
    if missing or unknown:
        found = f"no cost {missing[0]!r}" if missing else f"a cost {_short(unknown[0])}"
        raise InputError(found, expected=", ".join(EXACT))


def check_training(row: Mapping[str, Any]) -> None:
    """Raises InputError where an evaluation's figures are none that belong to its state."""
    state, accuracy, latency = row["state"], row["accuracy"], row.get("latency")
    where = f"evaluation {row.get('id', 'not yet recorded')}"
    if state not in WITH_ACCURACY and state not in WITHOUT:
        raise InputError(f"state {_short(state)}", expected=f"one of {', '.join(WITH_ACCURACY + WITHOUT)}", where=where)
    if state in WITH_ACCURACY and not (type(accuracy) in NUMBERS and 0 <= accuracy <= 1):
        raise InputError(f"accuracy {_short(accuracy)}", expected="a number from 0 to 1", where=where)
    if state in WITHOUT and accuracy is not None:
        raise InputError(f"accuracy {_short(accuracy)}", expected=f"none in state {state}", where=where)
    if latency is not None and not (type(latency) in NUMBERS and 0 < latency <= GREATEST):
        raise InputError(f"latency {_short(latency)}", expected="seconds above 0", where=where)


def check_genotype(genotype: Any) -> None:
    """Raises InputError where it is neither a mapping nor left out; whether its genes are the space's is not asked here."""
    if genotype is not None and not isinstance(genotype, dict):
        raise InputError(f"genotype {_short(genotype)}", expected="a mapping of genes to choices")


def _short(value: Any) -> str:
    """At most 40 characters, on one line."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
