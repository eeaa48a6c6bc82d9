"""An objective that decides nothing in a space is warned of by `cspnas space` and once by `cspnas search`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import draw_images
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from cspnas.cli.space import space_report
from cspnas.documents.space_file import read_space, shipped_spaces
from cspnas.errors import ArchitectureError
from cspnas.network.layer_costs import parts_of
from cspnas.study.candidates import admitted_sample, candidate
from cspnas.study.undecided_objectives import rank_correlation, undecided

STAGES = """\
stages:
  - {growth_rate: [2, 3, 4, 5], depth: [1, 2], split_ratio: 0.5}
  - {growth_rate: [4, 6, 8, 10], depth: [1, 2], split_ratio: 0.5}
"""
# Its pool has 48 channels at 28x28 and at 14x14 beside the image, more than any stage behind it.
WIDE_STEM = f"family: densenet\nstem: {{channels: 48, pool: 2}}\nconstraints: [flops <= 20M]\n{STAGES}"
ONE_STAGE = "family: densenet\nstem: {channels: 4, stride: 2}\n" + STAGES.replace("[2, 3, 4, 5]", "[20, 22, 24, 26]")
COPIES = """\
family: densenet
stem: {channels: 4, stride: 2}
stages:
  - {growth_rate: [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], depth: 1, csp: false}
"""


def networks_of(path: Path) -> list[Any]:
    """Every network of a small space."""
    study, found = read_space(path), []
    for genotype in study.space.enumerate():
        try:
            found.append(candidate(study, genotype))
        except ArchitectureError:
            continue
    return found


def warnings(path: Path, text: str) -> tuple[list[dict[str, str]], list[str]]:
    """Those of `cspnas space` in JSON, and the lines of its text."""
    path.write_text(text)
    listed = json.loads(space_report(str(path), 5000, as_json=True))["warnings"]
    lines = [line for line in space_report(str(path), 5000, as_json=False).splitlines() if line.startswith("warning: ")]
    assert lines == [f"warning: {one['message']}" for one in listed]
    return listed, lines


@pytest.mark.parametrize("name", shipped_spaces())
def test_a_shipped_space_gives_no_warning(name: str) -> None:
    study = read_space(shipped_spaces()[name])
    assert undecided(study, admitted_sample(study)) == []


def test_a_peak_that_never_changes_is_warned_of_with_the_stem_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    (found,), _ = warnings(path, WIDE_STEM)
    admitted = [one for one in networks_of(path) if one.costs["flops"] <= 20e6]
    assert {one.costs["peak_memory"] for one in admitted} == {(28 * 28 * (1 + 48) + 14 * 14 * 48) * 4}
    assert (found["objective"], found["kind"]) == ("peak_memory", "constant")
    assert found["message"] == (
        f"peak_memory: 1 value in {len({one.digest for one in admitted}):,} networks, and stem holds the peak of 100% of "
        "them: it decides nothing here; make the stem thinner or strided, or leave peak_memory out of the objectives"
    )


def test_a_stage_that_holds_every_peak_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    (found,), _ = warnings(path, ONE_STAGE)
    networks = networks_of(path)
    for one in networks[::40]:
        parts = parts_of(one.architecture)
        assert max(parts, key=lambda part: part.peak.live_memory).name == "stage1"
    assert len({one.costs["peak_memory"] for one in networks}) > 5
    assert (found["objective"], found["kind"]) == ("peak_memory", "one place")
    assert "stage1 holds the peak of 100% of" in found["message"]
    assert "lower growth_rate in stage1 or raise it in stage2" in found["message"]


def test_a_cost_that_ranks_networks_as_another_does_is_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    listed, _ = warnings(path, f"{COPIES}objectives: [params, accuracy, flops]\n")
    costs = [one.costs for one in networks_of(path)]
    assert spearmanr([c["params"] for c in costs], [c["flops"] for c in costs]).statistic == pytest.approx(1)
    assert [(one["objective"], one["kind"]) for one in listed] == [("flops", "copy")]
    assert "a copy of params, it ranks 12 networks the same (Spearman correlation 1.000)" in listed[0]["message"]


def test_more_of_a_cost_that_is_better_when_greater_is_no_copy_of_one_that_is_better_when_smaller(
    tmp_path: Path,
) -> None:
    """In this space evenness rises with flops, and a search for both has all to decide."""
    path = tmp_path / "s.yaml"
    listed, _ = warnings(path, f"{COPIES}objectives: [flops, accuracy, evenness]\n")
    costs = [one.costs for one in networks_of(path)]
    rank = spearmanr([c["evenness"] for c in costs], [c["flops"] for c in costs]).statistic
    assert abs(rank) > 0.99
    assert [one["kind"] for one in listed] == (["copy"] if rank < 0 else [])


def test_costs_that_are_no_objectives_are_not_warned_of(tmp_path: Path) -> None:
    listed, _ = warnings(tmp_path / "s.yaml", f"{WIDE_STEM}objectives: [accuracy, flops]\n")
    assert listed == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=3, max_size=30))
@settings(deadline=None)
def test_the_rank_correlation_is_scipys(pairs: list[tuple[int, int]]) -> None:
    first, second = np.array(pairs, float).T
    expected = spearmanr(first, second).statistic if min(np.ptp(first), np.ptp(second)) else 0.0
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)


def test_a_search_warns_once_when_it_begins(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(f"{WIDE_STEM}search: {{sampler: random, confirm: 0}}\nbaselines: {{widths: 0}}\n")
    draw_images(tmp_path / "images", 40, 28)
    words = ["search", "s.yaml", "--dataset", "folder:images", "--epochs", "1", "--device", "cpu", "--workers", "1"]
    seen = []
    for trials in ("1", "2"):
        command = [sys.executable, "-m", "cspnas", *words, "--trials", trials, "--set", "proxy.precision=float32"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
        assert run.returncode == 0, run.stderr
        seen.append([line for line in run.stderr.splitlines() if line.startswith("warning: ")])
    assert len(seen[0]) == 1 and "stem holds the peak of 100% of them: it decides nothing here" in seen[0][0]
    assert seen[1] == []
