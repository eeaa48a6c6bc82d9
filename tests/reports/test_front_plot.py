"""`cspnas front --plot`: the figure's data in the page against the study's tables and a front by brute force."""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_studies import driver_of, open_small, result_of, small_study

from cspnas.cli import app as cli
from cspnas.objectives.objectives import OBJECTIVES, format_objective
from cspnas.reports.front_plot import staircase
from cspnas.reports.plot_axes import log_ticks
from cspnas.runners.protocol import Work

Point = tuple[float, float]


def made(folder: Path, trainings: int = 10**9, **overrides: Any) -> str:
    """The database of a study whose trainings measure a latency too, by network and seed."""
    study, path = small_study(folder, **overrides), folder / "small.db"
    database, row = open_small(f"sqlite:///{path}", study)
    driver = driver_of(study, database, row)
    while driver.results.finished < trainings and isinstance(work := driver.suggest(), Work):
        result = result_of(work)
        if "accuracy" in result:
            result["latency"] = 1e-4 * (1 + int(work.digest[4:6], 16) / 100 + work.unit["seed"] % 7 / 50)
        driver.finish(work, result)
    database.close()
    return str(path)


def plotted(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Traces and layout of the page that `cspnas front --plot` writes, and what `--json` prints."""
    page = Path(path).with_suffix(".html")
    monkeypatch.setattr(sys, "argv", ["cspnas", "front", path, "--plot", str(page), "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    text = page.read_text()
    assert text.count("<script src=") == 0  # self-contained
    decode = json.JSONDecoder().raw_decode
    start = text.index("[", text.rindex("Plotly.newPlot("))
    traces, end_of_traces = decode(text, start)
    layout, _ = decode(text, text.index("{", end_of_traces))
    return traces, layout, json.loads(capsys.readouterr().out)


def stored(path: str) -> dict[str, dict[str, float]]:
    """Digest to each objective's value, read past cspnas from the tables: means over seeds, and exact costs."""
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "select e.digest, avg(e.accuracy), avg(json_extract(e.result, '$.latency')), a.costs from cspnas_evaluations e"
            " join cspnas_architectures a on a.digest = e.digest where e.accuracy is not null group by e.digest"
        ).fetchall()
    return {digest: {"accuracy": mean, "latency": wait, **json.loads(costs)} for digest, mean, wait, costs in rows}


def views(traces: list[dict[str, Any]], layout: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Title of the horizontal axis to trace by name."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for trace in traces:
        title = layout["xaxis" + trace["xaxis"][1:]]["title"]["text"]
        assert trace["name"] not in found.setdefault(title, {})
        found[title][trace["name"]] = trace
    return found


def points_of(trace: dict[str, Any]) -> list[Point]:
    return list(zip(trace["x"], trace["y"], strict=True))


def assert_points(found: list[Point], expected: list[Point]) -> None:
    """The same points in any order; a mean over seeds may be rounded otherwise."""
    assert np.array(sorted(found)) == pytest.approx(np.array(sorted(expected)), rel=1e-9)


def undominated(points: list[Point], *, maximise: bool) -> set[Point]:
    """By comparing each with each."""
    sign = -1 if maximise else 1
    return {
        (x, y) for x, y in points if not any(sign * a <= sign * x and b >= y and (a, b) != (x, y) for a, b in points)
    }


@pytest.mark.parametrize(
    ("objectives", "titles"),
    [
        (
            ["accuracy", "params", "latency"],
            ["trainable parameters, log scale", "latency of one inference (seconds), log"],
        ),
        (
            ["evenness", "accuracy", "peak_memory"],
            ["evenness of the layers' MACs, the more the better", "peak memory of inference (bytes), log scale"],
        ),
        (["accuracy", "flops"], ["FLOPs of one image, log scale"]),
    ],
)
def test_each_cost_of_the_study_has_a_view_with_every_network_and_the_step_line_of_the_best(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    objectives: list[str],
    titles: list[str],
) -> None:
    path = made(tmp_path, objectives=objectives)
    traces, layout, printed = plotted(path, capsys, monkeypatch)
    truth, seen = stored(path), views(traces, layout)
    costs = [name for name in objectives if name != "accuracy"]
    assert len(truth) > 5 and len(seen) == len(costs)
    for name, title, (shown, by_name) in zip(costs, titles, seen.items(), strict=True):
        assert shown.startswith(title)
        expected = [(row[name], row["accuracy"]) for row in truth.values()]
        assert_points(points_of(by_name["all networks"]), expected)
        maximise = OBJECTIVES[name].maximise
        line = points_of(by_name["best at this cost"])
        best = sorted(undominated(points_of(by_name["all networks"]), maximise=maximise), reverse=maximise)
        assert line == best and by_name["best at this cost"]["line"]["shape"] == "hv"
        members = {row["digest"]: row for row in printed["front"]}
        assert_points(
            points_of(by_name["front"]), [(truth[digest][name], truth[digest]["accuracy"]) for digest in members]
        )
        (knee,) = (digest for digest, row in members.items() if row["knee"])
        assert points_of(by_name["knee"]) == [pytest.approx((truth[knee][name], truth[knee]["accuracy"]))]
        for kind in ("plain", "csp"):
            curve = [row["digest"] for row in printed["baselines"][kind]]
            if curve:
                expected = [(truth[digest][name], truth[digest]["accuracy"]) for digest in curve]
                assert_points(points_of(by_name[f"{kind} baseline"]), expected)


def test_under_the_pointer_a_network_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, objectives=["accuracy", "params", "latency"])
    traces, layout, printed = plotted(path, capsys, monkeypatch)
    (text, *_), *_ = ([*view["front"]["text"]] for view in views(traces, layout).values())
    row = printed["front"][0]
    for part in (format_objective("accuracy", row["accuracy"]), f"± {100 * row['accuracy_standard_error']:.2f}"):
        assert part in text
    for part in (
        f"params {format_objective('params', row['params'])}",
        f"latency {format_objective('latency', row['latency_seconds'])}",
    ):
        assert part in text
    assert row["wiring"] in text and row["digest"][:12] in text and "flops" not in text


