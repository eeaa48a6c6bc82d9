"""What a search and its loop say to each other: a training to do, or why there is none; what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from cspnas.errors import FailureKind, InputError
from cspnas.io.did_you_mean import nearest
from cspnas.study.failures import MAX_ATTEMPTS, RETRIED_KINDS, micro_batch
from cspnas.study.suggestion import Suggestion
from cspnas.training.payload import EvaluationKey, ResultPayload, UnitOfWork

RUNNERS = ("local", "ray")
TRAINER = "cspnas.runners.local.worker:trainer"
# Trains a unit of work, tells each epoch to its second argument, and returns the result.
Evaluate = Callable[[UnitOfWork, Callable[[Any], None]], ResultPayload]


@dataclass(slots=True)
class Work:
    """One training: `unit` is the JSON for a worker; the rest is the driver's own. `attempt` counts crashes of workers.

    `micro_batch`: a whole batch did not fit, so it is trained in parts of so many images, and alone on its device.
    `seconds`: how long it may take.
    """

    evaluation_id: int
    digest: str
    attempt: int
    unit: UnitOfWork
    suggestion: Suggestion | None = None
    micro_batch: int | None = None
    seconds: float | None = None

    @property
    def try_number(self) -> tuple[int, int | None]:
        """What tells one try of this training from another."""
        return self.attempt, self.micro_batch

    def again(self, kind: str) -> Work | None:
        """The next try after a failure; None where this was the last one."""
        if kind in RETRIED_KINDS and self.attempt < MAX_ATTEMPTS:
            return replace(self, attempt=self.attempt + 1)
        if kind == FailureKind.OUT_OF_MEMORY and self.micro_batch is None:
            return self.smaller(micro_batch(self.unit["recipe"]["batch_size"]))
        return None

    def key(self, recipe_digest: str) -> EvaluationKey:
        """The evaluation that this training is of, whatever its number in the tables."""
        seed, epochs = self.unit["seed"], self.unit["recipe"]["epochs"]
        return {"digest": self.digest, "recipe_digest": recipe_digest, "seed": seed, "fidelity": epochs}

    def smaller(self, images: int) -> Work:
        """The same training in micro-batches of so many images."""
        return replace(self, micro_batch=images, unit=self.unit | {"micro_batch": images})


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to start before a training in flight ends."""


@dataclass(frozen=True, slots=True)
class Done:
    """The search is over, and why."""

    reason: str


class WorkSource(Protocol):
    """What hands out trainings and takes their results; it has no loop and no thread."""

    def suggest(self) -> Work | Wait | Done:
        """The next training, Wait where one in flight has to end first, Done where the search is over."""

    def finish(self, work: Work, result: ResultPayload) -> bool | None:
        """Take a result. False where the training is tried again, None where nobody waits for this result."""


class RunEvent(StrEnum):
    """`CRASHED`: a training ended and is tried again; `TICK`: nothing happened for a second; `REUSED`: another study had the
    result of a training.
    """

    STARTED = "started"
    EPOCH = "epoch"
    FINISHED = "finished"
    CRASHED = "crashed"
    TICK = "tick"
    REUSED = "reused"


OnEvent = Callable[[RunEvent, Work | None, Any], None]


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """What the command line says about it. `per_gpu` None: as many trainings on a GPU as fit.
    `evaluator`: MODULE:NAME of what makes an evaluator from a device; a search trains.
    """

    runner: str = "local"
    address: str | None = None
    device: str = "auto"
    per_gpu: int | None = None
    evaluator: str = TRAINER

    def __post_init__(self) -> None:
        """Raises InputError for a runner that is not known, and for what the other runner would need."""
        if self.runner not in RUNNERS:
            hint = nearest(self.runner, RUNNERS)
            raise InputError(f"runner {self.runner!r}", expected="local or ray", where="--runner", hint=hint)
        if self.address is not None and self.runner != "ray":
            expected, hint = "none for the local runner", "add --runner ray"
            raise InputError(f"--address {self.address}", expected=expected, where="--address", hint=hint)
        if self.runner == "ray" and self.device not in ("auto", "cpu", "cuda"):
            raise InputError(
                f"device {self.device!r}", expected="auto, cpu or cuda with --runner ray", where="--device"
            )


def checkpoint_of(folder: Path, work: Work) -> Path:
    """Where a long training's standing is kept while it is under way; `folder` is the study's."""
    return folder / "checkpoints" / f"{work.digest[:16]}-{work.unit['seed']}.safetensors"
