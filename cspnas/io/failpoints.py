"""Places where a test can have this process killed: at each boundary of what is made durable.

Nothing happens at any of them unless `arm` was called, which the command does for $CSPNAS_FAILPOINT (NAME or NAME@COUNT).
"""

from __future__ import annotations

import os
import signal

from cspnas.errors import InputError

FAILPOINTS = (
    # A transaction of the study's tables is complete, but not committed.
    "commit.before",
    # It is committed, and nobody has been told.
    "commit.after",
    # Results are committed, Optuna's tables do not have them yet.
    "projection.before",
    # They do.
    "projection.after",
    # A file is written whole by its temporary name.
    "file.before",
    # It has its own name.
    "file.after",
)
VARIABLE = "CSPNAS_FAILPOINT"

# Name -> how often it is still passed.
_armed: dict[str, int] = {}


def arm(text: str | None) -> None:
    """Have this process killed (SIGKILL) at the COUNT-th pass of NAME, counted from 1; None: nowhere.

    Raises InputError for a name that is none.
    """
    _armed.clear()
    if not text:
        return
    name, _, count = text.partition("@")
    if name not in FAILPOINTS or not (count or "1").isdecimal():
        raise InputError(
            f"failpoint {text!r}", expected=f"one of {', '.join(FAILPOINTS)}, or NAME@COUNT", where=VARIABLE
        )
    _armed[name] = int(count or 1)


def hit(name: str) -> None:
    """Pass a failpoint."""
    if name in _armed:
        _armed[name] -= 1
        if _armed[name] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
