"""What a person sees: real commands on a real pseudo-terminal, and in a pipe."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from commands import draw_images
from searches import SPACE
from terminals import Terminal, terminal

from cspnas.objectives.objectives import format_objective

SEARCH = (
    "search",
    "tiny.yaml",
    "--dataset",
    "folder:images",
    "--device",
    "cpu",
    "--workers",
    "1",
    "--sampler",
    "random",
)
ORDER = ("--objective", "flops", "--objective", "accuracy", "--objective", "peak_memory")
BAR = re.compile(r"(\d+)/(\d+)  \S+  \d+ running  [\d.]+/min  (time left unknown|[\d.]+ (s|min|h) left)")
STATE = re.compile(r"front \d+  hypervolume \d\.\d{4}  best \S+")
TICK = 1 / os.sysconf("SC_CLK_TCK")


@pytest.fixture(autouse=True)
def telling(unhurried: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here commands say what they are doing."""
    monkeypatch.delenv("CSPNAS_QUIET")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(SPACE)
    draw_images(tmp_path / "images", 120, 12)
    return tmp_path


def cspnas(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cspnas", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def bars(seen: Terminal) -> list[str]:
    return [line for line in seen.lines if "/min" in line]


@pytest.mark.parametrize("columns", [80, 120])
def test_a_search_has_one_display_that_stays_in_place_and_a_table_with_every_number(columns: int, folder: Path) -> None:
    counts: set[int] = set()
    words = ("--trials", "4", "--epochs", "2", *ORDER)
    with terminal(folder, columns, "-m", "cspnas", *SEARCH, *words) as seen:

        def one_display() -> bool:
            counts.add(len(bars(seen)))
            return bool(bars(seen)) and any(STATE.match(line) for line in seen.lines)

        assert seen.watch(one_display)
        assert all(BAR.fullmatch(line) for line in bars(seen))
        assert not seen.watch(lambda: one_display() and False)
        assert counts == {0, 1}  # drawn again and again, and never twice on the screen
        assert seen.code == 0
        assert not bars(seen) and not any(STATE.match(line) for line in seen.lines)
        assert [sum(line.startswith(f"[{n}/4]") for line in seen.lines) for n in range(1, 5)] == [1] * 4
        assert "…" not in "\n".join(seen.lines)
        assert not seen.screen.cursor.hidden
        shown = seen.lines
    summary = json.loads(cspnas(folder, "front", "tiny", "--json").stdout)
    heading = next(line for line in shown if "accuracy" in line and "FLOPs" in line)
    assert heading.split()[:4] == ["trial", "FLOPs", "accuracy", "memory"]
    for row in [*summary["front"], *summary["baselines"]["plain"], *summary["baselines"]["csp"]]:
        figures = [format_objective("flops", row["flops"]), format_objective("accuracy", row["accuracy"])]
        figures += [format_objective("peak_memory", row["peak_memory_bytes"])]
        assert any(_has(line, figures) and below.strip() == row["wiring"] for line, below in pairwise(shown))
        dim = re.findall(r"\x1b\[2m([^\x1b]*)\x1b\[0m", seen.raw.decode())
        assert any(line.strip() == row["wiring"] for line in dim)
        assert not any(_has(line, figures) for line in dim)


def _has(line: str, figures: list[str]) -> bool:
    """Whether these figures stand there whole and in this order."""
    words = line.split()
    return any(words[start : start + len(figures)] == figures for start in range(len(words)))


def test_a_terminal_that_is_resized_and_interrupted_is_left_in_order(folder: Path) -> None:
    counts: set[int] = set()
    with terminal(folder, 120, "-m", "cspnas", *SEARCH, "--trials", "9", "--epochs", "200") as seen:
        before = seen.modes()
        assert seen.watch(lambda: bool(bars(seen)))
        for columns in (80, 100, 50):
            seen.resize(columns)
            drawn = len(seen.raw)
            assert seen.watch(lambda drawn=drawn: len(seen.raw) > drawn + 400)  # type: ignore[misc]
            counts.add(len(bars(seen)))
        seen.type(b"\x03")
        assert not seen.watch(lambda: False)
        assert (seen.code, counts) == (130, {1})
        text = " ".join(seen.lines[-3:])
        assert "interrupted: everything finished is kept" in text and not bars(seen)
        assert (seen.screen.cursor.hidden, seen.screen.cursor.x) == (False, 0)
        assert seen.modes() == before


SUPPORT = Path(__file__).parents[1] / "support"
MANY_SLOTS = f"""
import sys, time
sys.path.insert(0, {str(SUPPORT)!r})
from pathlib import Path
from small_studies import driven, small_study
from cspnas.cli.progress import Progress
from cspnas.searching.run import Session
study = small_study(Path("."))
database, driver = driven("sqlite:///many.db", study, 5)
progress = Progress(Session(study, database, driver, ["cpu"] * 500))
start = time.monotonic()
for number in range(20_000):
    progress("epoch", None, None)
    if number == 10_000:
        sys.stderr.write("note: said by somebody else\\n")
progress.end()
print("seconds", time.monotonic() - start)
"""


def test_hundreds_of_slots_redraw_seldom_and_what_others_say_does_not_tear_the_display(tmp_path: Path) -> None:
    """20,000 events of 500 slots, and a line that something else writes to stderr."""
    with terminal(tmp_path, 80, "-c", MANY_SLOTS) as seen:
        torn: set[int] = set()
        assert not seen.watch(lambda: torn.add(len(bars(seen))) is not None)
        assert seen.code == 0, seen.lines
        assert torn <= {0, 1}
        assert seen.lines[1] == "note: said by somebody else"
        took = float(seen.lines[-1].split()[1])
        assert seen.raw.count(b"hypervolume") <= 4 * took + 3
        assert took < 2


def first_line(command: list[str], folder: Path) -> tuple[str, float, subprocess.CompletedProcess[str]]:
    """The first line on stderr, the CPU seconds that it took (a busy machine makes no difference), and all of it."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        out, err = process.communicate(timeout=300)
    return (
        line,
        TICK * (int(fields[11]) + int(fields[12])),
        subprocess.CompletedProcess(command, process.returncode, out, err),
    )


@pytest.mark.parametrize(
    "words",
    [("space", "resnext", "--json"), ("search", "densenet", "--trials", "1", "--epochs", "1", "--sampler", "random")],
)
def test_in_a_pipe_the_first_line_comes_within_two_seconds_and_none_has_control_codes(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    line, seconds, run = first_line([sys.executable, "-m", "cspnas", *words], tmp_path)
    assert line.startswith("drawing ") and seconds < 2
    assert run.returncode == 0, run.stderr
    assert "\x1b" not in run.stdout + run.stderr and "\r" not in run.stdout + run.stderr
    if "--json" in words:
        assert json.loads(run.stdout)["sampled"] == 2000
        assert all(len(line) <= 80 for line in run.stderr.splitlines())
    else:
        steps = ("reading the data set fashion-mnist-mini", "measuring which precision is faster", "starting ")
        assert all(any(said.startswith(step) for said in run.stderr.splitlines()) for step in steps)
        assert max(map(len, run.stdout.splitlines())) <= 100


def test_on_a_terminal_a_space_shows_its_progress_and_leaves_only_its_text(tmp_path: Path) -> None:
    # So many that the drawing outlasts the second of patience on a quick machine, too.
    with terminal(tmp_path, 80, "-m", "cspnas", "space", "densenet", "--sample", "8000") as seen:
        assert seen.watch(lambda: any("drawing 8,000 admitted networks" in line and "━" in line for line in seen.lines))
        assert not seen.watch(lambda: False)
        assert seen.code == 0
        assert seen.lines[1].startswith("densenet: 15 genes")
        assert not any("━" in line or "…" in line for line in seen.lines)
        assert not seen.screen.cursor.hidden
