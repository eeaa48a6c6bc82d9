"""`cspnas space`: the shipped space's objectives are three, and the statistics mean what they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cspnas.architecture import Architecture, Stem
from cspnas.candidates import admitted_sample, baseline_curves
from cspnas.cost import stage_costs
from cspnas.space_command import statistics
from cspnas.space_document import find_space, read_space
from cspnas.study import Study
from cspnas.widths import dense_stage


@pytest.fixture(scope="module")
def study() -> Study:
    return read_space(find_space("densenet"))


@pytest.fixture(scope="module")
def numbers(study: Study) -> dict[str, Any]:
    return statistics(study, 10_000)


def test_no_stage_holds_the_peak_in_more_than_three_fifths_of_networks(numbers: dict[str, Any]) -> None:
    assert numbers["sampled"] == 10_000
    assert max(numbers["peak_held_by"].values()) <= 0.60


def test_peak_memory_takes_many_values_and_is_no_copy_of_flops(numbers: dict[str, Any]) -> None:
    assert numbers["peak_memory_values"] >= 150
    assert numbers["spearman_flops_peak_memory"] <= 0.8


def test_the_statistics_are_json_and_cover_every_fusion(numbers: dict[str, Any]) -> None:
    assert set(json.loads(json.dumps(numbers))["csp_lowers"]) == {"first", "last", "both"}


def test_baselines_are_five_plain_and_five_csp_networks_within_the_constraints(study: Study) -> None:
    curves = baseline_curves(study)
    assert [kind for kind, _ in curves] == ["plain"] * 5 + ["csp"] * 5
    for kind, drawn in curves:
        assert all(constraint.violation(drawn.costs) <= 0 for constraint in study.constraints)
        assert all((stage.csp is not None) == (kind == "csp") for stage in drawn.architecture.stages)
    assert len({drawn.digest for _, drawn in curves}) == 10


def test_a_stage_costs_by_itself_what_its_layers_cost(study: Study) -> None:
    """One plain stage on 4 channels at 5x5: layer and transition, by hand."""
    stage = dense_stage(4, depth=1, growth_rate=3, bottleneck_ratio=2, compression=1, pool=False)
    network = Architecture("densenet", (1, 5, 5), 1, Stem(4, 1), (stage,))
    assert [cost.macs for cost in stage_costs(network)] == [25 * (4 * 6 + 9 * 6 * 3 + 7 * 7)]


def test_the_admitted_sample_is_the_same_for_every_call(study: Study) -> None:
    assert [drawn.digest for drawn in admitted_sample(study, 20)] == [
        drawn.digest for drawn in admitted_sample(study, 20)
    ]
