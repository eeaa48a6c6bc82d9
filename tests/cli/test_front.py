"""What `cspnas front`, `export` and the commands with a file refuse before they open anything, in one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from cspnas.cli.app import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; `~` is a folder of its own with the file `x`, and no study is anywhere."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "x").write_text("kept")
    (tmp_path / "a_folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("front s --json --csv", "found --json and --csv, expected one of them"),
        ("front s --force", "found --force, expected --plot FILE beside it"),
        ("front s --plot=~/x", "home/x: found a file that exists"),
        ("export s --output=~/x", "home/x: found a file that exists"),
        ("train csdarknet53 --output=~/x", "home/x: found a file that exists"),
        ("export s -o y --pick best", "did you mean most-accurate?"),
        ("export s -o y --pick kne", "did you mean knee?"),
        ("cost csdarknet53 --against plan", "did you mean plain?"),
        ("cost a_folder", "found a folder 'a_folder', expected a YAML file"),
        ("cost pipe", "found a device or a pipe 'pipe', expected a YAML file"),
        ("space a_folder", "found a folder 'a_folder', expected a YAML file"),
        ("search densenet --study ümlaut", "A-Z, a-z, 0-9"),
        ("search densenet --study .", "first a letter or digit"),
        ("search densenet --study ..", "no '..'"),
    ],
)
def test_what_a_newcomer_types_is_refused_with_what_to_do(
    words: str, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cspnas", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    assert (ended.value.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert said in told.err
    assert sorted(path.name for path in folder.iterdir()) == ["a_folder", "home", "pipe"]
    assert (folder / "home" / "x").read_text() == "kept"
