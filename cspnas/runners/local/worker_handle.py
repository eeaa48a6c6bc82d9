"""One worker process: started, spoken to without ever waiting for it, and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

from cspnas.errors import CspnasError, FailureKind
from cspnas.io.import_path import import_path
from cspnas.io.remedies import remedy
from cspnas.runners.oom_kills import MemoryKills
from cspnas.runners.protocol import Work
from cspnas.runners.runner import Began, Ended, EpochDone, RunnerEvent
from cspnas.runners.worker_log import append_to, size, tail
from cspnas.study.failures import failure
from cspnas.training.payload import ResultPayload, WorkerMessage


@dataclass(slots=True)
class WorkerHandle:
    """A worker process and what it works on."""

    device: str
    process: subprocess.Popen[bytes]
    connection: Connection
    # Held open as long as this process lives.
    lifeline: Connection
    log: Path
    memory_kills: MemoryKills = field(default_factory=MemoryKills)
    work: Work | None = None
    # Anything at all.
    began: bool = False
    # Of the kernel for want of memory, when the work was sent.
    kills: int = 0
    log_start: int = 0
    _received: bytearray = field(default_factory=bytearray)

    def send(self, work: Work, checkpoint: Path) -> None:
        """Give it something to do; one that is dead is found out by `read`."""
        self.work, self.kills, self.log_start = work, self.memory_kills.count(), size(self.log)
        with suppress(OSError):
            self.connection.send_bytes(json.dumps({**work.unit, "checkpoint": str(checkpoint)}).encode())

    def read(self) -> list[WorkerMessage]:
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

    def _whole(self) -> Iterator[WorkerMessage]:
        """The frames of multiprocessing's connections below 2 GiB: four bytes of length, then the message."""
        while len(self._received) >= 4:
            end = 4 + int.from_bytes(self._received[:4], "big")
            if len(self._received) < end:
                return
            yield json.loads(self._received[4:end])
            del self._received[:end]

    def hear(self, message: WorkerMessage) -> RunnerEvent:
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

    def lost(self) -> ResultPayload:
        """The result of the work of a worker that is gone."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        code = self.process.returncode
        if code == -signal.SIGKILL and self.memory_kills.explain(self.kills):
            return self.told(
                failure(FailureKind.OUT_OF_MEMORY, "the kernel killed the worker process for want of memory")
            )
        return self.told(failure(FailureKind.CRASHED, f"the worker process ended {_how(code)}"))

    def told(self, result: ResultPayload) -> ResultPayload:
        """`result` with what the worker printed during this work, if it failed."""
        printed, failed = tail(self.log, self.log_start), result.get("failure")
        return {**result, "failure": {**failed, "log": printed}} if failed and printed else result

    def ask_to_end(self) -> None:
        """After a step of its training, whose standing it keeps."""
        with suppress(OSError):
            self.lifeline.send_bytes(b"end")

    def stop(self) -> None:
        """End it, even if it is stopped."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.connection.close()
        self.lifeline.close()


def start_worker(device: str, evaluator: str, log: Path, memory_kills: MemoryKills) -> WorkerHandle:
    """A new worker; all that it prints, from its first moment on, is appended to `log`.

    It imports nothing from the working folder that is Python's or ours, and never runs the calling script, as
    multiprocessing would have it do. `memory_kills`: one for all workers of a search. Raises CspnasError where the system
    does not let it start.
    """
    try:
        return _started(device, evaluator, log, memory_kills)
    except OSError as error:
        raise CspnasError(f"no worker can be started: {error.strerror}; {remedy(error)}") from None


def _started(device: str, evaluator: str, log: Path, memory_kills: MemoryKills) -> WorkerHandle:
    ours, theirs = Pipe()
    life_theirs, life_ours = Pipe(duplex=False)
    passed = (theirs.fileno(), life_theirs.fileno())
    code = f"from cspnas.runners.local.worker import worker_main; worker_main(*{passed}, {device!r}, {evaluator!r})"
    command = [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {import_path()!r}; {code}"]
    with append_to(log) as printed, theirs, life_theirs:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, pass_fds=passed, env=_environment()
        )
    return WorkerHandle(device, process, ours, life_ours, log, memory_kills)


def _environment() -> dict[str, str]:
    """What a worker starts itself does not look into the working folder either."""
    return {**os.environ, "PYTHONSAFEPATH": "1"}


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"by signal {signal.Signals(-code).name}"
    return f"with exit code {code}"