def test_json_is_the_same_with_a_plot_and_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path)
    _, _, printed = plotted(path, capsys, monkeypatch)
    monkeypatch.setattr(sys, "argv", ["cspnas", "front", path, "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    assert json.loads(capsys.readouterr().out) == printed


def test_a_study_of_one_network_without_baselines_is_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, 1, baselines__widths=0, search__seed=1)
    traces, layout, printed = plotted(path, capsys, monkeypatch)
    assert len(printed["front"]) == 1
    for by_name in views(traces, layout).values():
        assert set(by_name) == {"all networks", "best at this cost", "front", "knee"}
        assert len(points_of(by_name["front"])) == len(points_of(by_name["best at this cost"])) == 1
    for axis in ("xaxis", "xaxis2", "yaxis"):  # around the only point, not around a decade of everything
        low, high = layout[axis]["range"]
        assert high - low < 0.7
    assert layout["annotations"][0]["text"] == "accuracy against FLOPs of one image"
    assert "1 of 1 network on the front, 1 training<" in layout["title"]["text"]


def test_a_study_without_a_result_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    traces, layout, printed = plotted(made(tmp_path, 0), capsys, monkeypatch)
    assert (traces, printed["front"]) == ([], [])
    assert [note["text"] for note in layout["annotations"]] == ["no training has given a result yet"]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12), st.booleans())
@settings(deadline=None)
def test_the_step_line_is_what_nothing_beats(points: list[tuple[int, int]], maximise: bool) -> None:
    expected = sorted(undominated([*points], maximise=maximise), reverse=maximise)
    assert staircase([*points], maximise=maximise) == expected


@given(st.floats(1e-6, 1e12), st.floats(1, 1e6), st.booleans())
@settings(deadline=None)
def test_an_axis_has_a_few_round_ticks_around_its_points(low: float, factor: float, binary: bool) -> None:
    if binary:
        low = max(1.0, low)
    high = low * max(1.5, factor)
    ticks = log_ticks(low, high, binary=binary)
    assert ticks == sorted(set(ticks)) and 2 <= len(ticks) <= 12
    assert any(low / 3 <= tick <= high * 3 for tick in ticks)
    for tick in ticks:
        assert (
            float(
                format_objective("peak_memory" if binary else "params", tick * (1 if binary else 1e9)).rstrip("BKMiGTk")
            )
            > 0
        )
