"""Between the search's process and Ray Tune's loop, in the loop's actor: work in, events out. Imports Ray."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from cspnas.errors import FailureKind
from cspnas.training.payload import Failure

# placed: a worker is to begin; began; kept: the bytes of a checkpoint; finished: the result; failed: its
# `Loss`; each with its ticket. ended, "", why
Event = tuple[str, str, Any]

# The key of a trial's last report that holds the whole result.
RESULT = "result_json"
# seconds: with nothing running, Tune itself would look only once a second.
IDLE_WAIT = 5.0
# seconds: the results of running trials wait as long.
BUSY_WAIT = 0.05
MESSAGE_CHARACTERS = 2000
# Ray names the OOM killer as a possible cause of every crash.
OUT_OF_MEMORY = r"\b(OutOf)?MemoryError\b"


class Stopped(BaseException):
    """Leaves Tune's loop at once: its own way out waits ten seconds for trainings that are cut short anyway."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a training's worker can be found again: whether it has the study's folder, its node and pid, the path of its log,
    how often the kernel had killed there for want of memory.
    """

    shared: bool
    node: str
    pid: int
    log: str
    kills: int


@dataclass(frozen=True, slots=True)
class Loss:
    """A training failed; `began` None: its worker had not begun."""

    failure: Failure
    began: Beginning | None


@dataclass(slots=True)
class Training:
    """One unit of work on its way: `checkpoint` the path on the search's machine, `kept` what lies there, if anything does.
    `began`: how its worker can be found again; `cancelled`: the failure that its worker is killed for.
    """

    ticket: str
    unit: str
    checkpoint: str
    kept: bytes | None = None
    began: Beginning | None = None
    cancelled: Failure | None = None


class Mail:
    """The loop and the search's process (through the actor's methods) are at its ends."""

    def __init__(self) -> None:
        self.units: SimpleQueue[Training | None] = SimpleQueue()
        # Tune's trial ids.
        self.cancelled: SimpleQueue[str] = SimpleQueue()
        self.events: SimpleQueue[Event] = SimpleQueue()
        # By Tune's trial id.
        self.trainings: dict[str, Training] = {}
        # By ticket.
        self.trial_ids: dict[str, str] = {}
        self.stopped = False
        # Where Tune writes before it copies to its storage.
        self.staging: Path | None = None

    def take(self, trial_id: str, training: Training) -> None:
        """It is Tune's trial now."""
        self.trainings[trial_id], self.trial_ids[training.ticket] = training, trial_id

    def started(self, trial_id: str) -> None:
        """Ray has a process for it, which is to begin."""
        training = self.trainings.get(trial_id)
        if training is not None and training.began is None:
            self.events.put(("placed", training.ticket, None))

    def began(self, ticket: str, about: Beginning) -> bytes | None:
        """The training begins now. The checkpoint to go on from where the worker has none."""
        training = self.trainings.get(self.trial_ids.get(ticket, ""))
        if training is None:
            return None
        training.began = about
        self.events.put(("began", ticket, None))
        return None if about.shared else training.kept

    def cancel(self, ticket: str, training_failure: Failure) -> None:
        """Its worker is to be killed; nothing where the training has ended."""
        trial_id = self.trial_ids.get(ticket, "")
        training = self.trainings.get(trial_id)
        if training is not None:
            training.cancelled = training_failure
            self.cancelled.put(trial_id)

    def post(self, kind: str, trial_id: str, detail: Any) -> None:
        """How a trial ended: the first one counts, for Tune can call a trial failed that it has called complete."""
        training = self.trainings.pop(trial_id, None)
        if training is None:
            return
        del self.trial_ids[training.ticket]
        if kind == "failed":
            detail = Loss(training.cancelled or detail, training.began)
        self.events.put((kind, training.ticket, detail))

    def __reduce__(self) -> str:
        # Tune pickles and copies its settings; a process has one mail.
        return "MAIL"


MAIL = Mail()


class MailSearcher(Searcher):
    """Suggests what the driver posted from its own process. It decides nothing and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._running = 0

    def suggest(self, trial_id: str) -> Any:
        """The next unit of work; None while the driver waits or thinks; FINISHED where it is done."""
        try:
            posted = MAIL.units.get(timeout=BUSY_WAIT if self._running else IDLE_WAIT)
        except Empty:
            return None
        if posted is None:
            return Searcher.FINISHED
        MAIL.take(trial_id, posted)
        self._running += 1
        return {"unit": posted.unit, "ticket": posted.ticket, "checkpoint": posted.checkpoint}

    def on_trial_complete(self, trial_id: str, result: dict[str, str] | None = None, error: bool = False) -> None:
        """Post the result; `Events` posts what failed, since it knows why."""
        self._running -= 1
        if not error and result is not None:
            MAIL.post("finished", trial_id, json.loads(result[RESULT]))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's database is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class Events(tune.Callback):
    """Kills the workers of cancelled trainings, posts why a trial failed, leaves the loop when told to."""

    def __init__(self) -> None:
        self._running: dict[str, Trial] = {}

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """At least every few tenths of a second. Raises Stopped after `stop`."""
        if MAIL.stopped:
            raise Stopped
        while not MAIL.cancelled.empty():
            trial = self._running.get(MAIL.cancelled.get())
            if trial is not None and trial.temporary_state.ray_actor is not None:
                # From outside, for it may hang; Tune hears that its actor is dead.
                ray.kill(trial.temporary_state.ray_actor)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note where Tune writes."""
        MAIL.staging = Path(trial.local_experiment_path)
        self._running[trial.trial_id] = trial
        MAIL.started(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The searcher has posted it."""
        self._running.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The driver decides whether it is tried again."""
        self._running.pop(trial.trial_id, None)
        MAIL.post("failed", trial.trial_id, training_failure(Path(trial.error_file).read_text()))


def training_failure(text: str) -> Failure:
    """Kind and message of what Ray wrote about a trial: its memory did not suffice, or its process (crashed) or its node
    (lost) has gone.
    """
    found = re.search(OUT_OF_MEMORY, text)
    if found:
        return {"kind": FailureKind.OUT_OF_MEMORY, "message": text[found.start() :].strip()[:MESSAGE_CHARACTERS]}
    gone = re.search(r"node (has )?(died|was terminated)|unavailable|unreachable|preempt", text, re.IGNORECASE)
    return {"kind": FailureKind.LOST if gone else FailureKind.CRASHED, "message": text.strip()[-MESSAGE_CHARACTERS:]}
