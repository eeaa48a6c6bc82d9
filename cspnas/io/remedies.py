"""What a person can do where the operating system refuses something."""

from __future__ import annotations

import errno

_REMEDIES = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some disk space, or have the quota raised",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n), or lower --workers",
    errno.ENFILE: "close other programs: the machine's files are all open",
    errno.EAGAIN: "raise the limit of processes (ulimit -u), or lower --workers",
    errno.ENOMEM: "free some memory, raise its limit (ulimit -v), or lower --workers",
}


# What Python and the dynamic loader say where the number is lost.
_SIGNS = {
    "failed to map segment": errno.ENOMEM,
    "annot allocate memory": errno.ENOMEM,
    "can't start new thread": errno.EAGAIN,
}


_SCARCE = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def shortage(error: BaseException) -> str | None:
    """The line for an error that says, in whatever way, that the system did not give something; None for all others."""
    number = error.errno if isinstance(error, OSError) else errno.ENOMEM if isinstance(error, MemoryError) else None
    number = next((number for sign, number in _SIGNS.items() if sign in str(error)), number)
    if number not in _SCARCE:
        return None
    reason = " ".join(str(error).split())[:200] or "out of memory"
    return f"{reason}; {_REMEDIES[number]}"


def remedy(error: OSError) -> str:
    """For the error's number; where nothing better is known, another place to write to."""
    return _REMEDIES.get(error.errno or 0, "choose another --storage")
