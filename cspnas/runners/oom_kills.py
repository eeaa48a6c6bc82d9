"""How often the kernel has killed a process for want of memory: what tells such a SIGKILL from one by hand.

The kernel counts a kill for the control group of the process before it sends the signal. Workers are in the group of
the search that started them, so its own counter is the most exact one; where it cannot be read, those that stand for more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cspnas.io.control_groups import MEMBERSHIP, ROOT, groups

FIRST_TO_GO = (
    # Of 1000: a worker is one training, the search's own process is the search; a leak of others' goes first.
    800
)
# Of versions 1 and 2.
COUNTERS = ("memory.oom_control", "memory.events")
ELSEWHERE = (
    # The whole machine.
    "/proc/vmstat",
    # The container, cgroup version 2.
    "/sys/fs/cgroup/memory.events",
    # Version 1.
    "/sys/fs/cgroup/memory/memory.oom_control",
)


class MemoryKills:
    """The kernel's kills as one search sees them: each explains the end of one worker, not of a second one."""

    def __init__(self, count: Callable[[], int] | None = None) -> None:
        self.count, self._explained = count or memory_kills, 0

    def explain(self, before: int) -> bool:
        """Whether a worker that was killed by SIGKILL was killed by the kernel; `before`: the count when its work began."""
        since = max(before, self._explained)
        if self.count() <= since:
            return False
        self._explained = since + 1
        return True


def memory_kills(membership: Path = MEMBERSHIP, root: Path = ROOT) -> int:
    """The counter of this process's control group, else the sum of all that can be read; only its growth means something."""
    files = [group / name for group in groups("memory", root, membership) for name in COUNTERS]
    own = [count for file in files if (count := _count(file)) is not None]
    return own[0] if own else sum(_count(Path(path)) or 0 for path in ELSEWHERE)


def offer_to_kernel() -> None:
    """This process is to be killed before the one that started it, where memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO))


def _count(path: Path) -> int | None:
    try:
        found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None
