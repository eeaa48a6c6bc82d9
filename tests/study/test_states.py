"""What states, outcomes and failures are called is said once."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from cspnas.errors import FailureKind
from cspnas.runners.protocol import RunEvent
from cspnas.study.states import Outcome, State

PACKAGE = Path(__file__).parents[2] / "cspnas"
# Beside a kind of failure or an event these are words of other things.
COUNTED = (
    *("api/studies.py", "cli/progress.py", "cli/space.py", "cli/studies.py", "cli/train.py"),
    "cli/training_progress.py",
    *("data/data_report.py", "data/folder_layout.py", "reports/front_plot.py", "searching/run.py"),
)
ELSEWHERE = {
    **{file: {"training"} for file in COUNTED},
    "export/network_to_export.py": {"trained"},
    "io/remedies.py": {"out of memory"},
    "documents/schema.py": {"timeout"},
    "reports/summary.py": {"failed", "in_flight"},
    "reports/summary_table.py": {"failed", "training"},
    "runners/ray/messages.py": {"failed"},
    "runners/ray/runner.py": {"failed", "finished"},
}
WORDS = {str(word) for kind in (FailureKind, State, Outcome) for word in kind}


def literals(path: Path) -> set[str]:
    """Every string of a source file, those of the enumerations apart."""
    tree = ast.parse(path.read_text())
    enums = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and ast.unparse(node).count("(StrEnum)")]
    own = {id(node) for enum in enums for node in ast.walk(enum)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in own)
    return {node.value for node in texts if isinstance(node.value, str)}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_state_outcome_or_failure_is_written_out(path: Path) -> None:
    allowed = ELSEWHERE.get(path.relative_to(PACKAGE).as_posix(), set())
    assert literals(path) & (WORDS - allowed) == set()


def test_they_are_the_words_that_databases_hold() -> None:
    assert {*State} == {"in_flight", "trained", "failed", "reused"}
    assert {*Outcome} == {"training", "rejected", "reused", "attached"}
    assert {*FailureKind} == {"diverged", "out of memory", "timeout", "crashed", "lost", "bad data"}
    assert {*RunEvent} == {"started", "epoch", "finished", "crashed", "tick", "reused"}
