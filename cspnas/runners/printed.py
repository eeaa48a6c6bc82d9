"""What a worker process prints: into a file of its own, and its last lines out of it again."""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path

from cspnas.failures import LOG_CHARACTERS


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
    """The last `LOG_CHARACTERS` of what stands in the file after `start`, from the beginning of a line."""
    try:
        with path.open("rb") as file:
            file.seek(max(start, size(path) - LOG_CHARACTERS))
            cut = file.tell() > start
            text = file.read(LOG_CHARACTERS).decode(errors="replace")
    except OSError:
        return ""
    return (text.partition("\n")[2] or text if cut else text).replace("\0", "").strip()
