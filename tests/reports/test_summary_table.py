"""The table of a front: its columns, what it does where there is little room, and how it names stages."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_studies import driver_of, open_small, result_of

from cspnas.documents.space_file import read_space
from cspnas.network.architecture import Stem
from cspnas.network.serialization import PlainArchitecture, architecture_to
from cspnas.objectives.objectives import OBJECTIVES, format_objective, with_unit
from cspnas.reports.stage_notation import wiring
from cspnas.reports.summary import StudySummary, summarise
from cspnas.reports.summary_table import Below, front_table
from cspnas.runners.protocol import Work
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices
from cspnas.storage.open_study import load_study

SPACE = """
family: densenet
stem: {{channels: 9, stride: 4}}
stages:
  - {{growth_rate: [2, 3, 4], depth: [1, 2], csp: true, split_ratio: {ratio}, fusion: both}}
  - {{growth_rate: [2, 3], depth: 1, csp: false}}
objectives: [{objectives}]
baselines: {{widths: 2}}
search: {{trials: 8, sampler: random}}
"""


def summary_of(folder: Path, objectives: str, ratio: str = "0.25") -> StudySummary:
    """Of a study whose trainings are a fixed function of the network."""
    path = folder / "small.yaml"
    path.write_text(SPACE.format(objectives=objectives, ratio=ratio))
    study = read_space(path)
    database, row = open_small(f"sqlite:///{folder / 'small.db'}", study)
    driver = driver_of(study, database, row)
    while isinstance(work := driver.suggest(), Work):
        driver.finish(work, {**result_of(work), "latency": 1e-3 + int(work.digest[4:8], 16) / 1e8})
    return summarise(load_study(database, "small"))


def titles(table: list[str]) -> list[str]:
    """The lowest words of its heading."""
    return re.split(r" {2,}", next(line for line in table if "accuracy" in line).strip())


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize(
    ("objectives", "first"),
    [
        ("flops, accuracy, latency", ["FLOPs", "accuracy", "latency"]),
        ("accuracy, params", ["accuracy", "params"]),
        (", ".join(OBJECTIVES), ["accuracy", "FLOPs", "params"]),
    ],
)
def test_the_objectives_come_first_in_their_order_and_every_figure_is_there_whole(
    objectives: str, first: list[str], columns: int, tmp_path: Path
) -> None:
    summary = summary_of(tmp_path, objectives)
    table = front_table(summary, columns)
    assert max(map(len, table)) <= columns and "…" not in "\n".join(table)
    assert titles(table)[: 1 + len(first)] == ["trial", *first]
    networks = [*summary.front, *summary.baselines["plain"], *summary.baselines["csp"]]
    for shown in (table, front_table(summary, columns, wide=True)):
        for row, text in zip(networks, blocks(shown), strict=True):
            figures = [format_objective(name, getattr(row, with_unit(name))) for name in objectives.split(", ")]
            assert all(re.search(rf"(^| ){re.escape(figure)}([ ,;]|$)", text) for figure in figures)
            assert text.endswith(row.wiring)


def blocks(table: list[str]) -> list[str]:
    """Each network's line with those below it, on one line."""
    found: list[str] = []
    for line in table[next(n for n, line in enumerate(table) if line.startswith("---")) + 1 :]:
        if isinstance(line, Below):
            found[-1] += f" {line.strip()}"
        elif not line.startswith("baselines "):
            found.append(line.strip())
    return found


def test_costs_that_are_no_objectives_are_shown_where_there_is_room(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, "accuracy, latency, flops")
    shown = {columns: titles(front_table(summary, columns)) for columns in (57, 80)}
    assert shown[57] == ["trial", "accuracy", "latency", "FLOPs", "± s.e.", "seeds"]
    assert shown[80] == [*shown[57], "params", "memory"]
    assert titles(front_table(summary, 57, wide=True))[:8] == shown[80]


@pytest.mark.parametrize("ratio", ["0.25", "[0.25, 0.3]"])
def test_a_split_ratio_is_shown_as_chosen_beside_what_whole_channels_made_of_it(ratio: str, tmp_path: Path) -> None:
    """Of 9 channels .25 is 2.25, so 2: .22; .3 is 2.7, so 3: .33. Fixed by the space, or a gene."""
    summary = summary_of(tmp_path, "accuracy, flops", ratio)
    drawn = [row.wiring for row in summary.front if not row.source.startswith("baseline")]
    found = {text.partition(" | ")[0].partition(" both ")[2] for text in drawn}
    assert found and found <= {"0.25 (0.22)", "0.30 (0.33)"}
    # The baselines' ratio is .5 whatever the space says: 4.5 channels, so 5: .56.
    assert {row.wiring.partition(" both ")[2][:11] for row in summary.baselines["csp"]} == {"0.50 (0.56)"}


def document(family: str, genes: dict[str, Any], **choices: Any) -> PlainArchitecture:
    stages = (StageChoices(**choices), StageChoices(**{**choices, "pool": ()}))
    space = SearchSpace(family, (1, 28, 28), 10, (Stem(8),), ("relu",), stages)
    return architecture_to(space.decode(genes))


def test_stages_are_named_for_their_family_with_what_is_not_usual_in_it() -> None:
    residual = {"depth": (2,), "width": (16,), "bottleneck_ratio": (0.5,), "groups": (1, 2), "taps": ("last", "all")}
    residual |= {"split": ("project", "slice"), "csp": (True, False)}
    genes = {"stage1.csp": True, "stage1.groups": 2, "stage1.taps": "all", "stage1.split": "slice", "stage2.csp": False}
    assert wiring(document("resnext", genes, **residual)) == "2x16 both 0.50 groups 2 split slice taps all | 2x16"
    dense = {"depth": (3,), "growth_rate": (4,), "compression": (0.5,), "pool": ("after", "before")}
    genes = {"stage1.pool": "before", "stage2.split": "project"}
    text = wiring(document("densenet", genes, **dense), [0.5, 0.5])
    assert text == "3x4 both 0.50 pool before | 3x4 both 0.50 split project"


@pytest.mark.parametrize(("family", "named"), [("densenet", "depth x growth rate"), ("darknet", "depth x width")])
def test_the_heading_of_the_stages_is_the_familys(family: str, named: str, tmp_path: Path) -> None:
    summary = replace(summary_of(tmp_path, "accuracy, flops"), family=family)
    assert sum(f"stages: {named}," in line for line in front_table(summary, 80)) == 1
