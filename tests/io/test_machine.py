"""The machine's memory and processors, read from files that say a known number, and this process's memory while it grows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from cspnas.io.machine import free_memory, own_memory, usable_cpus

GIB, MIB = 1 << 30, 1 << 20


def test_free_memory_is_the_machines_or_the_containers(tmp_path: Path) -> None:
    """What the kernel keeps of files it gives back at once; it is no use of memory."""
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4096 kB\n")
    assert free_memory(tmp_path, tmp_path, tmp_path) == 4 * MIB
    (tmp_path / "memory.current").write_text("1048576\n")
    for bound, free in (("max", 4 * MIB), (str(3 * MIB), 2 * MIB), ("5", 0), (str(GIB), 4 * MIB)):
        (tmp_path / "memory.max").write_text(f"{bound}\n")
        assert free_memory(tmp_path, tmp_path, tmp_path) == free
    (tmp_path / "memory.max").write_text(f"{3 * MIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {MIB // 2}\n")
    assert free_memory(tmp_path, tmp_path, tmp_path) == 2.5 * MIB
    assert 0 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_tightest_bound_of_a_memory_group_and_those_above_it_counts_in_both_versions(tmp_path: Path) -> None:
    """Version 1 says that nothing bounds a group by a number that no machine has."""
    (tmp_path / "meminfo").write_text(f"MemAvailable: {GIB >> 10} kB\n")
    for line, top, files in (
        ("7:memory:/job/step", tmp_path / "1" / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")),
        ("0::/job/step", tmp_path / "2", ("memory.max", "memory.current")),
    ):
        (top / "job" / "step").mkdir(parents=True)
        for folder, bound, used in ((top, 1 << 63, MIB), (top / "job", 8 * MIB, 5 * MIB), (top / "job/step", GIB, MIB)):
            for name, number in zip(files, (bound, used), strict=True):
                (folder / name).write_text(f"{number}\n")
        (tmp_path / "membership").write_text(f"{line}\n")
        root = top.parent if top.name == "memory" else top
        assert free_memory(tmp_path, root, tmp_path / "membership") == 3 * MIB


@pytest.mark.parametrize(
    ("membership", "files", "cpus"),
    [
        ("0::/", {"cpu.max": "100000 100000"}, 1),
        ("0::/", {"cpu.max": "150000 100000"}, 2),
        ("0::/", {"cpu.max": "max 100000"}, 8),
        ("0::/a", {"cpu.max": "max 100000", "a/cpu.max": "5000 100000"}, 1),
        ("0::/of/the/host", {"cpu.max": "200000 100000"}, 2),
        ("4:cpu,cpuacct:/a", {"cpu/a/cpu.cfs_quota_us": "100000", "cpu/a/cpu.cfs_period_us": "100000"}, 1),
        ("4:cpu,cpuacct:/gone", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ("4:cpu,cpuacct:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("", {}, 8),
    ],
)
def test_a_containers_quota_bounds_the_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str], cpus: int
) -> None:
    """Of a machine of eight, in files as the kernel writes them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "membership").write_text(membership + "\n")
    assert usable_cpus(tmp_path, tmp_path / "membership") == cpus


def test_without_what_only_linux_has_the_whole_machine_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracles: Python's count of processors, and the physical pages."""
    monkeypatch.delattr(os, "sched_getaffinity")
    nothing = tmp_path / "nothing"
    assert usable_cpus(nothing, nothing) == os.cpu_count()
    assert free_memory(nothing, nothing, nothing) == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.5 * own_memory() < own_memory(nothing) < 1 << 40


def test_own_memory_is_seen_to_grow() -> None:
    before = own_memory()
    held = torch.ones(16 << 20)  # 64 MiB
    assert 60 * MIB < own_memory() - before < 80 * MIB and held.numel()
