"""How many processors and how much memory this process can use.

Linux says it best. Where it does not (no `/proc`, no `sched_getaffinity`, as on macOS), the whole machine is taken for free.
"""

from __future__ import annotations

import math
import os
import re
import resource
import sys
from pathlib import Path

from cspnas.io.control_groups import MEMBERSHIP, ROOT, cpu_quota, memory_left

PROC = Path("/proc")


def usable_cpus(cgroup: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Processors that this process may run on, as its affinity and the quota of its container (rounded up) say."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(cgroup, membership)
    return cores if math.isinf(quota) else max(1, min(cores, math.ceil(quota)))


def own_memory(proc: Path = PROC) -> int:
    """Bytes that only this process has (resident and anonymous); elsewhere than on Linux all that it ever had."""
    found = _kibibytes(proc / "self" / "status", "RssAnon")
    if found is not None:
        return found
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


def free_memory(proc: Path = PROC, cgroup: Path = ROOT, membership: Path = MEMBERSHIP) -> int:
    """Bytes that this machine can still give, and its container, if it has a bound."""
    free = _kibibytes(proc / "meminfo", "MemAvailable")
    if free is None:
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(min(free, memory_left(cgroup, membership)))


def _kibibytes(file: Path, name: str) -> int | None:
    """A figure of a file of the kernel's, in bytes; None where it is not there."""
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) << 10 if found else None
