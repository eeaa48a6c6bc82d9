"""The standard streams as a command needs them: open, able to take any character, and flushed where it can be reported."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


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


def flush() -> None:
    """Raises OSError for output that could not be written, while there is still someone to report it."""
    sys.stdout.flush()


def abandon() -> None:
    """Nothing more goes to stdout: what is in its buffer must not raise again when the process ends."""
    with suppress(OSError, AttributeError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
