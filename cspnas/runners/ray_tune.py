"""Runs a driver's work on a Ray cluster through Ray Tune; only this process, which has the driver, writes the database.

Tune's loop runs in an actor of its own (`ray_loop`): with `ray://` it would run on the cluster anyway, and so there is
one way for all addresses, Tune's console never mixes with ours, and Ctrl-C is handled here alone. This process posts
units of work to that actor and asks it for events; our Searcher hands them to Tune, one Tune trial a training. Trials
need not be long-lived workers that take many units: with actors reused Tune starts the next trial within 20 to 45 ms (two
busy cores), and a trial of its own gives each training its curve in TensorBoard. Without reuse a start took 2 to 8 s,
which is why all trials of a study have the same resources: Tune reuses an actor only for equal ones.

A trial whose process or node is gone comes back here as `crashed` or `lost` and the driver has it tried again; Tune
retries nothing and restores nothing.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from cspnas.driver import Driver
from cspnas.failures import checked
from cspnas.runners.interrupts import interrupts
from cspnas.runners.ray_cluster import RayError, on_node, quiet_ray
from cspnas.runners.ray_slots import Slots
from cspnas.work import Done, Work

OnEvent = Callable[[str, Work | None, Any], None]

CLOSE_SECONDS = 60.0  # for Tune to write its logs at the end
STOP_SECONDS = 4.0  # for the same after Ctrl-C


class RayRunner:
    """Trains in `slots` on the connected cluster; Tune's files go to `folder`/ray-TIME."""

    def __init__(self, slots: Slots, folder: Path) -> None:
        self.slots, self.folder = slots, folder
        self.devices = [f"ray:{slots.device}"] * slots.count
        self._in_flight: dict[str, Work] = {}
        self._alone: Work | None = None  # waits for all others to end, or runs without them: memory did not suffice
        self._loop: Any = None

    def precision(self) -> str:
        """The faster precision where the trainings run."""
        from cspnas.runners.ray_worker import faster_precision

        return str(quiet_ray().get(self._task(faster_precision).remote(self.slots.device)))

    def kinds(self) -> list[str]:
        """What the nodes' devices are called."""
        from cspnas.runners.ray_worker import device_kind

        task = self._task(device_kind)
        kinds = [task.options(**on_node(node)).remote(self.slots.device) for node in self.slots.nodes]
        return sorted(set(quiet_ray().get(kinds)))

    def _task(self, function: Callable[[str], str]) -> Any:
        return quiet_ray().remote(num_cpus=1, num_gpus=self.slots.gpu_share, max_retries=0)(function)

    def started(self) -> AbstractContextManager[None]:
        """Nothing is started before `run`: Ray's processes are there already."""
        return nullcontext()

    def run(self, driver: Driver, on_event: OnEvent) -> str:
        """Work until the driver is done; its reason. Raises KeyboardInterrupt after Ctrl-C, never in the middle of a
        step, and RayError where the cluster goes away; no training goes on after any of these.
        """
        ray = quiet_ray()
        self._on_event = on_event
        seconds = STOP_SECONDS
        try:
            with interrupts() as interrupted:
                self._start()
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

        ray = quiet_ray()
        name = time.strftime("ray-%Y%m%d-%H%M%S")
        self._away = ray.util.client.ray.is_connected()  # then this machine is no node of the cluster
        here = ray.get_runtime_context().get_node_id()
        actor = ray.remote(Loop).options(num_cpus=0, max_concurrency=4, **on_node(here))
        self._loop = actor.remote(None if self._away else str(self.folder.absolute()), name)
        self._fit = self._loop.fit.remote(self.slots)
        self._poll = self._loop.events.remote(1.0)

    def _fill(self, driver: Driver) -> str | None:
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
        ticket = (
            f"{work.evaluation_id:05}-{work.digest[:12]}-attempt{work.attempt}{'-alone' if work.micro_batch else ''}"
        )
        self._in_flight[ticket] = work
        self._loop.give.remote(ticket, json.dumps(_portable(work.unit)))
        self._on_event("started", work, None)

    def _collect(self, driver: Driver) -> None:
        """Wait for events, at most a second, so that progress stays alive."""
        ray = quiet_ray()
        ready, _ = ray.wait([self._poll], timeout=1.0)
        if not ready:
            self._on_event("tick", None, None)
            return
        events = ray.get(self._poll)
        self._poll = self._loop.events.remote(1.0)
        for kind, ticket, detail in events:
            if kind == "ended":
                raise self._broken(detail)
            self._take(driver, ticket, {"failure": detail} if kind == "failed" else detail)
        if not events:
            self._on_event("tick", None, None)

    def _take(self, driver: Driver, ticket: str, result: dict[str, Any]) -> None:
        work = self._in_flight.pop(ticket)
        if work is self._alone:
            self._alone = None
        result = checked(result)
        final = driver.finish(work, result)
        if final is not None:
            self._on_event("finished" if final else "crashed", work, result)

    def _end(self, seconds: float) -> None:
        """Let Tune write its logs for at most `seconds`, fetch them where they are away, and end everything."""
        ray = quiet_ray()
        if self._loop is None:
            return
        try:
            (self._loop.close if seconds == CLOSE_SECONDS else self._loop.stop).remote()
            ray.wait([self._fit], timeout=seconds)
            if self._away:
                _unpack(ray.get(self._loop.packed.remote(), timeout=seconds), self.folder)
            ray.kill(self._loop)
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


def _unpack(archive: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
