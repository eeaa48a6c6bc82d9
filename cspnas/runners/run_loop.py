"""The loop of a search: work into free slots, results to its source, whatever runs the trainings."""

from __future__ import annotations

import time
from collections.abc import Callable

from cspnas.errors import CspnasError, FailureKind
from cspnas.io.atomic_write import remove
from cspnas.io.interrupts import interrupts
from cspnas.runners.protocol import Done, OnEvent, RunEvent, Wait, Work, WorkSource, checkpoint_of
from cspnas.runners.runner import Began, Ended, EpochDone, Placed, Runner, RunnerEvent, Stillborn
from cspnas.study.failures import validated_result
from cspnas.training.payload import Failure, ResultPayload

MOST_STILLBORN = 10
# Without an event, so that progress stays alive.
TICK_SECONDS = 1.0
# Past its deadline, in which a result that is on its way is heard.
LATE_SECONDS = 1.0


def run_loop(runner: Runner, source: WorkSource, on_event: OnEvent, clock: Callable[[], float] = time.monotonic) -> str:
    """Work until the source is done; its reason. However this ends, the runner is closed.

    Raises KeyboardInterrupt after Ctrl-C, SIGTERM or SIGHUP, never in the middle of a step, and CspnasError where no worker
    comes to life.
    """
    reason, loop = None, _Loop(runner, source, on_event, clock)
    try:
        runner.start()
        with interrupts() as interrupted:
            while not interrupted:
                reason = loop.fill()
                if reason is not None:
                    return reason
                loop.collect()
            for event in runner.wind_down():
                loop.hear(event)
        raise KeyboardInterrupt
    finally:
        runner.close(finished=reason is not None)


class _Loop:
    """One step after the other: `fill`, `collect`."""

    def __init__(self, runner: Runner, source: WorkSource, on_event: OnEvent, clock: Callable[[], float]) -> None:
        self._runner, self._source, self._on_event, self._clock = runner, source, on_event, clock
        # By slot.
        self._running: dict[int, Work] = {}
        # Of those that a worker has; in seconds of the loop's clock.
        self._deadlines: dict[int, float] = {}
        # Device -> what waits for it to be empty, or has it to itself.
        self._alone: dict[str, Work] = {}
        # Workers in a row that ended before they began anything.
        self._stillborn = 0

    def fill(self) -> str | None:
        """Give every free slot something to do; the source's reason where it is done."""
        for slot, device in self._free():
            if device in self._alone and self._is_empty(device):
                self._start(slot, self._alone[device])
        for slot, device in self._free():
            if device in self._alone:
                continue
            work = self._source.suggest()
            if isinstance(work, Done):
                return work.reason
            if isinstance(work, Wait):
                return None
            if work.micro_batch is not None:
                self._alone[device] = work
            if work.micro_batch is None or self._is_empty(device):
                self._start(slot, work)
        return None

    def _free(self) -> list[tuple[int, str]]:
        return [(slot, device) for slot, device in enumerate(self._runner.devices) if slot not in self._running]

    def _is_empty(self, device: str) -> bool:
        return all(self._runner.devices[slot] != device for slot in self._running)

    def _start(self, slot: int, work: Work) -> None:
        self._submit(slot, work)
        self._on_event(RunEvent.STARTED, work, None)

    def _submit(self, slot: int, work: Work) -> None:
        self._running[slot] = work
        self._deadlines.pop(slot, None)
        self._runner.submit(slot, work)

    def collect(self) -> None:
        """Take what happened, and have the workers replaced that were past their time before."""
        before = self._clock()
        events = self._runner.collect(TICK_SECONDS)
        for event in events:
            self.hear(event)
        if not events:
            self._on_event(RunEvent.TICK, None, None)
        for slot in [slot for slot, deadline in self._deadlines.items() if before > deadline + LATE_SECONDS]:
            del self._deadlines[slot]
            work = self._running[slot]
            message = f"no result after {work.seconds:.0f} s (search.timeout); its worker was replaced"
            self._runner.cancel(work, {"kind": FailureKind.TIMEOUT, "message": message})

    def hear(self, event: RunnerEvent) -> None:
        """An event of a training that nobody waits for any more changes nothing."""
        slot = next((slot for slot, work in self._running.items() if work is event.work), None)
        if isinstance(event, Stillborn):
            self._count_stillborn(event.failure)
        if slot is None:
            return
        match event:
            case Placed(work, seconds):
                self._expect(slot, work, seconds)
            case Began(work):
                self._stillborn = 0
                self._expect(slot, work, 0.0)
            case EpochDone(work, accuracy):
                self._on_event(RunEvent.EPOCH, work, accuracy)
            case Ended(work, result):
                self._end(slot, work, validated_result(result))
            case Stillborn():
                self._submit(slot, self._running[slot])

    def _expect(self, slot: int, work: Work, seconds: float) -> None:
        """A result within the time that the training may take after so many seconds."""
        if work.seconds:
            self._deadlines[slot] = self._clock() + seconds + work.seconds

    def _count_stillborn(self, failure: Failure) -> None:
        """Raises CspnasError where no worker comes to life: that is no fault of the networks."""
        self._stillborn += 1
        if self._stillborn >= MOST_STILLBORN:
            last = failure.get("log", failure["message"]).rpartition("\n")[2]
            raise CspnasError(
                f"{self._runner.folder}: {self._stillborn} workers in a row ended before they began ({last}); see "
                f"{self._runner.logs} there; the same command continues the search"
            )

    def _end(self, slot: int, work: Work, result: ResultPayload) -> None:
        device = self._runner.devices[slot]
        del self._running[slot]
        self._deadlines.pop(slot, None)
        if self._alone.get(device) is work:
            del self._alone[device]
        final = self._source.finish(work, result)
        if final:
            remove(checkpoint_of(self._runner.folder, work))
        if final is not None:
            self._on_event(RunEvent.FINISHED if final else RunEvent.CRASHED, work, result)
