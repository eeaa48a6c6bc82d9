"""What a training can fail of, and what follows from it: tried again, recorded, quarantined."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from cspnas.errors import FailureKind
from cspnas.objectives.objectives import measured_names, objective_of
from cspnas.training.payload import Failure, ResultPayload

# These say something about a worker or a node first, and about the network only if they come back.
RETRIED_KINDS = (FailureKind.CRASHED, FailureKind.LOST)
# Of a network whose worker or node goes; after the last one it is quarantined.
MAX_ATTEMPTS = 3
# A batch that did not fit is computed in about this many parts.
MICRO = 4
# Of a worker's log that a failure keeps.
LOG_CHARACTERS = 2000


def failure(kind: FailureKind, message: str) -> ResultPayload:
    """A result that says only what went wrong."""
    return {"failure": {"kind": kind, "message": message}}


def validated_result(result: Mapping[str, object]) -> ResultPayload:
    """`result` as it may be recorded: an accuracy that is no finite fraction is a failure, and nothing else in it is
    infinite or NaN, which JSON does not have.
    """
    clean: ResultPayload = _finite(dict(result))
    failed = clean.get("failure") or _unusable(result)
    return {**clean, "accuracy": None, "failure": failed} if failed else clean


def _unusable(result: Mapping[str, object]) -> Failure | None:
    """Why a result that tells no failure is none."""
    accuracy = result.get("accuracy")
    if not isinstance(accuracy, int | float) or isinstance(accuracy, bool):
        return {"kind": FailureKind.CRASHED, "message": f"found accuracy {accuracy!r}, expected a fraction"}
    # NaN is not.
    if not 0 <= accuracy <= 1:
        return {"kind": FailureKind.DIVERGED, "message": f"found accuracy {accuracy}, expected 0 to 1"}
    for row in map(objective_of, measured_names()):
        value = result.get(row.name)
        if value is not None and not row.accepts(value):
            return {"kind": FailureKind.CRASHED, "message": f"found {row.name} {value!r}, expected {row.values}"}
    return None


def _finite(value: Any) -> Any:
    """`value` with None for every number that is none."""
    if isinstance(value, float) and not isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list | tuple) else value


def micro_batch(batch_size: int) -> int:
    """Images at once where a whole batch did not fit; batch norm needs two."""
    return max(2, batch_size // MICRO)


def quarantined(kind: str | None) -> bool:
    """Whether a recorded failure keeps a network from ever being trained again in its study."""
    return kind in RETRIED_KINDS
