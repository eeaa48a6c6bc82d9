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


_heard: list[int] = []


def exit_code() -> int:
    """Of a command that was interrupted, as a shell has it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP. The
    first of several counts.
    """
    return 128 + (_heard[0] if _heard else signal.SIGINT)


def raise_on_signals() -> None:
    """From here on the first of them raises KeyboardInterrupt, and a second Ctrl-C does. Under `nohup` SIGHUP is ignored,
    and stays so.
    """
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            _heard.clear()
            signal.signal(number, _raise)


def _raise(number: int, frame: FrameType | None) -> None:
    _heard.append(number)
    if len(_heard) == 1 or _in_a_hurry(_heard):
        raise KeyboardInterrupt


def _in_a_hurry(heard: list[int]) -> bool:
    """Whether the last signal is somebody's second Ctrl-C. Whatever else is sent to a process that ends already, as a
    closed terminal and a batch system do, changes nothing.
    """
    return heard[-1] == signal.SIGINT and heard.count(signal.SIGINT) > 1


@contextmanager
def interrupts() -> Iterator[list[int]]:
    """A list that the signals fill: an exception at any point could be swallowed by a callback or cut a step in two.

    A second Ctrl-C is of somebody who does not want to wait, and raises after all.
    """
    seen: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        _heard.append(number)
        if _in_a_hurry(seen):
            raise KeyboardInterrupt

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
