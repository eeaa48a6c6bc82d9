"""Runs a driver's work on a Ray cluster through Ray Tune; only this process, which has the driver, writes the database.

Tune's loop runs in an actor of its own (`ray_loop`): with `ray://` it would run on the cluster anyway, and so there is
one way for all addresses, Tune's console never mixes with ours, and Ctrl-C is handled here alone. This process posts
units of work to that actor and asks it for events; our Searcher hands them to Tune, one Tune trial a training. Trials
need not be long-lived workers that take many units: with actors reused Tune starts the next trial within 20 to 45 ms (two
busy cores), and a trial of its own gives each training its curve in TensorBoard. Without reuse a start took 2 to 8 s,
which is why all trials of a study have the same resources: Tune reuses an actor only for equal ones.

A trial whose process or node is gone comes back here as `crashed`, `lost` or `out of memory` and the driver has it tried
again; Tune retries nothing and restores nothing. One that is past its time has its worker killed by the loop and comes back
as `timeout`. What a dead worker printed is read by a task on its node, which nothing else waits for.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from cspnas.errors import CspnasError, StorageError
from cspnas.failures import checked
from cspnas.output import remove, write_whole
from cspnas.runners.interrupts import interrupts
from cspnas.runners.printed import tail
from cspnas.runners.protocol import Done, Work, WorkSource, checkpoint_of
from cspnas.runners.ray_cluster import RayError, on_node, quiet_ray
from cspnas.runners.ray_slots import Slots

OnEvent = Callable[[str, Work | None, Any], None]

THREADS = 16  # of the loop's actor: Tune, the search that listens, workers that begin or send a checkpoint
MOST_STILLBORN = 10
WORDS_SECONDS = 20.0  # for a dead worker's node to say what it printed
IDLE_SECONDS = 3.0  # without a training before Tune's places are given back: a new start takes as long
CLOSE_SECONDS = 60.0  # for Tune to write its logs at the end
STOP_SECONDS = 4.0  # for the same after Ctrl-C


class RayRunner:
    """Trains in `slots` on the connected cluster; Tune's files go to `folder`/ray-TIME."""

    def __init__(self, slots: Slots, folder: Path) -> None:
        self.slots, self.folder = slots, folder
        self.devices = [f"ray:{slots.device}"] * slots.count
        self._in_flight: dict[str, Work] = {}
        self._used: set[str] = set()  # tickets
        self._words: dict[Any, tuple[str, dict[str, Any], float]] = {}  # by the task that reads them; until when
        self._stillborn = 0  # workers in a row that ended before they began anything
        self._alone: Work | None = None  # waits for all others to end, or runs without them: memory did not suffice
        self._loop: Any = None  # while there is something to train
        self._idle_since = float("inf")

    def precision(self) -> str:
        """The faster precision where the trainings run."""
        from cspnas.runners.ray_worker import faster_precision

        return str(quiet_ray().get(self._task(faster_precision).remote(self.slots.device)))

    def kinds(self) -> list[str]:
        """What the nodes' devices are called."""
        from cspnas.runners.ray_worker import device_kind

        task = self._task(device_kind)
        kinds = [task.options(**on_node(node)).remote(self.slots.device) for node in self.slots.nodes]
        try:
            return sorted(set(quiet_ray().get(kinds)))
        except quiet_ray().exceptions.RayError as error:  # a node went away just now
            raise self._broken(str(error)) from None

    def _task(self, function: Callable[[str], str]) -> Any:
        return quiet_ray().remote(num_cpus=1, num_gpus=self.slots.gpu_share, max_retries=0)(function)

    def started(self) -> AbstractContextManager[None]:
        """Nothing is started before `run`: Ray's processes are there already."""
        return nullcontext()

    def run(self, driver: WorkSource, on_event: OnEvent) -> str:
        """Work until the driver is done; its reason. Raises KeyboardInterrupt after Ctrl-C, never in the middle of a
        step, and RayError where the cluster goes away; no training goes on after any of these.
        """
        ray = quiet_ray()
        self._on_event = on_event
        seconds = STOP_SECONDS
        try:
            with interrupts() as interrupted:
                while not interrupted:
                    reason = self._fill(driver)
                    if reason is not None:
                        seconds = CLOSE_SECONDS
                        return reason
                    self._collect(driver)
            raise KeyboardInterrupt
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise self._broken(str(error)) from None
        finally:
            self._end(seconds)

    def _start(self) -> None:
        from cspnas.runners.ray_loop import Loop
        from cspnas.runners.ray_worker import MARKER, Home

        ray = quiet_ray()
        folder = self.folder.absolute()
        tune = _new_folder(folder)
        token, actor_name = uuid.uuid4().hex, f"cspnas-{uuid.uuid4().hex}"
        (tune / MARKER).write_text(token)
        self._away = ray.util.client.ray.is_connected()  # then this machine is no node of the cluster
        context = ray.get_runtime_context()
        self._node = context.get_node_id()
        options = {"num_cpus": 0, "max_concurrency": THREADS, "name": actor_name, **on_node(self._node)}
        self._idle_since = float("inf")
        self._loop = ray.remote(Loop).options(**options).remote(None if self._away else str(folder), tune.name)
        home = Home(actor_name, context.namespace, str(folder), str(tune), token)
        self._fit = self._loop.fit.remote(self.slots, home)
        self._poll = self._loop.events.remote(1.0)

    def _fill(self, driver: WorkSource) -> str | None:
        """Post work for every free slot; the reason to stop where there is none and none is in flight."""
        while self._alone is None and len(self._in_flight) < self.slots.count:
            work = driver.suggest()
            if isinstance(work, Done):
                return work.reason
            if not isinstance(work, Work):
                return None
            if work.micro_batch is not None:
                self._alone = work
                break
            self._post(work)
        if self._alone is not None and not self._in_flight:
            self._post(self._alone)
        return None

    def _post(self, work: Work) -> None:
        self._give(work)
        self._on_event("started", work, None)

    def _give(self, work: Work) -> None:
        from cspnas.runners.ray_mail import Training

        if self._loop is None:
            self._start()
        ticket = (
            f"{work.evaluation_id:05}-{work.digest[:12]}-attempt{work.attempt}{'-alone' if work.micro_batch else ''}"
        )
        if ticket in self._used:  # what has ended before it began is given once more
            ticket += f"-{len(self._used)}"
        self._used.add(ticket)
        self._in_flight[ticket] = work
        path = checkpoint_of(self.folder.absolute(), work)
        kept = path.read_bytes() if path.is_file() else None
        training = Training(ticket, json.dumps(_portable(work.unit)), str(path), work.seconds, kept)
        self._loop.give.remote(training)

    def _collect(self, driver: WorkSource) -> None:
        """Wait for events, at most a second, so that progress stays alive; then look for last words."""
        ray = quiet_ray()
        if not self._in_flight:
            self._rest()
            return
        self._idle_since = float("inf")
        ready, _ = ray.wait([self._poll], timeout=1.0)
        heard = ray.get(self._poll) if ready else []
        if ready:
            self._poll = self._loop.events.remote(1.0)
        for kind, ticket, detail in heard:
            self._hear(driver, kind, ticket, detail)
        if self._words:
            self._read(driver)
        if not heard:
            self._on_event("tick", None, None)

    def _rest(self) -> None:
        """Nothing can be trained before another search has finished something: after some seconds let go of the places
        that Tune keeps for the next training, since that search may wait for them.
        """
        self._idle_since = min(self._idle_since, time.monotonic())
        if self._loop is not None and time.monotonic() - self._idle_since > IDLE_SECONDS:
            self._end(CLOSE_SECONDS)
        time.sleep(1.0)
        self._on_event("tick", None, None)

    def _hear(self, driver: WorkSource, kind: str, ticket: str, detail: Any) -> None:
        if kind == "ended":
            raise self._broken(detail)
        if kind == "began":
            self._stillborn = 0
        elif kind == "kept":
            self._keep(ticket, detail)
        elif kind == "finished":
            self._take(driver, ticket, detail)
        elif detail["began"] is None:
            self._count_stillborn(detail)
            self._give(self._in_flight.pop(ticket))
        else:
            self._ask(ticket, detail)

    def _keep(self, ticket: str, content: bytes) -> None:
        """Where a training stands that has not this folder, for its next try, which may be on another node."""
        work = self._in_flight.get(ticket)
        if work is None:
            return
        path = checkpoint_of(self.folder, work)
        with suppress(CspnasError, OSError):  # the training goes on without
            path.parent.mkdir(exist_ok=True)
            write_whole(path, content, force=True)

    def _ask(self, ticket: str, found: dict[str, Any]) -> None:
        """Have the dead worker's node say what it printed; a node that is gone says nothing, and this one needs no task."""
        from cspnas.runners.ray_worker import last_words

        about = found["began"]
        arguments = about["log"], about["pid"] if found["kind"] == "timeout" else None
        if found["kind"] == "lost":
            answer = quiet_ray().put(None)
        elif about["node"] == self._node and not self._away:
            answer = quiet_ray().put(last_words(*arguments))
        else:
            task = quiet_ray().remote(last_words).options(num_cpus=0, max_retries=0, **on_node(about["node"]))
            answer = task.remote(*arguments)
        self._words[answer] = (ticket, found, time.monotonic() + WORDS_SECONDS)

    def _read(self, driver: WorkSource) -> None:
        """End the trainings whose dead workers' last words are there, or come too late."""
        ray, asked = quiet_ray(), list(self._words)
        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=0.01)
        for answer in asked:
            ticket, found, until = self._words[answer]
            if answer not in ready and time.monotonic() < until:
                continue
            del self._words[answer]
            about = found.pop("began")
            try:
                printed, kills = ray.get(answer, timeout=1.0) or ("", 0)
            except ray.exceptions.RayError:  # its node is gone by now, or too busy
                printed, kills = "", 0
            if about["shared"]:
                printed = tail(Path(about["log"]))
            if found["kind"] == "crashed" and kills > about["kills"]:
                found |= {"kind": "out of memory", "message": "the kernel killed the worker process for want of memory"}
            self._take(driver, ticket, {"failure": found | ({"log": printed} if printed else {})})

    def _count_stillborn(self, found: dict[str, Any]) -> None:
        """Raises CspnasError where no worker comes to life: that is no fault of the networks."""
        self._stillborn += 1
        if self._stillborn >= MOST_STILLBORN:
            last = found["message"].rpartition("\n")[2]
            raise CspnasError(
                f"{self.folder}: {self._stillborn} workers in a row ended before they began ({last}); see tune.log there; "
                "the same command continues the search"
            )

    def _take(self, driver: WorkSource, ticket: str, result: dict[str, Any]) -> None:
        work = self._in_flight.pop(ticket)
        if work is self._alone:
            self._alone = None
        result = checked(result)
        final = driver.finish(work, result)
        if final:
            remove(checkpoint_of(self.folder, work))
        if final is not None:
            self._on_event("finished" if final else "crashed", work, result)

    def _end(self, seconds: float) -> None:
        """Let Tune write its logs for at most `seconds`, fetch them where they are away, and end everything."""
        ray, loop = quiet_ray(), self._loop
        if loop is None:
            return
        self._loop = None
        try:
            (loop.close if seconds == CLOSE_SECONDS else loop.stop).remote()
            ray.wait([self._fit], timeout=seconds)
            if self._away:
                _unpack(ray.get(loop.packed.remote(), timeout=seconds), self.folder)
            ray.kill(loop)
        except (ConnectionError, ray.exceptions.RayError):
            return  # it is gone with the cluster

    def _broken(self, why: str) -> RayError:
        last = why.strip().rpartition("\n")[2].partition(". ")[0].strip()[:200]
        return RayError(f"Ray Tune ended ({last}); everything finished is kept, the same command continues the search")


def _portable(unit: dict[str, Any]) -> dict[str, Any]:
    """A worker has another working folder: a data set's relative path is made absolute."""
    kind, colon, path = unit["recipe"]["dataset"].partition("folder:")
    if not colon or kind:
        return unit
    return unit | {"recipe": unit["recipe"] | {"dataset": f"folder:{Path(path).expanduser().absolute()}"}}


def _new_folder(folder: Path) -> Path:
    """A folder for Tune's files that no other search of the study has. Raises StorageError where none can be made."""
    name, number = time.strftime("ray-%Y%m%d-%H%M%S"), 1
    while True:
        new = folder / (name if number == 1 else f"{name}-{number}")
        try:
            new.mkdir(parents=True)
            return new
        except FileExistsError:
            number += 1
        except OSError as error:
            do = "free some disk space, or choose another --storage"
            raise StorageError(f"{error.filename or folder}: {error.strerror}; {do}") from None


def _unpack(archive: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
