"""Long-lived processes on this machine, one training a process at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from cspnas.io.remedies import remedy
from cspnas.io.standard_streams import tell
from cspnas.network.architecture import Architecture
from cspnas.runners.local.worker_handle import WorkerHandle, start_worker
from cspnas.runners.oom_kills import MemoryKills
from cspnas.runners.protocol import Work, checkpoint_of
from cspnas.runners.runner import START_SECONDS, Ended, Placed, RunnerEvent, Stillborn
from cspnas.runners.training_estimate import Speed, speed_here
from cspnas.runners.worker_log import begin
from cspnas.training.payload import Failure, ResultPayload
from cspnas.training.recipe import Recipe

# For a training's step and its checkpoint; a container gets 10 s after SIGTERM.
WIND_DOWN_SECONDS = 5.0


class LocalRunner:
    """`devices` has one entry a worker; `evaluator` is MODULE:NAME of what makes an evaluator from a device.

    What workers print goes to files in `folder`.
    """

    logs = "the logs"

    def __init__(self, devices: list[str], folder: Path, evaluator: str) -> None:
        self.devices, self.folder, self._evaluator = devices, folder, evaluator
        # By slot.
        self._workers: list[WorkerHandle] = []
        # That nobody has collected yet.
        self._events: list[RunnerEvent] = []

    def precision(self) -> str:
        """Measured in this process."""
        import torch

        from cspnas.training.train import faster_precision

        return faster_precision(torch.device(self.devices[0]))

    def speed(self, networks: Sequence[Architecture], recipe: Recipe) -> Speed | None:
        """Measured in this process."""
        return speed_here(self.devices, networks, recipe)

    def kinds(self) -> list[str]:
        """Read in this process."""
        import torch

        from cspnas.training.latency import device_name

        return sorted({device_name(torch.device(device)) for device in self.devices})

    def start(self) -> None:
        """Workers import torch, which takes them longer than a search takes to read its study."""
        if self._workers:
            return
        memory_kills = MemoryKills()
        for number, device in enumerate(self.devices):
            log = self._begin_log(self.folder / f"worker-{number}.log")
            self._workers.append(start_worker(device, self._evaluator, log, memory_kills))

    def _begin_log(self, log: Path) -> Path:
        """An empty one; a line on stderr where there can be none, which is no reason not to train."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            begin(log)
        except OSError as error:
            tell(
                f"note: {error.filename or log}: {error.strerror}; the search goes on, what this worker prints is lost; "
                f"{remedy(error)}"
            )
        return log

    def submit(self, slot: int, work: Work) -> None:
        """Send it to the slot's worker, which may still be importing."""
        worker = self._workers[slot]
        worker.send(work, checkpoint_of(self.folder, work))
        self._events.append(Placed(work, 0.0 if worker.began else START_SECONDS))

    def collect(self, seconds: float) -> list[RunnerEvent]:
        """Messages and deaths; a worker that is gone is replaced."""
        workers: dict[Any, WorkerHandle] = {worker.connection: worker for worker in self._workers}
        for ready in wait(list(workers), timeout=0 if self._events else seconds):
            worker = workers[ready]
            try:
                self._events += [worker.hear(message) for message in worker.read()]
            except EOFError:
                self._replace(worker, worker.lost())
        events, self._events = self._events, []
        return events

    def cancel(self, work: Work, failure: Failure) -> None:
        """At once; a result that this process has read already comes first."""
        for worker in [worker for worker in self._workers if worker.work is work]:
            self._replace(worker, worker.told({"failure": failure}))

    def _replace(self, worker: WorkerHandle, result: ResultPayload) -> None:
        """A new worker for one that is gone or hangs, whose work ends so; one that never began says nothing of its work."""
        worker.stop()
        fresh = start_worker(worker.device, self._evaluator, worker.log, worker.memory_kills)
        self._workers[self._workers.index(worker)] = fresh
        failed = result.get("failure")
        if failed and not worker.began:
            self._events.append(Stillborn(worker.work, failed))
        elif worker.work is not None:
            self._events.append(Ended(worker.work, result))

    def wind_down(self) -> list[RunnerEvent]:
        """Workers that train keep their training's standing and end."""
        for worker in self._workers:
            if worker.began and worker.work is not None:
                worker.ask_to_end()
            else:
                worker.process.kill()
        events: list[RunnerEvent] = []
        left: dict[Any, WorkerHandle] = {worker.connection: worker for worker in self._workers}
        until = time.monotonic() + WIND_DOWN_SECONDS
        while left and (seconds := until - time.monotonic()) > 0:
            for ready in wait(list(left), timeout=seconds):
                try:
                    events += [left[ready].hear(message) for message in left[ready].read()]
                except EOFError:
                    del left[ready]
        return events

    def close(self, *, finished: bool = False) -> None:
        """End all workers."""
        for worker in self._workers:
            # All at once, then one by one.
            worker.process.kill()
        while self._workers:
            self._workers.pop().stop()
