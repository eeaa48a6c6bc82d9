"""What a person sees while a search runs, always on stderr: a line for each training that ends, and on a terminal a display
below them that stays in place.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from cspnas.errors import FailureKind, printable
from cspnas.io.quantities import counted, format_duration
from cspnas.io.standard_streams import tell
from cspnas.io.steps import PER_SECOND, on_terminal
from cspnas.io.wrapping import GAP
from cspnas.objectives.objectives import format_objective
from cspnas.runners.protocol import RunEvent
from cspnas.searching.run import Session
from cspnas.study.failures import MAX_ATTEMPTS, quarantined
from cspnas.study.states import Outcome
from cspnas.training.payload import Failure, ResultPayload

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

# Columns of the display: a terminal that is resized, but to no fewer than 80, has nothing to wrap anew.
WIDEST = 79
# Columns.
LEAST_BAR = 8


class Progress:
    """Hears the runner's events, from one thread. On a terminal `end` has to be called, however the search ends."""

    def __init__(self, session: Session) -> None:
        self.driver, self.study = session.driver, session.study
        self.results = self.driver.results
        self._start, self._before = time.monotonic(), self.results.finished
        self._drawn = self._start
        self._display = _Display() if on_terminal(sys.stderr) else None
        workers = f"{counted(len(session.devices), 'worker')} on {', '.join(sorted(set(session.devices)))}"
        resumed = f", continuing after {counted(self._before, 'training')}" if self._before else ""
        self._say(f"{counted(self.study.trials, 'training')}, {workers}, sampler {self.study.sampler}{resumed}")
        self._draw()

    def __call__(self, kind: str, work: Any, detail: Any) -> None:
        """One event of the runner."""
        if kind in (RunEvent.FINISHED, RunEvent.CRASHED):
            self._say(self._finished(kind, work, detail))
        if kind == RunEvent.REUSED:
            accuracy = format_objective("accuracy", detail["accuracy"])
            self._say(f"reused: {accuracy}, network {detail['digest'][:12]}, not trained again")
        # Of hundreds of workers each epoch is an event.
        if time.monotonic() - self._drawn >= 1 / PER_SECOND:
            self._draw()

    def end(self) -> None:
        """Take the display away; the lines above it stay."""
        if self._display is not None:
            self._display.end()
            self._display = None

    def _say(self, text: str) -> None:
        if self._display is not None:
            self._display.say(text)
        else:
            tell(text)

    def _draw(self) -> None:
        if self._display is not None:
            self._drawn = time.monotonic()
            self._display.draw(self.results.finished, self.study.trials, self._pace(), self._state())

    def _finished(self, kind: str, work: Any, result: ResultPayload) -> str:
        network = self.results.networks[work.digest]
        failure = result.get("failure")
        outcome = _failed(kind, failure) if failure else format_objective("accuracy", result["accuracy"])
        repeat = next(one.repeat for one in network.evaluations if one.id == work.evaluation_id)
        source = network.source if not repeat else f"seed {repeat + 1} of {network.source}"
        trial = self.results.trials.get(work.digest)
        source += "" if trial is None else f", trial {trial}"
        costs = ", ".join(
            f"{format_objective(name, network.value(name))} {name}"
            for name in self.study.objectives
            if name != "accuracy"
        )
        line = f"[{self.results.finished}/{self.study.trials}] {outcome:>7}  {costs}  {source}"
        return line if self._display is not None else f"{line}  | {', '.join((*self._pace(), *self._state()))}"

    def _pace(self) -> list[str]:
        """How much runs, how fast, and how long it will be."""
        fresh, elapsed = self.results.finished - self._before, time.monotonic() - self._start
        rate = 60 * fresh / elapsed if fresh else 0.0
        unfinished = self.study.trials - self.results.finished
        left = f"{format_duration(60 * unfinished / rate)} left" if rate else "time left unknown"
        return [f"{self.results.in_flight} running", f"{rate:.1f}/min", left]

    def _state(self) -> list[str]:
        """What was found, and what else became of suggestions."""
        front = self.results.front()
        best = format_objective("accuracy", front[0].accuracy) if front else "-"
        failed = [f"{self.results.failed} failed"] if self.results.failed else []
        others = [
            f"{number} {outcome}"
            for outcome, number in sorted(self.driver.outcomes.items())
            if outcome != Outcome.TRAINING
        ]
        return [
            f"front {len(front)}",
            f"hypervolume {self.results.hypervolume():.4f}",
            f"best {best}",
            *failed,
            *others,
        ]


class _Display:
    """The bar and what is known so far, redrawn in place by rich; other lines on stderr appear above it, ours and others'.

    It is drawn when it is told to, by no thread, and never wider than the terminal is at that moment.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        # stdout is the command's result, and may be a pipe.
        self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
        self._live.start()
        # A killed search leaves the terminal in order.
        self._console.show_cursor(True)

    def say(self, text: str) -> None:
        """A line above the display."""
        self._console.print(printable(text), markup=False, emoji=False, highlight=False)

    def draw(self, done: int, total: int, pace: list[str], state: list[str]) -> None:
        """Anew, with these figures."""
        self._live.update(_Figures(done, total, pace, state), refresh=True)

    def end(self) -> None:
        """Take it away."""
        self._live.stop()


@dataclass(frozen=True, slots=True)
class _Figures:
    """`done` of `total` trainings and a bar, how fast they go, and on a line of its own what they found."""

    done: int
    total: int
    pace: list[str]
    state: list[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        columns = min(options.max_width - 1, WIDEST)
        count, pace = f"{self.done}/{self.total}", GAP.join(self.pace)
        room = columns - len(count) - len(pace) - 2 * len(GAP)
        beside = room >= LEAST_BAR
        if not beside:
            room = max(1, columns - len(count) - len(GAP))
        row = Table.grid(padding=(0, len(GAP), 0, 0), pad_edge=False)
        bar = ProgressBar(max(1, self.total), self.done, width=room)
        row.add_row(Text(count), bar, *([Text(pace)] if beside else []))
        yield row
        for parts in [self.state] if beside else [self.pace, self.state]:
            yield Text("\n".join(packed(parts, columns)), style="dim")


def packed(parts: list[str], columns: int) -> list[str]:
    """`parts` in lines of at most `columns`, broken between parts where that is possible."""
    joined = GAP.join(part.replace(" ", "\xa0") for part in parts)
    return [line.replace("\xa0", " ") for line in wrap(joined, max(1, columns))]


def _failed(event: str, failure: Failure) -> str:
    kind = failure["kind"]
    if event != RunEvent.CRASHED:
        return f"failed ({kind} {MAX_ATTEMPTS} times: quarantined)" if quarantined(kind) else f"failed ({kind})"
    how = "alone and in smaller parts" if kind == FailureKind.OUT_OF_MEMORY else "again"
    return f"failed ({kind}, trying {how})"
