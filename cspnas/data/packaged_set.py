"""The data set that is packaged with cspnas: its name, and the folder of its files."""

from __future__ import annotations

from pathlib import Path

PACKAGED = Path(__file__).parent / "packaged"
MINI = "fashion-mnist-mini"
