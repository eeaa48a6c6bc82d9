"""Runs a driver's work in long-lived spawned processes on this machine, one training a process at a time."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from cspnas.driver import Driver
from cspnas.runners.interrupts import interrupts
from cspnas.runners.worker import worker_main
from cspnas.work import Done, Work

MOST_PER_CORE = 4
MOST_PER_GPU = 64


@dataclass(slots=True)
class Slot:
    """One worker process and what it works on."""

    device: str
    process: BaseProcess
    connection: Connection
    lifeline: Connection  # held open as long as this process lives
    work: Work | None = None


class LocalRunner:
    """`devices` has one entry a worker. `on_event(kind, work, detail)` hears of started, epoch, finished, crashed, tick."""

    def __init__(self, devices: list[str], on_event: Callable[[str, Work | None, Any], None]) -> None:
        self._devices, self._on_event = devices, on_event
        self._slots: list[Slot] = []

    def run(self, driver: Driver) -> str:
        """Work until the driver is done; its reason. However this ends, no worker is left behind.

        Raises KeyboardInterrupt after Ctrl-C, never in the middle of a step.
        """
        try:
            self._slots = [_spawn(device) for device in self._devices]
            with interrupts() as interrupted:
                while not interrupted:
                    reason = self._fill(driver)
                    if reason is not None:
                        return reason
                    self._collect(driver)
            raise KeyboardInterrupt
        finally:
            for slot in self._slots:
                _stop(slot)

    def _fill(self, driver: Driver) -> str | None:
        """Give every idle worker something to do; the reason to stop where there is none and all are idle."""
        for slot in self._slots:
            if slot.work is not None:
                continue
            work = driver.suggest()
            if isinstance(work, Done):
                return work.reason
            if not isinstance(work, Work):
                return None
            slot.work = work
            self._on_event("started", work, None)
            try:
                slot.connection.send_bytes(json.dumps(work.unit).encode())
            except OSError:  # it died while idle; _collect sees that next
                continue
        return None

    def _collect(self, driver: Driver) -> None:
        """Wait for one message or one death, at most a second, so that progress stays alive."""
        by_handle: dict[Any, Slot] = {slot.connection: slot for slot in self._slots}
        ready = wait(list(by_handle), timeout=1.0)
        if not ready:
            self._on_event("tick", None, None)
        for handle in ready:
            self._receive(driver, by_handle[handle])

    def _receive(self, driver: Driver, slot: Slot) -> None:
        try:
            message = json.loads(slot.connection.recv_bytes())
        except (EOFError, OSError):
            self._replace(driver, slot)
            return
        assert slot.work is not None
        if "epoch" in message:
            self._on_event("epoch", slot.work, message["epoch"])
            return
        work, slot.work = slot.work, None
        final = driver.finish(work, message["result"])
        self._on_event("finished" if final else "crashed", work, message["result"])

    def _replace(self, driver: Driver, slot: Slot) -> None:
        """A worker that died: its training is tried again by a new one."""
        slot.process.join(5)
        code = slot.process.exitcode
        work, device = slot.work, slot.device
        _stop(slot)
        self._slots[self._slots.index(slot)] = _spawn(device)
        if work is not None:
            failure = {"kind": "crashed", "message": f"the worker process ended with exit code {code}"}
            final = driver.finish(work, {"failure": failure})
            self._on_event("finished" if final else "crashed", work, {"failure": failure})


def _spawn(device: str) -> Slot:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    life_theirs, life_ours = context.Pipe(duplex=False)
    process = context.Process(target=worker_main, args=(theirs, life_theirs, device, 1), daemon=True)
    with _environment(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1"):  # read when torch is imported
        process.start()
    theirs.close()
    life_theirs.close()
    return Slot(device, process, ours, life_ours)


def _stop(slot: Slot) -> None:
    slot.process.kill()
    slot.process.join(5)
    slot.connection.close()
    slot.lifeline.close()


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _cpu_workers(workers: int) -> int:
    """The number of processes on the CPU; each holds torch and the data, and trains with one thread."""
    from cspnas.errors import InputError

    cores = len(os.sched_getaffinity(0))
    if workers > MOST_PER_CORE * cores:
        raise InputError(
            f"{workers} workers",
            expected=f"at most {MOST_PER_CORE * cores}, {MOST_PER_CORE} for each of {cores} cores",
            where="--workers",
            do="leave it out for one per core",
        )
    return workers or cores


def devices_for(choice: str, workers: int, per_gpu: int) -> list[str]:
    """One device a worker for `auto`, `cpu` or `cuda:0,1`. Raises InputError for a device that is not there."""
    import torch

    from cspnas.errors import InputError

    gpus = list(range(torch.cuda.device_count()))
    if choice == "cpu" or (choice == "auto" and not gpus):
        return ["cpu"] * _cpu_workers(workers)
    if per_gpu > MOST_PER_GPU:
        raise InputError(f"{per_gpu} trainings on each GPU", expected=f"at most {MOST_PER_GPU}", where="--per-gpu")
    if choice not in ("auto", "cuda"):
        names = choice.removeprefix("cuda:").split(",")
        if not choice.startswith("cuda:") or not all(re.fullmatch("[0-9]{1,4}", name) for name in names):
            shown = choice if len(choice) <= 60 else choice[:57] + "..."
            raise InputError(f"device {shown!r}", expected="auto, cpu, cuda or cuda:0,1", where="--device")
        missing = sorted({int(name) for name in names} - set(gpus))
        if missing:
            raise InputError(f"GPU {missing[0]}", expected=f"one of the {len(gpus)} GPUs here", where="--device")
        gpus = [int(name) for name in names]
    if not gpus:
        raise InputError("no GPU", expected="at least one for cuda", where="--device", do="use --device cpu")
    slots = [f"cuda:{gpu}" for _ in range(per_gpu) for gpu in gpus]
    return slots[:workers] if workers else slots
