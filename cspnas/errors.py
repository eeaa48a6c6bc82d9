"""The errors that a user can cause or meet; everything else is a bug of ours and keeps its traceback."""

from __future__ import annotations

from enum import StrEnum

# Of a line of error: what was wrong may be longer than anybody reads.
MOST_CHARACTERS = 2000


def printable(text: str) -> str:
    """`text` with escapes for control characters, line ends and marks of direction: what a file, a name or a database holds
    must not reach the terminal as a command to it.
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def one_line(text: str) -> str:
    """`text` as one printable line of at most `MOST_CHARACTERS`, without the middle of a longer one."""
    line = printable(" ".join(text.split()))
    half = MOST_CHARACTERS // 2
    return line if len(line) <= MOST_CHARACTERS else f"{line[: half - 3]} ... {line[2 - half :]}"


class CspnasError(Exception):
    """The work failed: one line for the user. The command line exits with `exit_code`."""

    exit_code = 1


class InputError(CspnasError):
    """Wrong input: what was found, what was expected, where, and what to do, on one line."""

    exit_code = 2

    def __init__(self, found: str, *, expected: str = "", where: str = "", hint: str = "") -> None:
        self.found, self.expected, self.where, self.hint = found, expected, where, hint
        message = f"{where}: " if where else ""
        message += f"found {found}, expected {expected}" if expected else found
        message += f"; {hint}" if hint else ""
        super().__init__(one_line(message))


class ArchitectureError(InputError):
    """An architecture that cannot exist: an empty part, a pool with nothing left, sizes that differ at a concat."""


class SmallMapError(ArchitectureError):
    """A window or a stride that a map is too small for: larger images would make it fit."""


class StorageError(CspnasError):
    """The study database cannot be read or written: locked, full, read-only or damaged."""

    exit_code = 2


class FailureKind(StrEnum):
    """Why a training gave no result."""

    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out of memory"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    LOST = "lost"
    BAD_DATA = "bad data"


class TrainingError(CspnasError):
    """A training that ended early."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
