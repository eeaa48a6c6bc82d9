"""The words that a study's rows are told by."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Of an evaluation: one network, one seed."""

    IN_FLIGHT = "in_flight"
    TRAINED = "trained"
    FAILED = "failed"
    # another study had the result
    REUSED = "reused"


class Outcome(StrEnum):
    """What became of a suggestion; `ATTACHED`: this network was being trained just then."""

    TRAINING = "training"
    REJECTED = "rejected"
    REUSED = "reused"
    ATTACHED = "attached"
