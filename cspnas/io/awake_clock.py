"""A clock that stands still while its process does: after Ctrl-Z, `scontrol suspend`, or a night with the lid closed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

BEAT_SECONDS = 0.25
# Between two beats of a process that runs, however busy its machine is.
MOST_BEAT_SECONDS = 1.0


class AwakeClock:
    """Seconds, monotonic. Of a time between two beats that is longer than `MOST_BEAT_SECONDS`, only one beat counts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last, self._stood_still = clock, clock(), 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Now. Each call is a beat."""
        with self._lock:
            now = self._clock()
            passed, self._last = now - self._last, now
            if passed > MOST_BEAT_SECONDS:
                self._stood_still += passed - BEAT_SECONDS
            return now - self._stood_still


@contextmanager
def awake_clock() -> Iterator[AwakeClock]:
    """One that a thread calls all the time, whatever else the process is busy with."""
    clock, ended = AwakeClock(), threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            clock()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield clock
    finally:
        ended.set()
        thread.join()
