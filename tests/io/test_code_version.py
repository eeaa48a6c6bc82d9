"""A result says which code made it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cspnas.io import code_version as module
from cspnas.io.code_version import code_version, source_digest

ROOT = Path(__file__).parents[2]


def test_a_changed_added_or_renamed_file_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "notes.txt").write_text("not code")
    before = source_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("changed")
    assert source_digest(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2\n")
    changed = source_digest(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    renamed = source_digest(tmp_path)
    (tmp_path / "c.py").write_text("")
    assert len({before, changed, renamed, source_digest(tmp_path)}) == 4


def test_in_a_checkout_the_commit_stands_beside_the_digest(tmp_path: Path) -> None:
    """`git` itself says which."""
    assert code_version()["source"] == source_digest(ROOT / "cspnas")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert module._commit(tmp_path) is None
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    shown = subprocess.run([*git, "log", "-1", "--format=%H"], check=True, capture_output=True, text=True)
    assert module._commit(tmp_path) == shown.stdout.strip()
    assert module._commit(tmp_path / "below") is None
