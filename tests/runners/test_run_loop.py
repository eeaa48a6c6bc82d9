"""The loop alone: a runner and a work source in memory, which a test lets do what real ones do at their worst."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cspnas.errors import CspnasError
from cspnas.io.awake_clock import AwakeClock
from cspnas.network.architecture import Architecture
from cspnas.runners.protocol import Done, RunEvent, Wait, Work, checkpoint_of
from cspnas.runners.run_loop import LATE_SECONDS, MOST_STILLBORN, run_loop
from cspnas.runners.runner import START_SECONDS, Began, Ended, EpochDone, Placed, RunnerEvent, Stillborn
from cspnas.study.failures import failure
from cspnas.training.recipe import Recipe

GOOD = {"accuracy": 0.5}
OUT_OF_MEMORY, CRASHED, DEAD = failure("out of memory", "no"), failure("crashed", "gone"), failure("crashed", "exit 1")


class Source:
    """`count` trainings, each tried again as `Work.again` says; `results` are those that somebody waited for."""

    def __init__(self, count: int, seconds: float | None = None) -> None:
        self._new = [_work(number, seconds) for number in range(1, count + 1)]
        self._again: list[Work] = []
        self._open: dict[int, Work] = {}
        self.results: list[tuple[int, int, int | None, Mapping[str, Any]]] = []
        self.finished: Callable[[], None] = lambda: None

    def suggest(self) -> Work | Wait | Done:
        """Those that are tried again, then new ones."""
        if not self._new and not self._again:
            return Wait() if self._open else Done("all trained")
        work = (self._again or self._new).pop(0)
        self._open[work.evaluation_id] = work
        return work

    def finish(self, work: Work, result: Mapping[str, Any]) -> bool | None:
        """As the driver does: only the try that is under way counts."""
        awaited = self._open.get(work.evaluation_id)
        if awaited is None or awaited.try_number != work.try_number:
            return None
        self.results.append((work.evaluation_id, *work.try_number, result))
        found = result.get("failure")
        again = work.again(found["kind"]) if found else None
        del self._open[work.evaluation_id]
        if again is not None:
            self._open[work.evaluation_id] = again
            self._again.append(again)
        self.finished()
        return again is None


class Scripted:
    """Trainings in memory. `script` has what a worker tells, by evaluation and by how often that was given; else it trains
    well. `now` is the loop's clock: each `collect` that has nothing to tell takes a second.
    """

    logs = "the logs"

    def __init__(self, devices: list[str], folder: Path, script: Mapping[tuple[int, int], list[Any]]) -> None:
        self.devices, self.folder, self._script = devices, folder, script
        self._told: list[deque[RunnerEvent]] = []
        self.given: list[tuple[int, int, int | None]] = []  # slot, evaluation, micro-batch
        self.running: dict[int, Work] = {}  # by slot
        self.beside: list[list[int]] = []  # evaluations that ran on the same device as each was given
        self.cancelled: list[tuple[int, float]] = []
        self.now, self.closed = 0.0, list[bool]()
        self.pause: dict[int, float] = {}  # seconds that the process stands still, by the number of the `collect`
        self._collected = 0

    def precision(self) -> str:
        """Nobody asks."""
        return "float32"

    def kinds(self) -> list[str]:
        """Nobody asks."""
        return ["scripted"]

    def speed(self, networks: Sequence[Architecture], recipe: Recipe) -> None:
        """Nobody asks."""

    def start(self) -> None:
        """Nothing to start."""

    def submit(self, slot: int, work: Work) -> None:
        """Its events come one in a `collect`."""
        assert slot not in self.running, "a slot with two trainings"
        self.running[slot] = work
        self.given.append((slot, work.evaluation_id, work.micro_batch))
        on_device = [other for at, other in self.running.items() if self.devices[at] == self.devices[slot]]
        self.beside.append([other.evaluation_id for other in on_device if other is not work])
        times = sum(given[1] == work.evaluation_id for given in self.given)
        steps = self._script.get((work.evaluation_id, times), [Placed, Began, GOOD])
        self._told.append(deque(_event(step, work) for step in steps))

    def collect(self, seconds: float) -> list[RunnerEvent]:
        """The next one of each training."""
        self._collected += 1
        assert self._collected < 3600, "no end"
        self.now += self.pause.get(self._collected, 0.0)
        self._told = [told for told in self._told if told]
        events = [told.popleft() for told in self._told]
        self.now += 0.0 if events else seconds
        for event in events:
            if isinstance(event, Ended | Stillborn):
                self.running = {slot: work for slot, work in self.running.items() if work is not event.work}
        return events

    def cancel(self, work: Work, failure: dict[str, Any]) -> None:
        """Its worker is killed: the next event says so."""
        self.cancelled.append((work.evaluation_id, self.now))
        self._told.append(deque([Ended(work, {"failure": failure})]))

    def wind_down(self) -> list[RunnerEvent]:
        """The last word of each training that runs."""
        return [told[-1] for told in self._told if told]

    def close(self, *, finished: bool = False) -> None:
        """Note how."""
        self.closed.append(finished)


def _event(step: Any, work: Work) -> RunnerEvent:
    if step is Placed:
        return Placed(work, START_SECONDS)
    if step is DEAD:
        return Stillborn(work, step["failure"])
    return step(work) if callable(step) else Ended(work, step)


def _epoch(work: Work) -> RunnerEvent:
    return EpochDone(work, 0.25)


def _work(number: int, seconds: float | None) -> Work:
    unit = {"seed": 0, "recipe": {"batch_size": 64, "epochs": 1}}
    return Work(number, f"{number:016}" * 4, 1, unit, seconds=seconds)


class Loop:
    """A run to its end; `heard` is what a search is told, without the ticks."""

    def __init__(
        self,
        folder: Path,
        count: int,
        script: Mapping[tuple[int, int], list[Any]],
        devices: tuple[str, ...] = ("cpu",),
        seconds: float | None = None,
    ) -> None:
        self.source, self.runner = Source(count, seconds), Scripted(list(devices), folder, script)
        self.heard: list[tuple[str, int | None, Any]] = []

    def run(self) -> str:
        """Why it ended."""
        return run_loop(self.runner, self.source, self._on_event, AwakeClock(lambda: self.runner.now))

    def _on_event(self, kind: RunEvent, work: Work | None, detail: Any) -> None:
        if kind != "tick":
            self.heard.append((kind, work.evaluation_id if work else None, detail))


def test_every_training_is_started_and_finished_once_and_its_checkpoint_removed(tmp_path: Path) -> None:
    loop = Loop(tmp_path, 3, {(1, 1): [Placed, Began, _epoch, GOOD]}, ("cpu", "cpu"))
    path = checkpoint_of(tmp_path, _work(2, None))
    path.parent.mkdir()
    path.write_bytes(b"standing")
    assert loop.run() == "all trained"
    assert sorted(result[0] for result in loop.source.results) == [1, 2, 3]
    assert [heard for heard in loop.heard if heard[1] == 1] == [
        ("started", 1, None),
        ("epoch", 1, 0.25),
        ("finished", 1, GOOD),
    ]
    assert [slot for slot, _, _ in loop.runner.given] == [0, 1, 1]
    assert not path.exists() and loop.runner.closed == [True]


def test_what_wanted_memory_is_alone_on_its_device_in_parts_while_other_devices_go_on(tmp_path: Path) -> None:
    """Its second try waits for the device's other training, and the device gets nothing beside it."""
    devices = ("cuda:0", "cuda:1", "cuda:0", "cuda:1")
    script = {(1, 1): [OUT_OF_MEMORY], (3, 1): [Placed, Began, *[_epoch] * 20, GOOD]}
    loop = Loop(tmp_path, 9, script, devices)
    loop.run()
    place = loop.runner.given.index((0, 1, 16))
    assert loop.runner.beside[place] == []
    before = loop.runner.given[4:place]
    assert before and {devices[slot] for slot, _, _ in before} == {"cuda:1"}
    assert not any(1 in beside for beside in loop.runner.beside[place + 1 :])
    assert [heard[0] for heard in loop.heard if heard[1] == 1] == ["started", "crashed", "started", "finished"]
    assert sorted(result[0] for result in loop.source.results) == [1, *range(1, 10)]


