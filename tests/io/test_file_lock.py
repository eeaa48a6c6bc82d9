"""A lock that goes with its process, and never writes into what somebody else put in its place."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cspnas.io.file_lock import FileLock, HeldError


def test_it_is_held_once_and_says_by_whom(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    first = FileLock(path)
    first.acquire()
    with pytest.raises(HeldError, match=rf"pid {os.getpid()} on "):
        FileLock(path).acquire()
    first.release(delete=True)
    assert not path.exists()
    FileLock(path).acquire()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path, target = tmp_path / "a.lock", tmp_path / "thesis"
    target.write_text("words")
    path.symlink_to(target)
    with pytest.raises(OSError, match="symbolic link"):
        FileLock(path).acquire()
    path.unlink()
    path.symlink_to(tmp_path / "not there")
    with pytest.raises(OSError, match="symbolic link"):
        FileLock(path).acquire()
    assert target.read_text() == "words" and not (tmp_path / "not there").exists()


@pytest.mark.parametrize(("make", "found"), [(os.mkfifo, "a pipe"), (os.mkdir, "directory")], ids=["pipe", "folder"])
def test_what_is_no_file_is_refused_and_stays(tmp_path: Path, make: Callable[[Path], None], found: str) -> None:
    path = tmp_path / "a.lock"
    make(path)
    kind = path.stat().st_mode
    with pytest.raises(OSError, match=found):
        FileLock(path).acquire()
    assert path.stat().st_mode == kind
