"""Nothing that a search starts takes a module of Python's from the folder that it is started in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cspnas.io.import_path import PACKAGE_FOLDER, import_path
from cspnas.runners.local.worker_handle import WorkerHandle, start_worker
from cspnas.runners.oom_kills import MemoryKills
from cspnas.runners.protocol import Work

SHADOWED = (
    *("_collections_abc", "abc", "enum", "functools", "io", "json", "multiprocessing", "os", "pickle", "pkgutil"),
    *("random", "re", "select", "selectors", "signal", "site", "socket", "stat", "struct", "subprocess", "threading"),
)
EVALUATOR = """
import sys
print("imported", flush=True)
def evaluator(device):
    return lambda work, progress: {"accuracy": 0.5, "path": sys.path}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, first on this process's own path, as `python -m` has it; its modules raise."""
    for name in SHADOWED:
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the working folder was imported from')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("")
    return tmp_path


def _answers(worker: WorkerHandle) -> Iterator[dict[str, object]]:
    while worker.connection.poll(120):
        try:
            yield from worker.read()
        except EOFError:
            worker.process.wait(60)
            return


def _result(evaluator: str, folder: Path) -> dict[str, object]:
    """Of one unit of work, or nothing where the worker ended before."""
    worker = start_worker("cpu", evaluator, folder / "log", MemoryKills())
    try:
        worker.send(Work(1, "0" * 64, 1, {"seed": 0}), folder / "none")
        return next((told["result"] for told in _answers(worker) if "result" in told), {})  # type: ignore[return-value]
    finally:
        worker.stop()


def test_a_worker_does_not_look_there_and_its_evaluator_may_be_elsewhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins, and ends with a result; the user's module comes by the path of the process that searches."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text(EVALUATOR)
    monkeypatch.syspath_prepend(str(elsewhere))
    result = _result("mine:evaluator", folder)
    assert result["accuracy"] == 0.5 and not {"", ".", str(folder)} & set(result["path"])  # type: ignore[call-overload]
    assert (folder / "log").read_text().splitlines()[0] == "imported"


def test_an_evaluator_in_the_working_folder_is_found_where_pythonpath_names_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine.py").write_text(EVALUATOR)
    for name in SHADOWED:
        (folder / f"{name}.py").unlink()
    (folder / "random.py").write_text("raise SystemExit('the working folder was imported from')\n")
    assert _result("mine:evaluator", folder) == {}
    assert "No module named 'mine'" in (folder / "log").read_text()
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{PACKAGE_FOLDER}")
    result = _result("mine:evaluator", folder)
    assert result["path"][-1] == str(folder)  # type: ignore[index]


def test_the_folder_of_cspnas_itself_is_searched_last_where_somebody_works_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(PACKAGE_FOLDER)
    monkeypatch.syspath_prepend("")
    found = import_path()
    assert found[-1] == str(PACKAGE_FOLDER) and found.count(str(PACKAGE_FOLDER)) == 1 and "" not in found
    assert [entry for entry in sys.path if entry not in ("", str(PACKAGE_FOLDER))] == found[:-1]
