"""The cluster's side of the Ray runner: Tune's loop in one actor, trainings in others. Imports Ray; knows no database.

Ray must be able to import this module on every node, so that cspnas has to be installed there.
"""

from __future__ import annotations

import functools
import json
import pkgutil
import re
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import ray
from ray import tune
from ray.tune.search import Searcher

Evaluate = Callable[[dict[str, Any], Callable[[Any], None]], dict[str, Any]]
Event = tuple[str, str, Any]  # finished or failed, the ticket, the result or the failure; ended, "", why

RESULT = "result_json"  # the key of a trial's last report that holds the whole result
IDLE_WAIT = 5.0  # seconds: with nothing running, Tune itself would look only once a second
BUSY_WAIT = 0.05  # seconds: the results of running trials wait as long


class Stopped(BaseException):
    """Leaves Tune's loop at once: its own way out waits ten seconds for trainings that are cut short anyway."""


class Mail:
    """Units of work in, events out; the loop and the search's process (through the actor's methods) are at its ends."""

    def __init__(self) -> None:
        self.units: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
        self.events: SimpleQueue[Event] = SimpleQueue()
        self.tickets: dict[str, str] = {}  # by Tune's trial id
        self.stopped = False
        self.staging: Path | None = None  # where Tune writes before it copies to its storage

    def post(self, kind: str, trial_id: str, detail: Any) -> None:
        """An event of a trial: its first one, for Tune can call a trial failed that it has called complete."""
        ticket = self.tickets.pop(trial_id, None)
        if ticket is not None:
            self.events.put((kind, ticket, detail))

    def __reduce__(self) -> str:
        return "MAIL"  # Tune pickles and copies its settings; a process has one mail


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
        MAIL.tickets[trial_id], unit = posted
        self._running += 1
        return {"unit": unit}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Post the result; `Events` posts what failed, since it knows why."""
        self._running -= 1
        if not error and result is not None:
            MAIL.post("finished", trial_id, json.loads(result[RESULT]))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study's database is the truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing."""


class Events(tune.Callback):
    """Posts why a trial failed, and leaves the loop when told to."""

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Raises Stopped after `stop`."""
        if MAIL.stopped:
            raise Stopped

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Note where Tune writes."""
        MAIL.staging = Path(trial.local_experiment_path)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The driver decides whether it is tried again."""
        MAIL.post("failed", trial.trial_id, failure(Path(trial.error_file).read_text()))


def failure(text: str) -> dict[str, str]:
    """Kind and message of what Ray wrote about a trial whose process (crashed) or node (lost) has gone."""
    gone = re.search(r"node (has )?(died|was terminated)|unavailable|unreachable|preempt", text, re.IGNORECASE)
    return {"kind": "lost" if gone else "crashed", "message": text.strip()[-2000:]}


def trainer(device: str) -> Evaluate:
    """What evaluates by training, with one torch thread, as the local runner's workers do."""
    import torch

    torch.set_num_threads(1)
    from cspnas.evaluation import Evaluator

    return Evaluator(device)


@functools.cache
def evaluator(make: str, device: str) -> Evaluate:
    """One a process, so that a worker loads a data set once."""
    found: Evaluate = pkgutil.resolve_name(make)(device)
    return found


def train_unit(config: dict[str, Any], make: str, device: str) -> None:
    """The trainable: a unit of work as JSON; an epoch a report, the whole result in the last one."""
    evaluate = evaluator(make, device)
    result = evaluate(json.loads(config["unit"]), lambda epoch: tune.report({"accuracy": epoch.accuracy}))
    result["node"] = ray.get_runtime_context().get_node_id()
    last = {"accuracy": result.get("accuracy"), "seconds": result.get("seconds"), RESULT: json.dumps(result)}
    tune.report({key: value for key, value in last.items() if value is not None})


def faster_precision(device: str) -> str:
    """Measured on a node, with one torch thread."""
    import torch

    from cspnas import training

    torch.set_num_threads(1)
    return training.faster_precision(torch.device(device))


def device_kind(device: str) -> str:
    """The name of a node's device, that latencies are compared on."""
    import torch

    from cspnas.latency import device_name

    return device_name(torch.device(device))
