"""How often the kernel has killed a process for want of memory: what tells such a SIGKILL from another."""

from __future__ import annotations

import re
from pathlib import Path

COUNTERS = (
    "/proc/vmstat",  # the whole machine
    "/sys/fs/cgroup/memory.events",  # the container, cgroup version 2
    "/sys/fs/cgroup/memory/memory.oom_control",  # version 1
)


def memory_kills(counters: tuple[str, ...] = COUNTERS) -> int:
    """The sum of the counters that can be read; only its growth means something."""
    return sum(_count(Path(counter)) for counter in counters)


def _count(path: Path) -> int:
    try:
        found = re.search(r"^oom_kill (\d+)$", path.read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0
