"""A runner as the loop has it: what it is told, and the events that it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cspnas.network.architecture import Architecture
from cspnas.runners.protocol import Work
from cspnas.runners.training_estimate import Speed
from cspnas.training.payload import Failure, ResultPayload
from cspnas.training.recipe import Recipe

# For a new worker to begin: imports of 64 workers at once, data, a busy machine.
START_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Placed:
    """A worker has the training, and is to begin it within so many seconds."""

    work: Work
    seconds: float


@dataclass(frozen=True, slots=True)
class Began:
    """Its time is counted from here."""

    work: Work


@dataclass(frozen=True, slots=True)
class EpochDone:
    """An epoch of the training is over; `accuracy` after it, a fraction."""

    work: Work
    accuracy: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The training has a result: its worker's, or the failure of a worker that is gone or was given up."""

    work: Work
    result: ResultPayload


@dataclass(frozen=True, slots=True)
class Stillborn:
    """A worker ended before it began anything, which says nothing of the work that it had, if any."""

    work: Work | None
    failure: Failure


RunnerEvent = Placed | Began | EpochDone | Ended | Stillborn


class Runner(Protocol):
    """Where trainings run, one at a time in each slot; `run_loop` says which, and what follows from how they end."""

    # Each slot's.
    devices: list[str]
    folder: Path
    # What is in `folder` for a person to read.
    logs: str

    def precision(self) -> str:
        """The faster precision where the trainings run."""

    def kinds(self) -> list[str]:
        """The different names of the devices' models."""

    def speed(self, networks: Sequence[Architecture], recipe: Recipe) -> Speed | None:
        """How fast these networks train there; None where one of them does not fit into memory."""

    def start(self) -> None:
        """Let what trains get ready; nothing where that was done. Raises CspnasError where it cannot."""

    def submit(self, slot: int, work: Work) -> None:
        """Start a training in a slot that has none; never waits for it."""

    def collect(self, seconds: float) -> list[RunnerEvent]:
        """What happened since the last call; waits for at most `seconds` where nothing did."""

    def cancel(self, work: Work, failure: Failure) -> None:
        """Replace the worker of a training; an event says that it ended with `failure`, or before that with a result."""

    def wind_down(self) -> list[RunnerEvent]:
        """Before a search is cut short: let trainings keep their standing for some seconds; what ended meanwhile."""

    def close(self, *, finished: bool = False) -> None:
        """End everything; nothing where that was done. `finished`: no training is cut short, and logs may take their time."""
