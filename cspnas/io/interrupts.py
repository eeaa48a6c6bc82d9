"""Ctrl-C, SIGTERM and SIGHUP: all three ask to end in order, and are heard between two steps where a step must be whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Set in a worker process that is asked to keep its training's standing and to end.
stop_asked = threading.Event()


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: as Ctrl-C, with an exit code of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def interruption(number: int) -> KeyboardInterrupt:
    """What a signal raises."""
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)


def exit_code(error: BaseException | None) -> int:
    """Of a command that was interrupted, as a shell has it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP."""
    return 128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)


def raise_on_termination() -> None:
    """From here on SIGTERM and SIGHUP raise `Terminated`. Under `nohup` SIGHUP is ignored, and stays so."""
    for number in SIGNALS[1:]:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    raise interruption(number)


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """A list that the signals fill: an exception at any point could be swallowed by a callback or cut a step in two.

    A third signal is of somebody who does not want to wait, and raises after all.
    """
    seen: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 2:
            raise interruption(number)

    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    ignored = [number for number in SIGNALS[1:] if signal.getsignal(number) in (signal.SIG_IGN, None)]
    heard = [number for number in SIGNALS if number not in ignored]
    before = [signal.signal(number, hear) for number in heard]
    try:
        yield seen
    finally:
        for number, handler in zip(heard, before, strict=True):
            signal.signal(number, handler)
