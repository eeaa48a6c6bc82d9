"""Packages that declare entry points of ours, as pip leaves them, and the command line where they are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent


def install(folder: Path, group: str, *values: str) -> None:
    """What pip leaves of a package toy that declares each of `values`, MODULE:NAME, in an entry point group of ours."""
    info = folder / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    points = "".join(f"{value.rpartition(':')[2].lower()} = {value}\n" for value in values)
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}")


def cspnas(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in `folder`, with the packages there installed."""
    path = os.pathsep.join([str(folder), str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "cspnas", *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, timeout=500, check=False
    )
