"""The standard streams as a command needs them: open, able to take any character, and flushed where it can be reported.

What people read goes through `say` (results, on stdout) and `tell` (all else, on stderr).
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

from cspnas.errors import printable


def repair_standard_streams() -> None:
    """Open what is closed, so that no database gets the number of a stream; replace what a terminal cannot show."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest free number: this one. Workers need it, too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


class _Unfailing(io.FileIO):
    """Takes everything: what nobody reads, or no disk has room for, is lost."""

    def write(self, data: Any) -> int:
        """All bytes of `data` count as written."""
        with suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes


def never_fail(*names: str) -> None:
    """Writing to these standard streams raises nothing from here on: nothing is to end for want of a reader."""
    for name in names:
        stream = getattr(sys, name)
        # Who put another stream there knows what writing to it is to do.
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            raw = io.BufferedWriter(_Unfailing(stream.fileno(), "w", closefd=False))
            setattr(sys, name, io.TextIOWrapper(raw, stream.encoding, "replace", line_buffering=True))


def say(text: str) -> None:
    """Lines on stdout; control characters in them are escaped."""
    sys.stdout.write("\n".join(map(printable, text.split("\n"))) + "\n")


def tell(text: str) -> None:
    """A line on stderr, at once; control characters in it are escaped."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def flush() -> None:
    """Raises OSError for output that could not be written, while there is still someone to report it."""
    sys.stdout.flush()


def abandon() -> None:
    """Nothing more goes to stdout: what is in its buffer must not raise again when the process ends."""
    with suppress(OSError, AttributeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
