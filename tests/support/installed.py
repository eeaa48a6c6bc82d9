"""Packages that declare entry points of ours, as pip leaves them, and the command line where they are installed."""

from __future__ import annotations

import json
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


# Commands one after the other, each with its output: all but the first save their imports.
_COMMANDS = """
import io, json, sys
from contextlib import redirect_stdout
from cspnas.cli.app import app
outputs = []
for words in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as output:
        app(words, standalone_mode=False)
    outputs.append(output.getvalue())
print(json.dumps(outputs))
"""


def cspnas(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in `folder`, with the packages there installed."""
    return _python(folder, "-m", "cspnas", *arguments)


def outputs(folder: Path, *commands: tuple[str, ...]) -> list[str]:
    """What several commands print there, in one process."""
    run = _python(folder, "-c", _COMMANDS, json.dumps(commands))
    assert run.returncode == 0, run.stderr
    return [str(text) for text in json.loads(run.stdout)]


def _python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(folder), str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=500,
        check=False,
    )
