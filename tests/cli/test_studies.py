"""`cspnas studies`: what lies under studies/ is listed whole, whatever else lies there."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from commands import commands

from cspnas.cli.studies import listing


def test_what_is_no_study_is_named_and_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the one sound study, which a whole search made."""
    monkeypatch.chdir(tmp_path)
    words = ("--device", "cpu", "--epochs", "1", "--set", "search.workers=1", "--sampler", "random", "--trials", "1")
    with commands(tmp_path) as start:
        search = start("search", "tiny.yaml", "--study", "sound", *words)
        search.communicate(180)
        assert search.returncode == 0
        folder = tmp_path / "studies"
        for column, value in (("created", "'soon'"), ("created", "1e300"), ("facts", "'[]'"), ("facts", "'{'")):
            path = Path(shutil.copy(folder / "sound.db", folder / f"edited {column} {value[1:3]}.db"))
            with sqlite3.connect(path) as connection:
                connection.execute(f"UPDATE cspnas_studies SET {column} = {value}")
            connection.close()
        shutil.copy(folder / "sound.db", os.fsencode(folder) + b"/caf\xe9.db")
        (folder / "folder.db").mkdir()
        os.mkfifo(folder / "pipe.db")
        (folder / "noise.db").write_bytes(b"noise" * 1000)
        (folder / "empty.db").touch()
        rows = json.loads(listing(None, as_json=True))
        lines = listing(None, as_json=False).splitlines()
        shown = start("studies")
        out, error = shown.communicate(180)
    assert shown.returncode == 0 and not error and len(out.splitlines()) == len(rows) == len(lines) == 10
    assert sorted(row["file"] for row in rows if "study" in row) == ["studies/caf\udce9.db", "studies/sound.db"]
    assert all("\n" not in row["error"] for row in rows if "study" not in row)