def test_what_waits_to_be_alone_starts_though_another_device_has_nothing_to_do(tmp_path: Path) -> None:
    """The source says Wait to the free slot of the first device as long as that training has not ended."""
    script = {(2, 1): [OUT_OF_MEMORY], (3, 1): [Placed, Began, *[_epoch] * 9, GOOD]}
    loop = Loop(tmp_path, 3, script, ("cuda:0", "cuda:1", "cuda:1"))
    loop.run()
    assert loop.runner.given[-1][1:] == (2, 16)


def test_work_of_a_stillborn_worker_is_given_again_as_the_same_try(tmp_path: Path) -> None:
    loop = Loop(tmp_path, 1, {(1, times): [Placed, DEAD] for times in range(1, MOST_STILLBORN)})
    assert loop.run() == "all trained"
    assert loop.runner.given == [(0, 1, None)] * MOST_STILLBORN
    assert loop.source.results == [(1, 1, None, GOOD)]
    assert loop.heard == [("started", 1, None), ("finished", 1, GOOD)]


def test_ten_stillborn_workers_in_a_row_end_the_search_in_one_line(tmp_path: Path) -> None:
    """One that begins in between sets the count back; what it had is the source's to be tried again."""
    dead = {(1, times): [Placed, DEAD] for times in range(1, 3 * MOST_STILLBORN)}
    loop = Loop(tmp_path, 1, dead | {(1, MOST_STILLBORN): [Placed, Began, CRASHED]})
    with pytest.raises(CspnasError) as caught:
        loop.run()
    assert str(caught.value) == (
        f"{tmp_path}: 10 workers in a row ended before they began (exit 1); see the logs there; the same command "
        "continues the search"
    )
    assert len(loop.runner.given) == 2 * MOST_STILLBORN
    assert loop.source.results == [(1, 1, None, {**CRASHED, "accuracy": None})] and loop.runner.closed == [False]


