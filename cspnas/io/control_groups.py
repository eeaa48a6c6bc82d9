"""What a container, or a scheduler's job, may use of its machine: Linux's control groups of version 1 and 2."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def groups(controller: str, root: Path = ROOT, membership: Path = MEMBERSHIP) -> list[Path]:
    """The folders of this process's group and of all above it, its own first: of version 1 where that has the controller.

    In a container only the uppermost may be there, for the others are the machine's.
    """
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines() if line.count(":") >= 2]
    except OSError:
        lines = []
    paths = {name: path for _, names, path in lines for name in names.split(",")}
    first = [*_upwards(root / controller, paths[controller])] if controller in paths else []
    return first or [*_upwards(root, paths.get("", "/"))]


def _upwards(base: Path, path: str) -> Iterator[Path]:
    folder = base / path.lstrip("/")
    for found in (folder, *folder.parents):
        if found.is_relative_to(base) and found.is_dir():
            yield found


def cpu_quota(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float:
    """Seconds of CPU a second, over all cores; infinite where nothing bounds it."""
    return min((_cpu_quota(folder) for folder in groups("cpu", root, membership)), default=float("inf"))


def _cpu_quota(folder: Path) -> float:
    """In version 2 one file has both numbers; in version 1 there are two files, and -1 is no bound."""
    text = _read(folder / "cpu.max") or f"{_read(folder / 'cpu.cfs_quota_us')} {_read(folder / 'cpu.cfs_period_us')}"
    found = re.fullmatch(r"(\d+) ([1-9]\d*)", text)
    return int(found[1]) / int(found[2]) if found else float("inf")


def memory_left(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float:
    """Bytes that this process's groups still give, files that the kernel only keeps for quickness not counted as used;
    infinite where nothing bounds it.
    """
    return min((_memory_left(folder) for folder in groups("memory", root, membership)), default=float("inf"))


def _memory_left(folder: Path) -> float:
    bound = _read(folder / "memory.max") or _read(folder / "memory.limit_in_bytes")
    used = _read(folder / "memory.current") or _read(folder / "memory.usage_in_bytes")
    if not bound.isdecimal() or not used.isdecimal():
        return float("inf")
    kept = re.search(r"^(?:total_)?inactive_file (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
    return max(0, int(bound) - max(0, int(used) - int(kept[1] if kept else 0)))


def _read(file: Path) -> str:
    """Its text; nothing where it is not there."""
    try:
        return file.read_text().strip()
    except OSError:
        return ""
