"""The source archive holds what its own tests read, so that whoever unpacks it can build, test and change it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
ALWAYS = {"pyproject.toml"}  # whatever is included


def test_all_that_tests_read_of_the_checkout_is_in_the_archive() -> None:
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]
    included = {*hatch["build"]["targets"]["sdist"]["include"], *ALWAYS}
    texts = [path.read_text() for path in (ROOT / "tests").rglob("*.py")]
    read = {name for text in texts for name in re.findall(r"\bROOT\s*/\s*\"([^\"/]+)", text)}
    there = {name for name in read if (ROOT / name).exists()}
    assert {"docs", "benchmarks", "README.md"} <= there
    assert there <= included
    assert all((ROOT / name).exists() for name in included)
