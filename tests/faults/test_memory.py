"""Networks for which memory does not suffice: torch's allocator really fails, the kernel really kills. `short_of_memory.py`
has the evaluators, and says what each network needs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from control_groups import memory_group
from rounds import rows
from short_of_memory import GROUP, SPACE

FULL = os.environ.get("CSPNAS_FAULTS") == "full"
NOTHING_WRONG = {"stuck": 0, "lost": 0, "duplicates": 0, "in_flight": 0, "trials_wrong": 0}
ROWS = "SELECT document, state, failure_kind, attempt, result FROM cspnas_evaluations NATURAL JOIN cspnas_architectures"
Ends = dict[int, tuple[str, str | None, int, int | None]]


def searched(folder: Path, evaluator: str, workers: int) -> dict[int, dict[str, Any]]:
    """A search of all networks of the space, which ends in order; by growth rate how each training ended."""
    words = [f"{key}={json.dumps(value)}" for key, value in {"space": SPACE, "trials": 9}.items()]
    script = str(Path(__file__).parents[1] / "support" / "rounds.py")
    command = [sys.executable, script, "once", str(workers), str(folder), f"short_of_memory:{evaluator}", *words]
    path = os.pathsep.join([str(Path(__file__).parents[1] / "support"), *sys.path])
    run = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    said = (folder / "printed").read_text()
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout).items() >= NOTHING_WRONG.items(), said
    found = {}
    for document, state, kind, attempt, result in rows(folder, ROWS):
        rate = json.loads(document)["stages"][0]["growth_rate"]
        assert rate not in found
        found[rate] = {"state": state, "kind": kind, "attempt": attempt, "result": json.loads(result)}
    assert set(found) == {2, 3, 16, 96}
    return found


def ends(found: dict[int, dict[str, Any]]) -> Ends:
    """State, failure, attempts, images at once."""
    return {
        rate: (row["state"], row["kind"], row["attempt"], row["result"].get("micro_batch"))
        for rate, row in found.items()
    }


FITS, FITS_IN_PARTS = ("trained", None, 1, None), ("trained", None, 1, 250)
FITS_NEVER = ("failed", "out of memory", 1, 250)


def test_a_training_that_torch_cannot_allocate_for_is_tried_alone_in_parts_and_then_recorded(tmp_path: Path) -> None:
    """Real trainings in two workers of limited address space. What the closed form says would fit does, and no more; a
    second try has the device to itself, and what fails in parts, too, is kept with the worker's log.
    """
    found = searched(tmp_path, "Trains", 2)
    assert ends(found) == {2: FITS, 3: FITS, 16: FITS_IN_PARTS, 96: FITS_NEVER}
    failure = found[96]["result"]["failure"]
    assert "can't allocate memory" in failure["message"] and failure["message"] in failure["log"]
    assert "train.py" in failure["log"]  # where it happened
    assert all(0.05 < row["result"]["accuracy"] < 1 for rate, row in found.items() if rate != 96)
    tries = [json.loads(line) for line in (tmp_path / "trainings.jsonl").read_text().splitlines()]
    key = [(row["growth_rate"], row["micro_batch"] or 1000, row["failed"]) for row in tries]
    parts, whole = 250, 1000
    in_parts = {(16, parts, False), (16, whole, True), (96, parts, True), (96, whole, True)}
    assert len(key) == 6 and set(key) == {(2, whole, False), (3, whole, False)} | in_parts
    for alone in (row for row in tries if row["micro_batch"]):
        others = [row for row in tries if row is not alone]
        assert not [row for row in others if row["begin"] < alone["end"] and alone["begin"] < row["end"]]
    assert (tmp_path / "printed").read_text().count("failed (out of memory, trying alone and in smaller parts)") == 2


@pytest.mark.parametrize("evaluator", ["Eats", "TrainsInGroup"] if FULL else ["Eats"])
def test_the_kernels_kill_is_out_of_memory_and_a_kill_by_hand_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluator: str
) -> None:
    """A whole search in a memory control group of its own: the kernel kills the worker (and not the search) at what does
    not fit, which is tried in parts; one worker is killed by hand, whose training is tried again whole.

    Where no group can be made, all of them are killed by hand, and all are crashes: no counter of the kernel's grew.
    """
    with memory_group() as group:
        if isinstance(group, str):
            warnings.warn(f"no control group can be made here, so no kill is the kernel's: {group}", stacklevel=1)
            monkeypatch.setenv(GROUP, "")
            crashed = ("failed", "crashed", 3, None)
            found = searched(tmp_path, evaluator, 1)
            assert ends(found) == {2: FITS, 3: ("trained", None, 2, None), 16: crashed, 96: crashed}
            return
        monkeypatch.setenv(GROUP, str(group.folder))
        found = searched(tmp_path, evaluator, 1)
        assert group.kills == 3  # 16 whole, 96 whole and in parts
    assert ends(found) == {2: FITS, 3: ("trained", None, 2, None), 16: FITS_IN_PARTS, 96: FITS_NEVER}
    failure = found[96]["result"]["failure"]
    assert failure["message"] == "the kernel killed the worker process for want of memory"
    assert "training with seed" in failure["log"]
    assert (tmp_path / "printed").read_text().count("failed (crashed, trying again)") == 1
