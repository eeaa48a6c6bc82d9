"""The machine's memory, read from files that say a known number, and this process's while it grows."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from cspnas.io.machine_memory import free_memory, own_memory

GIB, MIB = 1 << 30, 1 << 20


def test_free_memory_is_the_machines_or_the_containers(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4096 kB\n")
    assert free_memory(tmp_path / "meminfo", tmp_path) == 4 * MIB
    (tmp_path / "memory.current").write_text("1048576\n")
    for bound, free in (("max", 4 * MIB), (str(3 * MIB), 2 * MIB), ("5", 0), (str(GIB), 4 * MIB)):
        (tmp_path / "memory.max").write_text(f"{bound}\n")
        assert free_memory(tmp_path / "meminfo", tmp_path) == free
    assert 0 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_own_memory_is_seen_to_grow() -> None:
    before = own_memory()
    held = torch.ones(16 << 20)  # 64 MiB
    assert 60 * MIB < own_memory() - before < 80 * MIB and held.numel()
