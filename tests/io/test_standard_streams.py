"""Output that goes nowhere, and terminals that know few characters, in real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from searches import SPACE

COMMAND = f"{sys.executable} -m cspnas cost csdarknet53"


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    path = os.environ.get("PYTHONPATH", str(Path(__file__).parents[2]))
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("options", ["", "--layers --json"])
def test_a_full_disk_behind_stdout_is_one_line_and_exit_code_1(options: str, tmp_path: Path) -> None:
    run = shell(f"{COMMAND} {options} > /dev/full", tmp_path)
    assert (run.returncode, run.stderr) == (1, b"cspnas: output: No space left on device\n")


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "<&- 2>&-"])
def test_a_closed_stream_breaks_nothing(closed: str, tmp_path: Path) -> None:
    run = shell(f"{COMMAND} {closed}", tmp_path)
    assert run.returncode == 0
    assert b"flops" in run.stdout


def test_closed_stdout_and_an_error_on_closed_stderr(tmp_path: Path) -> None:
    assert shell(f"{COMMAND} >&-", tmp_path).returncode == 0
    assert shell(f"{sys.executable} -m cspnas cost none 2>&-", tmp_path).returncode == 2


def test_a_terminal_of_ascii_gets_a_replacement(tmp_path: Path) -> None:
    (tmp_path / "é.yaml").write_text("x: 1\n")
    run = shell(f"{sys.executable} -m cspnas cost é.yaml", tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert run.returncode == 2
    assert b"?.yaml" in run.stderr and run.stderr.count(b"\n") == 1


def test_a_search_with_a_closed_stderr_trains(tmp_path: Path) -> None:
    """Its workers are processes of their own, which get the streams that it has."""
    (tmp_path / "tiny.yaml").write_text(SPACE)
    words = "--trials 1 --epochs 1 --workers 1 --device cpu --sampler random --set baselines.widths=0"
    run = shell(f"{sys.executable} -m cspnas search tiny.yaml {words} 2>&-", tmp_path)
    assert run.returncode == 0 and b"1 training (" in run.stdout
