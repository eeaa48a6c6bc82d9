"""Memory control groups of the kernel's, version 1 or 2, made for a test and removed after it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
UNLIMITED = 1 << 60  # version 1 has a number of this size for none


@dataclass(frozen=True)
class Group:
    """`folder` is the group's; its files have other names in each version."""

    folder: Path

    @property
    def first_version(self) -> bool:
        """Whether it is of version 1."""
        return (self.folder / "memory.limit_in_bytes").exists()

    def _file(self, first: str, second: str) -> Path:
        return self.folder / (first if self.first_version else second)

    @property
    def used(self) -> int:
        """Bytes."""
        return int(self._file("memory.usage_in_bytes", "memory.current").read_text())

    @property
    def limited(self) -> bool:
        """Whether it has a limit of its own."""
        text = self._file("memory.limit_in_bytes", "memory.max").read_text().strip()
        return text != "max" and int(text) < UNLIMITED

    def limit(self, size: int) -> None:
        """To so many bytes, swap included where there is some."""
        self._file("memory.limit_in_bytes", "memory.max").write_text(str(size))
        with suppress(OSError):
            self._file("memory.memsw.limit_in_bytes", "memory.swap.max").write_text(
                str(size) if self.first_version else "0"
            )

    @property
    def kills(self) -> int:
        """Of the kernel for want of memory, in this group."""
        lines = self._file("memory.oom_control", "memory.events").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))

    def enter(self) -> None:
        """This process, and those that it starts, are counted here."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))


@contextmanager
def memory_group() -> Iterator[Group | str]:
    """A group below the one that this process is in, so that it has no more memory than that; else why there is none."""
    try:
        made = _make()
    except OSError as error:
        yield f"{error.filename}: {error.strerror}"
        return
    try:
        yield made
    finally:
        deadline = time.monotonic() + 10
        while made.folder.exists() and time.monotonic() < deadline:  # processes that were killed are still leaving it
            with suppress(OSError):
                made.folder.rmdir()
            time.sleep(0.05)


def _make() -> Group:
    """Raises OSError where this process may not, or the group that it is in cannot give memory on (version 2)."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    paths = {names: path for _, names, path in (line.split(":", 2) for line in lines)}
    parent = ROOT / "memory" / paths["memory"].lstrip("/") if "memory" in paths else ROOT / paths[""].lstrip("/")
    made = Group(parent / f"cspnas-test-{os.getpid()}")
    made.folder.mkdir()
    try:
        made.kills, made.used, made.limited  # noqa: B018 (where memory is not counted, there are no such files)
    except (OSError, StopIteration) as error:
        made.folder.rmdir()
        raise OSError(1, "memory is not counted in it", str(made.folder)) from error
    return made
