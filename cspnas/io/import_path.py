"""Where other processes of ours look for modules: in the working folder last, if at all.

A `random.py` of the user's that happens to lie there is none of Python's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE_FOLDER = Path(__file__).parents[2]


def import_path() -> list[str]:
    """`sys.path` without the working folder; with it as the last entry where PYTHONPATH names it or cspnas lies there."""
    here = Path.cwd()
    named = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), str(PACKAGE_FOLDER)]
    kept = [entry for entry in sys.path if not _is(entry, here)]
    return kept + ([str(here)] if any(_is(entry, here) for entry in named) else [])


def _is(entry: str, folder: Path) -> bool:
    try:
        return folder.samefile(entry or ".")
    except OSError:
        return False
