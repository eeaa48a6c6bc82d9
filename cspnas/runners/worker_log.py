"""What a worker process prints: into a file of its own, and its last lines out of it again."""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path

from cspnas.study.failures import LOG_CHARACTERS

READ_BYTES = 16_384  # a fatal signal's report of a process with some threads and libraries is shorter
FATAL = "Fatal Python error"


def print_to(log: str | Path) -> None:
    """Append to `log` all that this process prints from here on, Python's last words after a fatal signal included."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
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
