"""What a person sees while a network trains, always on stderr: a line for each epoch, and on a terminal a bar below them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cspnas.io.quantities import counted, format_duration
from cspnas.io.standard_streams import tell
from cspnas.io.steps import PER_SECOND, on_terminal

if TYPE_CHECKING:
    from rich.progress import Progress

    from cspnas.training.train import Epoch, TrainingState

# Seconds between two lines within an epoch, where stderr is no terminal.
LINE_SECONDS = 30.0


class TrainingFigures:
    """Puts a training of `epochs` on `images` training images into words. Its speed is in training images a second."""

    def __init__(self, epochs: int, images: int, batch_size: int) -> None:
        self.epochs, self.done = epochs, 0
        self._images, self._batch_size, self._epoch_seconds = images, batch_size, 0.0

    def batch(self, standing: TrainingState) -> tuple[float, str]:
        """How many epochs are done after a step, the share of this one counted in, and a line on them."""
        seen = min(standing.step * self._batch_size, self._images)
        share = seen / self._images
        self._epoch_seconds = self._epoch_seconds or standing.seconds / share
        done, loss = standing.epoch + share, standing.losses / standing.step
        pace = self._pace(done, seen / max(standing.seconds, 1e-9), self._epoch_seconds)
        return done, f"epoch {standing.epoch + 1}/{self.epochs} at {share:.0%}: loss {loss:.4f}, {pace}"

    def epoch(self, epoch: Epoch) -> str:
        """The line on an epoch that is done; its time, and so its speed, is with validation."""
        self.done, self._epoch_seconds = self.done + 1, epoch.seconds
        pace = self._pace(self.done, self._images / max(epoch.seconds, 1e-9), epoch.seconds)
        figures = f"loss {epoch.loss:.4f}, validation {100 * epoch.accuracy:.2f}%, {epoch.seconds:.1f} s"
        return f"epoch {self.done}/{self.epochs}: {figures}, {pace}"

    def _pace(self, done: float, speed: float, epoch_seconds: float) -> str:
        left = (self.epochs - done) * epoch_seconds
        return f"{speed:,.0f} images/s" + (f", {format_duration(left)} left" if left else "")


class TrainingDisplay:
    """Hears of each step and each epoch. `bar`: None where stderr is no terminal."""

    def __init__(self, figures: TrainingFigures, bar: Progress | None) -> None:
        self._figures, self._bar, self._last = figures, bar, time.monotonic()
        self._task = None if bar is None else bar.add_task("training", total=figures.epochs)

    def batch(self, standing: TrainingState) -> None:
        """A step is done; it is shown as often as a person can read."""
        now = time.monotonic()
        if now - self._last < (LINE_SECONDS if self._bar is None else 1 / PER_SECOND):
            return
        self._last = now
        done, text = self._figures.batch(standing)
        if self._bar is None:
            tell(text)
        else:
            self._advance(done, text)

    def epoch(self, epoch: Epoch) -> None:
        """An epoch is done: its line stays."""
        text, self._last = self._figures.epoch(epoch), time.monotonic()
        if self._bar is None:
            tell(text)
        else:
            self._bar.console.print(text, markup=False, emoji=False, highlight=False)
            self._advance(self._figures.done, "training")

    def _advance(self, done: float, text: str) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, description=text)


@contextmanager
def training_display(epochs: int, images: int, batch_size: int) -> Iterator[TrainingDisplay]:
    """Shows a training in this block."""
    figures = TrainingFigures(epochs, images, batch_size)
    if not on_terminal(sys.stderr):
        tell(f"training, {counted(epochs, 'epoch')}")
        yield TrainingDisplay(figures, None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    label = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    # stdout is the command's result, and may be a pipe.
    with Progress(BarColumn(10), label, console=Console(stderr=True), redirect_stdout=False, transient=True) as bar:
        yield TrainingDisplay(figures, bar)
