"""What a worker process prints: into a file of its own, and its last lines out of it again."""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspnas.io.standard_streams import never_fail
from cspnas.study.failures import LOG_CHARACTERS

# A fatal signal's report of a process with some threads and libraries is shorter.
READ_BYTES = 16_384
FATAL = "Fatal Python error"
# What lies there in a log's place is neither followed nor waited for.
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK


@contextmanager
def append_to(log: Path) -> Iterator[int]:
    """A descriptor that appends to `log`; where there can be no log, what is printed is lost, and no training with it."""
    try:
        descriptor = os.open(log, FLAGS | os.O_CREAT, 0o666)
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def begin(log: Path) -> None:
    """Make an empty log. A link, a pipe or an older log of that name goes; what a link led to stays as it is.

    Raises OSError where it cannot be written.
    """
    log.unlink(missing_ok=True)
    os.close(os.open(log, FLAGS | os.O_CREAT | os.O_EXCL, 0o666))


def print_to(log: Path) -> None:
    """Append to `log` all that this process prints from here on, Python's last words after a fatal signal included."""
    with append_to(log) as descriptor:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
    never_fail("stdout", "stderr")
    faulthandler.enable()


def size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def tail(path: Path, start: int = 0) -> str:
    """The last `LOG_CHARACTERS` of what stands in the file after `start`, from the beginning of a line.

    After a fatal signal: the last words before it, and the beginning of what Python says of it, which is where it was; what
    follows, and is left out, are the other threads and every extension module.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(start, size(path) - READ_BYTES))
            cut = file.tell() > start
            text = file.read(READ_BYTES).decode(errors="replace")
    except OSError:
        return ""
    fatal = text.rfind(FATAL)
    if fatal >= 0:
        text = text[: fatal + 2 * LOG_CHARACTERS // 3]
    cut = cut or len(text) > LOG_CHARACTERS
    text = text[-LOG_CHARACTERS:]
    return (text.partition("\n")[2] or text if cut else text).replace("\0", "").strip()
