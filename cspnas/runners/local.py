"""Runs a driver's work in long-lived spawned processes on this machine, one training a process at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from cspnas.errors import CspnasError, StorageError
from cspnas.failures import checked, failure
from cspnas.output import remove
from cspnas.runners.interrupts import interrupts
from cspnas.runners.memory_kills import MemoryKills
from cspnas.runners.protocol import Done, Work, WorkSource, checkpoint_of
from cspnas.runners.slot import Slot, spawn

MOST_STILLBORN = 10


def start(slots: list[Slot], devices: list[str], evaluator: str, folder: Path) -> None:
    """Append a new worker for each device; they import what they need while this process goes on."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        memory_kills = MemoryKills()
        for number, device in enumerate(devices):
            log = folder / f"worker-{number}.log"
            log.write_bytes(b"")
            slots.append(spawn(device, evaluator, log, memory_kills))
    except OSError as error:
        do = "free some disk space, or choose another --storage"
        raise StorageError(f"{error.filename or folder}: {error.strerror}; {do}") from None


def stop(slots: list[Slot]) -> None:
    """End all workers."""
    for slot in slots:
        slot.process.kill()  # all at once, then one by one
    while slots:
        slots.pop().stop()


class LocalRunner:
    """`devices` has one entry a worker. `on_event(kind, work, detail)` hears of started, epoch, finished, crashed, tick.

    `evaluator` is MODULE:NAME of what makes an evaluator from a device; what workers print goes to files in `folder`.
    `slots`: workers that were started before.
    """

    def __init__(
        self,
        devices: list[str],
        on_event: Callable[[str, Work | None, Any], None],
        *,
        folder: Path,
        evaluator: str,
        slots: list[Slot] | None = None,
    ) -> None:
        self._devices, self._on_event, self._folder, self._evaluator = devices, on_event, folder, evaluator
        self._slots: list[Slot] = [] if slots is None else slots
        self._stillborn = 0  # workers in a row that ended before they began anything
        self._alone: dict[str, Work] = {}  # device -> what waits for it to be empty, or has it to itself

    def run(self, driver: WorkSource) -> str:
        """Work until the driver is done; its reason. However this ends, no worker is left behind.

        Raises KeyboardInterrupt after Ctrl-C, never in the middle of a step.
        """
        try:
            if not self._slots:
                start(self._slots, self._devices, self._evaluator, self._folder)
            with interrupts() as interrupted:
                while not interrupted:
                    reason = self._fill(driver)
                    if reason is not None:
                        return reason
                    self._collect(driver)
            raise KeyboardInterrupt
        finally:
            stop(self._slots)

    def _fill(self, driver: WorkSource) -> str | None:
        """Give every idle worker something to do; the reason to stop where there is none and all are idle."""
        for slot in self._slots:
            if slot.work is not None:
                continue
            if slot.device not in self._alone:
                work = driver.suggest()
                if isinstance(work, Done):
                    return work.reason
                if not isinstance(work, Work):
                    return None
                if work.micro_batch is None:
                    self._give(slot, work)
                    continue
                self._alone[slot.device] = work
            if not any(other.work for other in self._slots if other.device == slot.device):
                self._give(slot, self._alone[slot.device])
        return None

    def _give(self, slot: Slot, work: Work) -> None:
        slot.send(work, time.monotonic(), checkpoint_of(self._folder, work))
        self._on_event("started", work, None)

    def _collect(self, driver: WorkSource) -> None:
        """Wait for messages or deaths, at most a second, so that progress stays alive."""
        by_handle: dict[Any, Slot] = {slot.connection: slot for slot in self._slots}
        ready = wait(list(by_handle), timeout=1.0)
        if not ready:
            self._on_event("tick", None, None)
        for handle in ready:
            self._receive(driver, by_handle[handle])
        # What lies ready was sent in time, even if this process itself stood still.
        now = time.monotonic()
        for slot in [slot for slot in self._slots if slot.work is not None and now > slot.deadline]:
            if not slot.connection.poll():
                self._hung(driver, slot)

    def _receive(self, driver: WorkSource, slot: Slot) -> None:
        try:
            messages = slot.read()
        except EOFError:
            self._replace(driver, slot, slot.lost())
            return
        for message in messages:
            assert slot.work is not None
            if "began" in message:
                self._stillborn, slot.began = 0, True
                slot.deadline = time.monotonic() + (slot.work.seconds or float("inf"))
            elif "epoch" in message:
                self._on_event("epoch", slot.work, message["epoch"])
            else:
                self._end(driver, slot, slot.told(message["result"]))

    def _hung(self, driver: WorkSource, slot: Slot) -> None:
        assert slot.work is not None
        message = f"no result after {slot.work.seconds:.0f} s (search.timeout); its worker was replaced"
        self._replace(driver, slot, slot.told(failure("timeout", message)))

    def _replace(self, driver: WorkSource, slot: Slot, result: dict[str, Any]) -> None:
        """A new worker for one that is gone or hangs, whose work ends so; one that never began says nothing of its work."""
        slot.stop()
        fresh = spawn(slot.device, self._evaluator, slot.log, slot.memory_kills)
        self._slots[self._slots.index(slot)] = fresh
        if not slot.began:
            self._count_stillborn(result)
        if slot.work is not None and slot.began:
            self._end(driver, slot, result)
        elif slot.work is not None:
            fresh.send(slot.work, time.monotonic(), checkpoint_of(self._folder, slot.work))

    def _count_stillborn(self, result: dict[str, Any]) -> None:
        """Raises CspnasError where no worker comes to life: that is no fault of the networks."""
        self._stillborn += 1
        if self._stillborn >= MOST_STILLBORN:
            told = result["failure"]
            last = told.get("log", told["message"]).rpartition("\n")[2]
            raise CspnasError(
                f"{self._folder}: {self._stillborn} workers in a row ended before they began ({last}); see the logs "
                "there; the same command continues the search"
            )

    def _end(self, driver: WorkSource, slot: Slot, result: dict[str, Any]) -> None:
        work, slot.work = slot.work, None
        assert work is not None
        if self._alone.get(slot.device) is work:
            del self._alone[slot.device]
        result = checked(result)
        final = driver.finish(work, result)
        if final:
            remove(checkpoint_of(self._folder, work))
        if final is not None:
            self._on_event("finished" if final else "crashed", work, result)
