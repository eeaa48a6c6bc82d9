"""`deployment` in a space file: what it changes of a study and of its candidates, and what is refused."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from small_studies import small_study

from cspnas.cli.cost import CostRequest, cost_report
from cspnas.errors import InputError
from cspnas.study.candidates import admitted_sample, candidate


def test_costs_of_candidates_are_those_of_the_deployment_and_constraints_bind_them(tmp_path: Path) -> None:
    neutral, deployed = small_study(tmp_path), small_study(tmp_path, deployment={"precision": "int8", "batch": 8})
    genotype = neutral.space.sample(Random(0))
    before, now = candidate(neutral, genotype).costs, candidate(deployed, genotype).costs
    changed = {"peak_memory": 8 / 4, "weights_memory": 1 / 4, "traffic": 8}
    assert now == {name: value * changed.get(name, 1) for name, value in before.items()}
    bound = f"weights_memory <= {now['weights_memory']}"
    kept = admitted_sample(small_study(tmp_path, deployment={"precision": "int8"}, constraints=[bound]))
    assert max(one.costs["weights_memory"] for one in kept) == now["weights_memory"]


def test_a_study_of_before_goes_on_where_nothing_is_said_or_the_default_is(tmp_path: Path) -> None:
    said = {"precision": "float32", "batch": 1, "order": "written"}
    assert not [key for key in small_study(tmp_path).identity() if key.startswith("deployment")]
    assert small_study(tmp_path, deployment=said).identity() == small_study(tmp_path).identity()
    assert small_study(tmp_path, deployment__batch=2).identity()["deployment.batch"] == 2


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("precision", "fp16", "one of float32, float16, int8"),
        ("batch", 0, "a whole number of at least 1"),
        ("batch", 1.5, "a whole number"),
        ("batch", True, "a whole number"),
        ("order", "least", "one of written, best"),
        ("device", "gpu", "deployment.device"),
    ],
)
def test_what_is_no_deployment_is_refused_in_one_line(tmp_path: Path, key: str, value: Any, expected: str) -> None:
    with pytest.raises(InputError) as caught:
        small_study(tmp_path, **{f"deployment__{key}": value})
    assert expected in str(caught.value) and f"--set deployment.{key}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_the_command_says_of_a_deployment_comes_before_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text((Path(__file__).parents[2] / "architectures" / "peleenet.yaml").read_text())
    plain = cost_report(path, CostRequest(), as_json=False)[0]
    path.write_text(f"{path.read_text()}\ndeployment: {{precision: int8, batch: 8}}\n")
    there = cost_report(path, CostRequest(), as_json=False)[0]
    assert cost_report(path, CostRequest(precision="float32", batch=1), as_json=False)[0] == plain != there
    assert "int8, batch 8" in there and "of 8 images" in there
