"""What the system does not give is said in one line, with what to do."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from cspnas.io.remedies import remedy, shortage


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some disk space"),
        (errno.EMFILE, "raise the limit of open files (ulimit -n), or lower --workers"),
        (errno.EACCES, "choose another --storage"),
    ],
)
def test_a_full_disk_is_not_the_remedy_for_too_many_open_files(number: int, hint: str) -> None:
    assert remedy(OSError(number, os.strerror(number))) == hint


def test_only_what_the_system_did_not_give_is_a_shortage() -> None:
    """In the words of Python and of the dynamic loader; a bug of ours keeps its traceback."""
    assert shortage(RuntimeError("can't start new thread")) == (
        "can't start new thread; raise the limit of processes (ulimit -u), or lower --workers"
    )
    assert str(shortage(MemoryError())).startswith("out of memory; free some memory, raise its limit (ulimit -v)")
    assert str(shortage(OSError(errno.EMFILE, "Too many open files"))).endswith("(ulimit -n), or lower --workers")
    assert [shortage(error) for error in (RuntimeError("dictionary changed"), OSError(errno.ENOSPC, "full"))] == [
        None
    ] * 2


def test_a_command_that_has_too_little_address_space_for_torch_says_so_in_one_line(tmp_path: Path) -> None:
    """A real limit, which the dynamic loader meets."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))

    command = [sys.executable, "-m", "cspnas", "cost", "csdarknet53", "--check"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, preexec_fn=limit, env=environment
    )
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("cspnas: ") and done.stderr.count("\n") == 1
    assert "free some memory, raise its limit (ulimit -v), or lower --workers" in done.stderr