def test_late_and_double_results_change_nothing(tmp_path: Path) -> None:
    """A second end, and all that a runner says of a training after it."""
    first: list[Work] = []

    def once(work: Work) -> RunnerEvent:
        first.append(work)
        return Ended(work, CRASHED)

    def late(event: Callable[..., RunnerEvent], *detail: Any) -> Callable[[Work], RunnerEvent]:
        return lambda work: event(first[0], *detail)

    again = [
        Placed,
        late(Ended, GOOD),
        late(Began),
        late(Stillborn, CRASHED["failure"]),
        Began,
        GOOD,
        {"accuracy": 0.9},
    ]
    script = {(1, 1): [Placed, Began, once], (1, 2): again}
    loop = Loop(tmp_path, 2, script)
    loop.run()
    assert loop.source.results == [(1, 1, None, {**CRASHED, "accuracy": None}), (1, 2, None, GOOD), (2, 1, None, GOOD)]
    assert [heard[0] for heard in loop.heard] == ["started", "crashed", "started", "finished", "started", "finished"]


class TakenOver(Source):
    """Another search has the first training by now."""

    def finish(self, work: Work, result: Mapping[str, Any]) -> bool | None:
        """Nobody waits for the first one's result."""
        final = super().finish(work, result)
        return None if work.evaluation_id == 1 else final


def test_a_result_that_the_source_does_not_want_is_not_told_and_keeps_its_checkpoint(tmp_path: Path) -> None:
    loop = Loop(tmp_path, 2, {})
    loop.source = TakenOver(2)
    path = checkpoint_of(tmp_path, _work(1, None))
    path.parent.mkdir()
    path.write_bytes(b"standing")
    loop.run()
    assert loop.heard == [("started", 1, None), ("started", 2, None), ("finished", 2, GOOD)]
    assert path.read_bytes() == b"standing"


def test_a_training_past_its_time_has_its_worker_replaced_and_the_slot_goes_on(tmp_path: Path) -> None:
    loop = Loop(tmp_path, 2, {(1, 1): [Placed, Began]}, seconds=7.0)
    loop.run()
    timeout = failure("timeout", "no result after 7 s (search.timeout); its worker was replaced")
    assert loop.source.results == [(1, 1, None, {**timeout, "accuracy": None}), (2, 1, None, GOOD)]
    ((_, when),) = loop.runner.cancelled
    assert 7.0 < when <= 7.0 + LATE_SECONDS + 2.0


def test_a_training_has_its_time_from_its_beginning_and_ten_minutes_to_begin(tmp_path: Path) -> None:
    """None of it is counted before a worker has it: it may wait for a place on a busy cluster."""
    loop = Loop(tmp_path, 2, {(1, 1): [Placed], (2, 1): []}, ("cpu", "cpu"), seconds=5.0)
    with pytest.raises(_EnoughError):
        run_loop(loop.runner, loop.source, _until(loop, 3000), lambda: loop.runner.now)
    ((evaluation, when),) = loop.runner.cancelled
    assert evaluation == 1 and START_SECONDS + 5.0 < when <= START_SECONDS + 5.0 + LATE_SECONDS + 2.0


class _EnoughError(Exception):
    """Ends a test."""


def _until(loop: Loop, seconds: float) -> Callable[[RunEvent, Work | None, Any], None]:
    def on_event(kind: RunEvent, work: Work | None, detail: Any) -> None:
        if loop.runner.now > seconds:
            raise _EnoughError

    return on_event


def test_while_the_process_stands_still_no_training_gets_late(tmp_path: Path) -> None:
    """Stopped for an hour in the middle of a training, it hears the result, or waits for it as long as before."""
    slow = [Placed, Began, *[_epoch] * 4, GOOD]
    loop = Loop(tmp_path, 1, {(1, 1): slow}, seconds=20.0)
    loop.runner.pause = {4: 3600.0}
    loop.run()
    assert loop.source.results == [(1, 1, None, GOOD)] and loop.runner.cancelled == []


def test_ctrl_c_ends_the_loop_after_the_step_that_it_came_in(tmp_path: Path) -> None:
    """The result that was being taken is recorded and told; nothing more is begun."""
    loop = Loop(tmp_path, 3, {})
    before = signal.getsignal(signal.SIGINT)
    loop.source.finished = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert loop.heard == [("started", 1, None), ("finished", 1, GOOD)]
    assert loop.runner.given == [(0, 1, None)] and loop.runner.closed == [False]
    assert signal.getsignal(signal.SIGINT) is before
