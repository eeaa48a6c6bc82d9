"""An objective is one row: two that a package outside declares are searched for, shown and exported as ours are."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from installed import cspnas, install
from PIL import Image

from cspnas.objectives.objectives import Objective

SPACE = """
family: densenet
stem: {channels: 4, stride: 2}
stages: [{csp: [true, false], split_ratio: 0.5, fusion: both, growth_rate: [2, 3, 4], depth: 1}]
objectives: [accuracy, flops, weights, loss]
proxy: {dataset: "folder:images", epochs: 1, batch_size: 8}
search: {trials: 2, confirm: 0, workers: 1, sampler: nsga2}
baselines: {widths: 0}
"""
WORDS = 4  # bytes of a float32


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both objectives installed, and a study of two trainings on bright and dark images."""
    folder = tmp_path_factory.mktemp("toy")
    install(folder, "cspnas.objectives", "toy_objectives:WEIGHTS", "toy_objectives:LOSS")
    for label, level in (("bright", 200), ("dark", 50)):
        (folder / "images" / label).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 50, (16, 16, 3)) + level
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / label / f"{number}.png")
    (folder / "toy.yaml").write_text(SPACE)
    run = cspnas(folder, "search", "toy.yaml", "--study", "toy", "--device", "cpu", "--constraint", "weights<=64KiB")
    assert run.returncode == 0, run.stderr
    assert "weights" in run.stderr and "loss" in run.stderr
    return folder


def test_they_stand_in_the_front_its_json_and_its_csv(searched: Path) -> None:
    summary = json.loads(cspnas(searched, "front", "toy", "--json").stdout)
    assert (summary["trainings"], summary["failed"]) == (2, 0)
    assert summary["objectives"] == ["accuracy", "flops", "weights", "loss"]
    with sqlite3.connect(searched / "studies" / "toy.db") as tables:
        rows = tables.execute(
            "select e.digest, e.result, a.costs from cspnas_evaluations e natural join cspnas_architectures a"
        )
        known = {digest: (json.loads(result), json.loads(costs)) for digest, result, costs in rows}
    for row in summary["front"]:
        result, costs = known[row["digest"]]
        assert row["loss_nats"] == result["loss"] > 0
        # All trainable parameters but those of the norms, which are folded: a shift for each scale and shift.
        assert row["weights_bytes"] == costs["weights"] <= WORDS * row["params"]
    shown = cspnas(searched, "front", "toy", "--wide").stdout
    heading = next(line for line in shown.splitlines() if "seeds" in line).split()
    assert heading.index("weights") < heading.index("loss") < heading.index("seeds")
    table = list(csv.DictReader(io.StringIO(cspnas(searched, "front", "toy", "--csv").stdout)))
    assert [float(row["loss_nats"]) for row in table] == [row["loss_nats"] for row in summary["front"]]


def test_they_stand_in_the_plot_the_list_of_studies_and_the_statistics_of_the_space(searched: Path) -> None:
    drawn = cspnas(searched, "front", "toy", "--plot", "front.html")
    assert drawn.returncode == 0, drawn.stderr
    page = (searched / "front.html").read_text()
    assert "weights (bytes), log scale" in page and "validation loss (nats), log scale" in page
    assert "2 trainings" in cspnas(searched, "studies").stdout
    told = cspnas(searched, "space", "toy.yaml").stdout
    assert "weights (exact), loss (measured)" in told and "\n  weights " in told
    schema = json.loads(cspnas(searched, "space", "--schema").stdout)
    assert schema["properties"]["objectives"]["description"].endswith("latency, weights, loss")


def test_they_are_exported_and_choose_what_is(searched: Path) -> None:
    front = json.loads(cspnas(searched, "front", "toy", "--json").stdout)["front"]
    least = min(row["weights_bytes"] for row in front)
    asked = ("--where", f"weights<={least}B", "--output", "small.yaml")
    exported = cspnas(searched, "export", "toy", *asked)
    assert exported.returncode == 0, exported.stderr
    costed = json.loads(cspnas(searched, "cost", "small.yaml", "--json").stdout)
    assert costed["weights_bytes"] == costed["weight_bytes"] == least
    assert f"weights: {least}" in (searched / "small.yaml").read_text()
    chosen = next(row for row in front if row["digest"] == costed["digest"])
    assert f"loss_nats: {chosen['loss_nats']}" in (searched / "small.yaml").read_text()


def test_a_study_goes_on_with_them(searched: Path) -> None:
    more = cspnas(
        searched,
        "search",
        "toy.yaml",
        "--study",
        "toy",
        "--device",
        "cpu",
        "--constraint",
        "weights<=64KiB",
        "--trials",
        "3",
    )
    assert more.returncode == 0, more.stderr
    assert json.loads(cspnas(searched, "front", "toy", "--json").stdout)["trainings"] == 3


def test_a_study_whose_objective_is_not_installed_any_more_says_which_in_one_line(
    searched: Path, tmp_path: Path
) -> None:
    """Nothing is written, and all is there again with the package."""
    database = (searched / "studies" / "toy.db").read_bytes()
    for command in (("front", f"{searched}/studies/toy.db"), ("export", f"{searched}/studies/toy.db")):
        run = cspnas(tmp_path, *command)
        assert run.returncode == 2 and run.stderr.count("\n") == 1, run.stderr
        assert "found objective 'weights', expected one of accuracy, flops" in run.stderr
        assert "install the package that adds it" in run.stderr
    assert (searched / "studies" / "toy.db").read_bytes() == database


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("no_such_module:LOSS", "found ModuleNotFoundError: No module named 'no_such_module', expected an objective"),
        ("toy_objectives:FLOPS", "found objective 'flops' again, expected an Objective with a name of its own"),
    ],
)
def test_an_installed_objective_that_cannot_be_used_ends_in_one_line(tmp_path: Path, value: str, found: str) -> None:
    install(tmp_path, "cspnas.objectives", value)
    ended = cspnas(tmp_path, "space", "densenet")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert found in ended.stderr and "mend or uninstall package toy" in ended.stderr


@pytest.mark.parametrize(
    "row",
    [
        {"name": "Loss"},
        {"name": "a b"},
        {"span": None},
        {"measure": None},
        {"exact": lambda cost, batch: 1},
    ],
)
def test_a_row_that_no_search_can_use_is_refused(row: dict[str, object]) -> None:
    good = {"name": "loss", "title": "", "unit": "nats", "maximise": False, "span": (1.0, 2.0), "measure": "m:f"}
    Objective(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="objective"):
        Objective(**good | row)  # type: ignore[arg-type]
