"""A command that needs an extra which is not installed says in one line how to install it, in a way that works."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# None in sys.modules is Python's own way to make a module impossible to import or find.
WITHOUT = "import sys; sys.modules[sys.argv.pop(1)] = None; from cspnas.cli.app import main; main()"


@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("psycopg", "postgres", ["front", "postgresql+psycopg://nobody@127.0.0.1:1/none#densenet"]),
        ("ray", "ray", ["search", "densenet", "--runner", "ray", "--trials", "1"]),
        ("onnxruntime", "onnx", ["export", "peleenet", "--format", "onnx", "-o", "x.onnx"]),
        ("tensorboard", "tensorboard", ["train", "csdarknet53", "--tensorboard", "runs"]),
    ],
    ids=["postgres", "ray", "onnx", "tensorboard"],
)
def test_a_missing_extra_is_installed_from_the_checkout(
    module: str, extra: str, words: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WITHOUT, module, *words]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    *steps, line = found.stderr.splitlines()
    assert (found.returncode, found.stdout) == (2, "")
    assert line.startswith("cspnas: ")
    assert line.endswith(f".venv/bin/pip install -c constraints.txt -e '.[{extra}]'")
    assert not any("Traceback" in step for step in steps)
    assert list(tmp_path.iterdir()) == []
    assert (ROOT / "constraints.txt").is_file()
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
