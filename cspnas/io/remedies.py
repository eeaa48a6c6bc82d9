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


def remedy(error: OSError) -> str:
    """For the error's number; where nothing better is known, another place to write to."""
    return _REMEDIES.get(error.errno or 0, "choose another --storage")
