"""An objective is one row: two that a package outside declares are searched for, shown and exported as ours are."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from installed import cspnas, install, outputs
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
BYTES = 4  # of a float32


SEARCH = ("search", "toy.yaml", "--study", "toy", "--device", "cpu", "--constraint", "weights<=64KiB")


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
    run = cspnas(folder, *SEARCH)
    assert run.returncode == 0, run.stderr
    assert " weights" in run.stderr and " loss" in run.stderr
    return folder


def test_they_are_shown_listed_described_and_exported_and_the_study_goes_on_with_them(searched: Path) -> None:
    front, wide, table, _, studies, space, schema, _, costed, _, more = outputs(
        searched,
        ("front", "toy", "--json"),
        ("front", "toy", "--wide"),
        ("front", "toy", "--csv"),
        ("front", "toy", "--plot", "front.html"),
        ("studies",),
        ("space", "toy.yaml"),
        ("space", "--schema"),
        ("export", "toy", "--where", "weights<=64KiB", "--output", "small.yaml"),
        ("cost", "small.yaml", "--json"),
        (*SEARCH, "--trials", "3"),
        ("front", "toy", "--json"),
    )
    summary = json.loads(front)
    assert (summary["trainings"], summary["failed"]) == (2, 0)
    assert summary["objectives"] == ["accuracy", "flops", "weights", "loss"]
    known = stored(searched / "studies" / "toy.db")
    for row in summary["front"]:
        result, costs = known[row["digest"]]
        assert row["loss_nats"] == result["loss"] > 0
        # Of each norm's two trainable parameters one is left where it is folded into its convolution.
        assert 0 < row["weights_bytes"] == costs["weights"] < BYTES * row["params"]
    heading = next(line for line in wide.splitlines() if "seeds" in line).split()
    assert heading.index("weights") < heading.index("loss") < heading.index("seeds")
    assert [float(row["loss_nats"]) for row in csv.DictReader(io.StringIO(table))] == [
        row["loss_nats"] for row in summary["front"]
    ]
    page = (searched / "front.html").read_text()
    assert "weights (bytes), log scale" in page and "validation loss (nats), log scale" in page
    assert "2 trainings" in studies
    assert "weights (exact), loss (measured)" in space and "\n  weights " in space
    assert json.loads(schema)["properties"]["objectives"]["description"].endswith("latency, weights, loss")
    cost, text = json.loads(costed), (searched / "small.yaml").read_text()
    row = next(row for row in summary["front"] if row["digest"] == cost["digest"])
    assert cost["weights_bytes"] == cost["weight_bytes"] == row["weights_bytes"]
    assert f"weights: {row['weights_bytes']}" in text and f"loss_nats: {row['loss_nats']}" in text
    assert json.loads(more)["trainings"] == 3


def stored(database: Path) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """The result and the costs of each network as the tables have them."""
    query = "select e.digest, e.result, a.costs from cspnas_evaluations e natural join cspnas_architectures a"
    with sqlite3.connect(database) as tables:
        return {digest: (json.loads(result), json.loads(costs)) for digest, result, costs in tables.execute(query)}


def test_a_study_whose_objective_is_not_installed_any_more_says_which_in_one_line(
    searched: Path, tmp_path: Path
) -> None:
    """Nothing is written: all is there again with the package."""
    database = searched / "studies" / "toy.db"
    before = database.read_bytes()
    run = cspnas(tmp_path, "front", str(database))
    assert run.returncode == 2 and run.stderr.count("\n") == 1, run.stderr
    assert "found objective 'weights', expected one of accuracy, flops" in run.stderr
    assert "install the package that adds it" in run.stderr
    assert database.read_bytes() == before


def test_an_objective_of_a_known_name_is_refused_in_one_line(tmp_path: Path) -> None:
    install(tmp_path, "cspnas.objectives", "toy_objectives:FLOPS")
    ended = cspnas(tmp_path, "space", "--schema")
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "found Objective 'flops' again, expected one Objective with a name of its own" in ended.stderr
    assert "mend or uninstall package toy" in ended.stderr


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
