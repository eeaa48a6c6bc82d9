"""A command that is interrupted says so in one line, whatever it was doing, and its exit code says by which signal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, signal, sys
module, number, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), number)

sys.meta_path.insert(0, Interrupts())
sys.argv = ["cspnas", *words]
from cspnas.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [1, 2, 15])
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("typer", ["--help"]),
        ("cspnas.network.wiring", ["cost", "csdarknet53"]),
        ("cspnas.documents.space_settings", ["space", "densenet"]),
    ],
    ids=["while it starts", "cost", "space"],
)
def test_a_command_that_is_interrupted_says_so_in_one_line(
    tmp_path: Path, module: str, words: list[str], number: int
) -> None:
    """By a real signal, as a module is imported that it needs for the work."""
    command = [sys.executable, "-c", CODE, module, str(number), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "cspnas: interrupted\n")


def test_under_nohup_a_closed_terminal_ends_nothing(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)" + CODE
    command = [sys.executable, "-c", code, "typer", "1", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""
