"""What a command is doing while it has nothing to print yet: on stderr, in plain lines, or one passing line of a terminal."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from cspnas.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# `cli` imports this module first: nearly when the command was typed.
COMMAND_STARTED = time.monotonic()
# Seconds of silence, from the start of the command, before the first line.
SILENT_SECONDS = 1.0
# Seconds that a step lasts before it is worth the first line: what is refused sooner stays one line.
LEAST = 0.3
# Set in the environment: steps are not told.
QUIET = "CSPNAS_QUIET"
# Seconds between two lines on one step.
REPEAT_SECONDS = 5.0
# Most redraws of a terminal.
PER_SECOND = 4.0


class Step(Protocol):
    """Hears `text` when a step begins, and again with the `share` of it (0 to 1) that is done."""

    def __call__(self, text: str, share: float | None = None) -> None:
        """Hear it."""


def silent(text: str, share: float | None = None) -> None:
    """A `Step` that tells nobody."""


def on_terminal(stream: Any) -> bool:
    """Whether what is written there can be redrawn in place; a pipe, a file and a dumb terminal take plain lines."""
    return bool(stream.isatty()) and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


@contextmanager
def steps() -> Iterator[Steps]:
    """A `Step` for this block, which leaves nothing behind on a terminal."""
    told = Steps()
    try:
        yield told
    finally:
        told.end()


class Steps:
    """The first line comes when the command has been silent for `SILENT_SECONDS`: what is refused at once stays one line."""

    def __init__(self) -> None:
        self._text, self._share = "", 0.0
        # When the last line was.
        self._told: float | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._shown: tuple[Progress, TaskID] | None = None

    def __call__(self, text: str, share: float | None = None) -> None:
        """As `Step`."""
        with self._lock:
            text = printable(text)
            begins, self._text, self._share = text != self._text, text, share or 0.0
            if self._told is not None:
                self._tell(begins)
            elif self._timer is None:
                self._tell_later()

    def end(self) -> None:
        """Nothing more is told."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            shown, self._text, self._timer, self._shown = self._shown, "", None, None
        if shown is not None:
            shown[0].stop()

    def _tell_later(self) -> None:
        if os.environ.get(QUIET):
            return
        self._timer = threading.Timer(max(LEAST, COMMAND_STARTED + SILENT_SECONDS - time.monotonic()), self._first)
        self._timer.daemon = True
        self._timer.start()

    def _first(self) -> None:
        with self._lock:
            if self._text:
                self._tell(True)

    def _tell(self, begins: bool) -> None:
        now = time.monotonic()
        if on_terminal(sys.stderr):
            self._redraw(begins)
        elif begins or (self._share and now - (self._told or 0.0) >= REPEAT_SECONDS):
            with suppress(OSError):
                sys.stderr.write(f"{self._text}: {self._share:.0%}\n" if self._share else f"{self._text}\n")
                sys.stderr.flush()
        else:
            return
        self._told = now

    def _redraw(self, begins: bool) -> None:
        if self._shown is None:
            progress = _passing()
            self._shown = progress, progress.add_task("")
            progress.start()
            # A killed command leaves the terminal in order.
            progress.console.show_cursor(True)
        progress, task = self._shown
        total = 1.0 if self._share else None
        progress.update(task, description=self._text, total=total, completed=self._share, refresh=begins)


def _passing() -> Progress:
    """One line of a terminal that goes when it is stopped: a spinner, the step, a bar where its length is known, the time."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    columns = (SpinnerColumn("line"), text, BarColumn(20), TimeElapsedColumn())
    console = Console(stderr=True)
    # stdout is the command's result, and may be a pipe.
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, refresh_per_second=PER_SECOND)
