"""A file that one process at a time holds: the kernel gives it back with the process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
from pathlib import Path


class HeldError(Exception):
    """Another process holds the lock; the text says which one."""


class FileLock:
    """Held from `acquire` to `release` or the process's end; the file says who holds it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises HeldError with the holder's pid and host; OSError for a place where no file can be, or something else is."""
        descriptor = self._hold()
        # Deleted by another that could not sign it.
        while not self._is_there(descriptor):
            os.close(descriptor)
            descriptor = self._hold()
        self._sign(descriptor)
        self._descriptor = descriptor

    def release(self, *, delete: bool = False) -> None:
        """Let the next one in; `delete`: and leave no file, as far as that can be."""
        if self._descriptor is not None:
            if delete:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _hold(self) -> int:
        # A link would have this write into a file of somebody's; a pipe would wait for its other end.
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o666)
        try:
            _check_regular(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(os.read(descriptor, 1000))
            os.close(descriptor)
            raise HeldError(holder) from None
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _is_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except OSError:
            return False

    def _sign(self, descriptor: int) -> None:
        """Say who holds it; on a full disk an empty lock would be left."""
        try:
            os.truncate(descriptor, 0)
            os.write(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        except OSError:
            self.path.unlink(missing_ok=True)
            os.close(descriptor)
            raise


def _check_regular(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "found a device or a pipe, expected a file")


def _holder(text: bytes) -> str:
    try:
        holder = json.loads(text)
        return f"pid {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "pid unknown"
