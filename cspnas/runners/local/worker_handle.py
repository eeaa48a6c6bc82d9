"""One worker process: started, spoken to without ever waiting for it, and ended."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from cspnas.errors import FailureKind
from cspnas.runners.local.worker import worker_main
from cspnas.runners.oom_kills import MemoryKills
from cspnas.runners.protocol import Work
from cspnas.runners.runner import Began, Ended, EpochDone, RunnerEvent
from cspnas.runners.worker_log import size, tail
from cspnas.study.failures import failure


@dataclass(slots=True)
class WorkerHandle:
    """A worker process and what it works on."""

    device: str
    process: BaseProcess
    connection: Connection
    lifeline: Connection  # held open as long as this process lives
    log: Path
    memory_kills: MemoryKills = field(default_factory=MemoryKills)
    work: Work | None = None
    began: bool = False  # anything at all
    kills: int = 0  # of the kernel for want of memory, when the work was sent
    log_start: int = 0
    _received: bytearray = field(default_factory=bytearray)

    def send(self, work: Work, checkpoint: Path) -> None:
        """Give it something to do; one that is dead is found out by `read`."""
        self.work, self.kills, self.log_start = work, self.memory_kills.count(), size(self.log)
        with suppress(OSError):
            self.connection.send_bytes(json.dumps({**work.unit, "checkpoint": str(checkpoint)}).encode())

    def read(self) -> list[dict[str, Any]]:
        """The messages that are whole; `Connection.recv_bytes` would wait for one that a stopped worker began.

        Raises EOFError where the worker is gone.
        """
        try:
            received = os.read(self.connection.fileno(), 1 << 20)
        except OSError:
            received = b""
        if not received:
            raise EOFError
        self._received += received
        return list(self._whole())

    def _whole(self) -> Iterator[dict[str, Any]]:
        """The frames of multiprocessing's connections below 2 GiB: four bytes of length, then the message."""
        while len(self._received) >= 4:
            end = 4 + int.from_bytes(self._received[:4], "big")
            if len(self._received) < end:
                return
            yield json.loads(self._received[4:end])
            del self._received[:end]

    def hear(self, message: dict[str, Any]) -> RunnerEvent:
        """What a message of the worker says of its work."""
        work = self.work
        assert work is not None
        if "began" in message:
            self.began = True
            return Began(work)
        if "epoch" in message:
            return EpochDone(work, message["epoch"])
        self.work = None
        return Ended(work, self.told(message["result"]))

    def lost(self) -> dict[str, Any]:
        """The result of the work of a worker that is gone."""
        self.process.join(5)
        code = self.process.exitcode
        if code == -signal.SIGKILL and self.memory_kills.explain(self.kills):
            return self.told(
                failure(FailureKind.OUT_OF_MEMORY, "the kernel killed the worker process for want of memory")
            )
        return self.told(failure(FailureKind.CRASHED, f"the worker process ended {_how(code)}"))

    def told(self, result: dict[str, Any]) -> dict[str, Any]:
        """`result` with what the worker printed during this work, if it failed."""
        printed = tail(self.log, self.log_start)
        if not result.get("failure") or not printed:
            return result
        return result | {"failure": {**result["failure"], "log": printed}}

    def stop(self) -> None:
        """End it, even if it is stopped."""
        self.process.kill()
        self.process.join(5)
        self.connection.close()
        self.lifeline.close()


def spawn(device: str, evaluator: str, log: Path, memory_kills: MemoryKills) -> WorkerHandle:
    """A new worker; what it prints is appended to `log`. `memory_kills`: one for all workers of a search."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    life_theirs, life_ours = context.Pipe(duplex=False)
    arguments = (theirs, life_theirs, device, evaluator, str(log))
    process = context.Process(target=worker_main, args=arguments, daemon=True)
    with _without_script():
        process.start()
    theirs.close()
    life_theirs.close()
    return WorkerHandle(device, process, ours, life_ours, log, memory_kills)


@contextmanager
def _without_script() -> Iterator[None]:
    """`spawn` has each new process run the calling script first. One that searches would search again, in every worker."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"by signal {signal.Signals(-code).name}"
    return f"with exit code {code}"
