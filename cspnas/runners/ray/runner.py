"""Runs a search's trainings on a Ray cluster through Ray Tune; only this process, which has the driver, writes the database.

Tune's loop runs in an actor of its own (`tune_actor.py`): with `ray://` it would run on the cluster anyway, and so there is
one way for all addresses, Tune's console never mixes with ours, and Ctrl-C is handled here alone. This process posts
units of work to that actor and asks it for events; our Searcher hands them to Tune, one Tune trial a training. Trials
need not be long-lived workers that take many units: with actors reused Tune starts the next trial within 20 to 45 ms (two
busy cores), and a trial of its own gives each training its curve in TensorBoard. Without reuse a start took 2 to 8 s,
which is why all trials of a study have the same resources: Tune reuses an actor only for equal ones.

A trial whose process or node is gone comes back here as `crashed`, `lost` or `out of memory` and the driver has it tried
again; Tune retries nothing and restores nothing. One that is cancelled has its worker killed in Tune's loop.
What a dead worker printed is read by a task on its node, which nothing else waits for.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.data.own_data import located
from cspnas.errors import CspnasError, FailureKind, StorageError
from cspnas.io.atomic_write import write_whole
from cspnas.io.remedies import remedy
from cspnas.network.architecture import Architecture
from cspnas.runners.protocol import Work, checkpoint_of
from cspnas.runners.ray.capacity import Slots
from cspnas.runners.ray.cluster import RayError, on_node, quiet_ray
from cspnas.runners.runner import START_SECONDS, Began, Ended, Placed, RunnerEvent, Stillborn
from cspnas.runners.training_estimate import Speed
from cspnas.runners.worker_log import tail
from cspnas.training.payload import Failure, UnitOfWork
from cspnas.training.recipe import Recipe

if TYPE_CHECKING:
    from cspnas.runners.ray.messages import Loss

# Of the loop's actor: Tune, the search that listens, workers that begin or send a checkpoint.
THREADS = 16
# That Tune's loop waits for something to tell.
POLL_SECONDS = 1.0
# For a dead worker's node to say what it printed.
WORDS_SECONDS = 20.0
# Without a training before Tune's places are given back: a new start takes as long.
IDLE_SECONDS = 3.0
# For Tune to write its logs at the end.
CLOSE_SECONDS = 60.0
# For the same after Ctrl-C.
STOP_SECONDS = 4.0


@contextmanager
def _cluster_errors() -> Iterator[None]:
    """Raises RayError, with one line, where the cluster goes away."""
    try:
        yield
    except (quiet_ray().exceptions.RayError, ConnectionError) as error:
        raise _broken(str(error)) from None


def _broken(why: str) -> RayError:
    last = why.strip().rpartition("\n")[2].partition(". ")[0].strip()[:200]
    return RayError(f"Ray Tune ended ({last}); everything finished is kept, the same command continues the search")


class RayRunner:
    """Trains in `slots` on the connected cluster; Tune's files go to `folder`/ray-TIME."""

    logs = "tune.log"

    def __init__(self, slots: Slots, folder: Path) -> None:
        self.slots, self.folder = slots, folder
        self.devices = [f"ray:{slots.device}"] * slots.count
        self._in_flight: dict[str, Work] = {}
        self._used_tickets: set[str] = set()
        # By the task that reads them; until when.
        self._words: dict[Any, tuple[str, Loss, float]] = {}
        # While there is something to train.
        self._loop: Any = None
        self._idle_since = float("inf")
        self._poll: Any = None

    @_cluster_errors()
    def precision(self) -> str:
        """The faster precision where the trainings run."""
        from cspnas.runners.ray.worker import precision_of_node

        return str(quiet_ray().get(self._task(precision_of_node).remote(self.slots.device)))

    @_cluster_errors()
    def speed(self, networks: Sequence[Architecture], recipe: Recipe) -> Speed | None:
        """Measured on one node."""
        from cspnas.runners.ray.worker import speed_of_node

        task = self._task(speed_of_node).remote(self.slots.device, list(networks), recipe)
        speed: Speed | None = quiet_ray().get(task)
        return speed and replace(speed, at_once=self.slots.at_once(speed.at_once))

    @_cluster_errors()
    def kinds(self) -> list[str]:
        """What the nodes' devices are called."""
        from cspnas.runners.ray.worker import device_kind

        task = self._task(device_kind)
        kinds = [task.options(**on_node(node)).remote(self.slots.device) for node in self.slots.nodes]
        return sorted(set(quiet_ray().get(kinds)))

    def _task(self, function: Callable[..., Any]) -> Any:
        return quiet_ray().remote(num_cpus=1, num_gpus=self.slots.gpu_share, max_retries=0)(function)

    def start(self) -> None:
        """Nothing: Ray's processes are there already, and Tune is started for the first training."""

    @_cluster_errors()
    def submit(self, slot: int, work: Work) -> None:
        """Post it to Tune, which knows no slots: as many trainings run as there are."""
        from cspnas.runners.ray.messages import Training

        if self._loop is None:
            self._start_tune()
        alone = "-alone" if work.micro_batch else ""
        ticket = f"{work.evaluation_id:05}-{work.digest[:12]}-attempt{work.attempt}{alone}"
        # What has ended before it began is given once more.
        if ticket in self._used_tickets:
            ticket += f"-{len(self._used_tickets)}"
        self._used_tickets.add(ticket)
        self._in_flight[ticket] = work
        path = checkpoint_of(self.folder.absolute(), work)
        kept = path.read_bytes() if path.is_file() else None
        self._loop.give.remote(Training(ticket, json.dumps(_portable(work.unit)), str(path), kept))

    @_cluster_errors()
    def cancel(self, work: Work, failure: Failure) -> None:
        """Have Tune's loop kill its worker; nothing where it has ended and only its last words are waited for."""
        for ticket in [ticket for ticket, other in self._in_flight.items() if other is work]:
            self._loop.cancel.remote(ticket, failure)

    @_cluster_errors()
    def collect(self, seconds: float) -> list[RunnerEvent]:
        """Events of Tune's loop; then the trainings whose dead workers' last words are there."""
        if not self._in_flight:
            self._rest(seconds)
            return []
        ray = quiet_ray()
        self._idle_since = float("inf")
        ready, _ = ray.wait([self._poll], timeout=seconds)
        heard = ray.get(self._poll) if ready else []
        if ready:
            self._poll = self._loop.events.remote(POLL_SECONDS)
        events = [event for told in heard if (event := self._hear(*told)) is not None]
        return events + self._read()

    def wind_down(self) -> list[RunnerEvent]:
        """Nothing: a training on a cluster goes on from its last checkpoint."""
        return []

    def close(self, *, finished: bool = False) -> None:
        """Let Tune write its logs for a while, fetch them where they are away, and end everything."""
        ray, loop, seconds = quiet_ray(), self._loop, CLOSE_SECONDS if finished else STOP_SECONDS
        if loop is None:
            return
        self._loop = None
        # It may be gone with the cluster.
        with suppress(ConnectionError, ray.exceptions.RayError):
            (loop.close if finished else loop.stop).remote()
            ray.wait([self._fit], timeout=seconds)
            if self._away:
                _unpack(ray.get(loop.packed.remote(), timeout=seconds), self.folder)
            ray.kill(loop)

    def _start_tune(self) -> None:
        from cspnas.runners.ray.tune_actor import Loop
        from cspnas.runners.ray.worker import MARKER, Home

        ray = quiet_ray()
        folder = self.folder.absolute()
        tune = _new_folder(folder)
        token, actor_name = uuid.uuid4().hex, f"cspnas-{uuid.uuid4().hex}"
        (tune / MARKER).write_text(token)
        # Then this machine is no node of the cluster.
        self._away = ray.util.client.ray.is_connected()
        context = ray.get_runtime_context()
        self._node = context.get_node_id()
        options = {"num_cpus": 0, "max_concurrency": THREADS, "name": actor_name, **on_node(self._node)}
        self._loop = ray.remote(Loop).options(**options).remote(None if self._away else str(folder), tune.name)
        home = Home(actor_name, context.namespace, str(folder), str(tune), token)
        self._fit = self._loop.fit.remote(self.slots, home)
        self._poll = self._loop.events.remote(POLL_SECONDS)

    def _rest(self, seconds: float) -> None:
        """Nothing can be trained before another search has finished something: after some seconds let go of the places
        that Tune keeps for the next training, since that search may wait for them.
        """
        self._idle_since = min(self._idle_since, time.monotonic())
        if time.monotonic() - self._idle_since > IDLE_SECONDS:
            self.close(finished=True)
        time.sleep(seconds)

    def _hear(self, kind: str, ticket: str, detail: Any) -> RunnerEvent | None:
        """What it says of a training; None where the runner keeps it for itself."""
        if kind == "ended":
            raise _broken(detail)
        work = self._in_flight.get(ticket)
        if work is None:
            return None
        if kind in ("placed", "began"):
            return Began(work) if kind == "began" else Placed(work, START_SECONDS)
        if kind == "finished" or (kind == "failed" and detail.began is None):
            del self._in_flight[ticket]
            return Ended(work, detail) if kind == "finished" else Stillborn(work, detail.failure)
        if kind == "kept":
            self._keep(work, detail)
        else:
            self._ask(ticket, detail)
        return None

    def _keep(self, work: Work, content: bytes) -> None:
        """Where a training stands that has not this folder, for its next try, which may be on another node."""
        path = checkpoint_of(self.folder, work)
        # The training goes on without.
        with suppress(CspnasError, OSError):
            path.parent.mkdir(exist_ok=True)
            write_whole(path, content, force=True)

    def _ask(self, ticket: str, loss: Loss) -> None:
        """Have the dead worker's node say what it printed; a node that is gone says nothing, and this one needs no task."""
        from cspnas.runners.ray.worker import last_words

        about, kind = loss.began, loss.failure["kind"]
        assert about is not None
        arguments = about.log, about.pid if kind == FailureKind.TIMEOUT else None
        if kind == FailureKind.LOST:
            answer = quiet_ray().put(None)
        elif about.node == self._node and not self._away:
            answer = quiet_ray().put(last_words(*arguments))
        else:
            task = quiet_ray().remote(last_words).options(num_cpus=0, max_retries=0, **on_node(about.node))
            answer = task.remote(*arguments)
        self._words[answer] = (ticket, loss, time.monotonic() + WORDS_SECONDS)

    def _read(self) -> list[RunnerEvent]:
        """The ends of trainings whose dead workers' last words are there, or come too late."""
        if not self._words:
            return []
        ray, asked, events = quiet_ray(), list(self._words), list[RunnerEvent]()
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=0.01)
        for answer in asked:
            ticket, loss, until = self._words[answer]
            if answer not in ready and time.monotonic() < until:
                continue
            del self._words[answer]
            about, found = loss.began, loss.failure
            assert about is not None
            try:
                printed, kills = ray.get(answer, timeout=1.0) or ("", 0)
            # Its node is gone by now, or too busy.
            except ray.exceptions.RayError:
                printed, kills = "", 0
            if about.shared:
                printed = tail(Path(about.log))
            if found["kind"] == FailureKind.CRASHED and kills > about.kills:
                message = "the kernel killed the worker process for want of memory"
                found = {"kind": FailureKind.OUT_OF_MEMORY, "message": message}
            if printed:
                found = {**found, "log": printed}
            events.append(Ended(self._in_flight.pop(ticket), {"failure": found}))
        return events


def _portable(unit: UnitOfWork) -> UnitOfWork:
    """A worker has another working folder: a data set's relative path is made absolute."""
    recipe = {**unit["recipe"], "dataset": located(unit["recipe"]["dataset"])}
    return {**unit, "recipe": recipe}


def _new_folder(folder: Path) -> Path:
    """A folder for Tune's files that no other search of the study has. Raises StorageError where none can be made."""
    name, number = time.strftime("ray-%Y%m%d-%H%M%S"), 1
    while True:
        new = folder / (name if number == 1 else f"{name}-{number}")
        try:
            new.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise StorageError(f"{error.filename or folder}: {error.strerror}; {remedy(error)}") from None
        else:
            return new


def _unpack(archive: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
