"""`cspnas space`: every shipped space's objectives are three, and the figures mean what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from cspnas.cli.space import genotype_report, space_report
from cspnas.documents.space_file import find_space, read_space, shipped_spaces
from cspnas.documents.space_settings import SpaceSettings
from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture, Stem
from cspnas.network.cost import CostTable, stage_costs
from cspnas.network.layer_costs import parts_of, peak_place
from cspnas.network.wiring import wire
from cspnas.reports.space_figures import SpaceStatistics
from cspnas.reports.space_statistics import memory_objectives, statistics
from cspnas.space.counting import census
from cspnas.space.stage_resolution import dense_stage
from cspnas.study.candidates import admitted_sample, baseline_curves, candidate
from cspnas.study.settings import Study

LIMIT = 300_000
NAMES = ("darknet", "densenet", "peleenet", "resnet", "resnext")
# (least, greatest) FLOPs of their networks.
LARGE = {
    "csp_cifar": (5e6, 80e6),
    "csp_imagenet_darknet": (2e9, 16e9),
    "csp_imagenet_resnext": (2e9, 16e9),
    "csp_mobile": (50e6, 1.2e9),
}
SMALL = """
family: {family}
norm: {norm}
stem: [{{channels: 4, stride: 2}}, {{channels: 5, stride: 2}}]
stages:
  - {{{size}: [4, 6], depth: [1, 2], split_ratio: [0.25, 0.3, 0.5], fusion: [first, last]}}
  - {{{size}: 6, depth: 1, csp: [true, false], split_ratio: 0.5, fusion: both}}
constraints: [flops <= {limit}]
"""


@cache
def study_of(name: str) -> Study:
    return read_space(shipped_spaces()[name])


@cache
def numbers_of(name: str) -> SpaceStatistics:
    return statistics(study_of(name), 10_000)


def test_a_space_of_each_family_and_four_of_real_sizes_are_shipped() -> None:
    assert tuple(shipped_spaces()) == tuple(sorted((*NAMES, *LARGE)))
    assert {study_of(name).space.family for name in NAMES} == set(NAMES)


@pytest.mark.parametrize("name", LARGE)
def test_a_space_of_real_size_has_networks_of_the_size_that_it_says(name: str) -> None:
    study, (least, greatest) = study_of(name), LARGE[name]
    flops = [drawn.costs["flops"] for drawn in admitted_sample(study, 200)]
    assert least <= min(flops) <= 3 * least and 0.6 * greatest <= max(flops) <= greatest
    curves = baseline_curves(study)
    assert [kind for kind, _ in curves] == ["plain"] * 5 + ["csp"] * 5
    assert len({drawn.digest for _, drawn in curves}) == 10
    for curve in ("plain", "csp"):
        costs = [drawn.costs["flops"] for kind, drawn in curves if kind == curve]
        assert max(costs) >= 2.5 * min(costs)


@pytest.mark.parametrize("name", NAMES)
def test_three_objectives_are_three(name: str) -> None:
    """No stage always holds the peak, and the memory objective is neither coarse nor a copy of flops."""
    numbers = numbers_of(name)
    assert numbers.sampled == 10_000
    assert max(numbers.peak_held_by.values()) <= 0.60
    assert memory_objectives(study_of(name)) == ["peak_memory"]
    independence = numbers.independence["peak_memory"]
    assert independence.values >= 150 and (independence.spearman_flops or 0) <= 0.8


def test_objectives_are_marked_exact_or_measured(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    objectives = "[accuracy, latency, evenness, traffic]"
    text = f"family: densenet\nobjectives: {objectives}\nstages: [{{depth: 1, growth_rate: 4}}]\nsearch: {{sampler: nsga2}}\n"
    path.write_text(text)
    expected = "objectives: accuracy (measured), latency (measured), evenness (exact), traffic (exact)"
    assert expected in space_report(str(path), 4, as_json=False).splitlines()
    marks = json.loads(space_report(str(path), 4, as_json=True))["objectives"]
    assert [(row["known"], row["better"]) for row in marks] == [
        ("measured", "greater"),
        ("measured", "smaller"),
        ("exact", "greater"),
        ("exact", "smaller"),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_networks_are_small_enough_to_train_in_seconds(name: str) -> None:
    """About .2 to 2.5 MMAC, for the 28x28 images of the packaged data set."""
    flops = numbers_of(name).ranges["flops"]
    assert flops.least <= 800e3 and 1.6e6 <= flops.median <= 3e6 and flops.greatest <= 5.5e6
    assert study_of(name).recipe.dataset == "fashion-mnist-mini"
    assert numbers_of(name).admitted_share >= 0.5


@pytest.mark.parametrize("name", NAMES)
def test_the_figures_are_json_and_cover_every_fusion(name: str) -> None:
    assert set(json.loads(json.dumps(numbers_of(name).to_json()))["csp_lowers"]) == {"first", "last", "both"}


@pytest.mark.parametrize("name", NAMES)
def test_baselines_are_five_plain_and_five_csp_networks_within_the_constraints(name: str) -> None:
    curves = baseline_curves(study_of(name))
    assert [kind for kind, _ in curves] == ["plain"] * 5 + ["csp"] * 5
    for kind, drawn in curves:
        assert all(constraint.violation(drawn.costs) <= 0 for constraint in study_of(name).constraints)
        assert all((stage.csp is not None) == (kind == "csp") for stage in drawn.architecture.stages)
    assert len({drawn.digest for _, drawn in curves}) == 10


def test_the_all_csp_baselines_are_csp_where_the_space_lets_them_and_missing_where_it_does_not() -> None:
    stages = study_of("densenet").space.stages
    for fixed in (("stages.0.csp",), tuple(f"stages.{number}.csp" for number in range(len(stages)))):
        study = read_space(find_space("densenet"), dict.fromkeys(fixed, False))
        curves = baseline_curves(study)
        kinds = [kind for kind, _ in curves]
        assert kinds == ["plain"] * 5 + ["csp"] * 5 * (len(fixed) < len(stages))
        for kind, drawn in curves:
            crossed = [stage.csp is not None for stage in drawn.architecture.stages]
            assert crossed == [kind == "csp" and f"stages.{n}.csp" not in fixed for n in range(len(stages))]


@pytest.mark.parametrize("name", NAMES)
def test_the_peaks_place_is_where_the_layers_of_the_network_have_it(name: str) -> None:
    table = CostTable()
    for drawn in admitted_sample(study_of(name), 20):
        parts = parts_of(drawn.architecture)
        assert peak_place(drawn.architecture, table) == max(parts, key=lambda part: part.peak.live_memory).name


def test_a_network_that_the_space_contains_is_shown_with_its_genes() -> None:
    name = "csp_imagenet_darknet"
    found = json.loads(genotype_report(name, "csdarknet53", SpaceSettings({}), as_json=True))
    assert wire(study_of(name).space.decode(found["genotype"])).digest() == found["digest"]
    assert found["digest"].startswith("5f6dd228a562") and found["broken_constraints"] == []
    tight = SpaceSettings({}, [], ["flops<=9G"])
    lines = genotype_report(name, "csdarknet53", tight, as_json=False).splitlines()
    assert lines[0] == "csdarknet53 is a point of csp_imagenet_darknet, digest 5f6dd228a562"
    assert "  stage1.expand_ratio = 2.0" in lines and lines[-1] == "13.07G FLOPs; it breaks flops<=9G"


def test_a_network_that_the_space_lacks_is_one_line_with_what_differs(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "cspnas", "space", "csp_imagenet_darknet", "--contains", "csresnext50"]
    run = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (2, "", 1)
    assert "--contains csresnext50: found family resnext, expected one of darknet" in run.stderr


# A space small enough to be listed --------------------------------------------------------------------------------


@pytest.fixture(params=[("densenet", "after"), ("resnet", "after"), ("darknet", "before")], ids=lambda p: p[0])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Study:
    family, norm = request.param
    path = tmp_path / "small.yaml"
    size = "growth_rate" if family == "densenet" else "width"
    path.write_text(SMALL.format(family=family, norm=norm, size=size, limit="300k"))
    return read_space(path)


def networks_of(study: Study) -> dict[str, dict[str, float]]:
    """Digest to costs of every network of a small space, by brute force."""
    found = {}
    for genotype in study.space.enumerate():
        try:
            drawn = candidate(study, genotype)
        except ArchitectureError:
            continue
        found[wire(drawn.architecture).digest()] = drawn.costs
    return found


def test_a_small_space_is_counted_and_its_ranges_are_exact(small: Study) -> None:
    networks = networks_of(small)
    numbers = statistics(small, 1000)
    admitted = [costs for costs in networks.values() if costs["flops"] <= LIMIT]
    assert numbers.whole and numbers.architectures_exact
    assert numbers.architectures == len(networks) < numbers.genotypes == small.space.size
    assert numbers.sampled == len(admitted) and numbers.admitted_share == len(admitted) / len(networks)
    for name, unit in (("flops", ""), ("peak_memory", "_bytes"), ("traffic", "_elements")):
        span = numbers.ranges[name + unit]
        values = [costs[name] for costs in admitted]
        assert (span.least, span.greatest) == (min(values), max(values))


@pytest.mark.parametrize("name", NAMES)
def test_an_estimate_of_the_number_of_networks_is_near_the_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = census(study_of(name).space)
    monkeypatch.setattr("cspnas.space.counting.COUNTED", 0)
    estimate = census(study_of(name).space)
    assert counted.exact and not estimate.exact
    assert estimate.architectures == pytest.approx(counted.architectures, rel=0.05)


def test_the_text_says_what_is_counted_and_what_is_estimated(
    small: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "small.yaml")
    text = space_report(path, 1000, as_json=False)
    assert "distinct networks (counted)" in text and "of all genotypes are networks" in text
    assert "costs of all " in text and "flops<=300k admits " in text and " of admitted), " in text
    monkeypatch.setattr("cspnas.space.counting.COUNTED", 0)
    text = space_report(path, 10, as_json=False)
    assert (
        "distinct networks (an estimate from 4,000 random genotypes)" in text
        and "costs of 10 admitted random ones" in text
    )
    assert json.loads(space_report(path, 10, as_json=True))["architectures_exact"] is False


def test_a_baselines_place_is_the_share_of_networks_that_cost_less(small: Study) -> None:
    admitted = [costs for costs in networks_of(small).values() if costs["flops"] <= LIMIT]
    for row in statistics(small, 1000).baselines:
        below = sum(costs["flops"] < row.costs["flops"] for costs in admitted)
        assert row.below["flops"] == below / len(admitted)


def test_a_stage_costs_by_itself_what_its_layers_cost() -> None:
    """One plain stage on 4 channels at 5x5: layer and transition, by hand."""
    stage = dense_stage(4, depth=1, growth_rate=3, bottleneck_ratio=2, compression=1, pool=False)
    network = Architecture("densenet", (1, 5, 5), 1, Stem(4, 1), (stage,))
    assert [cost.macs for cost in stage_costs(network)] == [25 * (4 * 6 + 9 * 6 * 3 + 7 * 7)]


def test_the_admitted_sample_is_the_same_for_every_call() -> None:
    first, second = ([drawn.digest for drawn in admitted_sample(study_of("densenet"), 20)] for _ in "12")
    assert first == second


def test_what_trainings_take_here_is_measured_where_there_are_data_and_nobody_says_no(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(SMALL.format(family="densenet", norm="after", size="growth_rate", limit="1M"))
    numbers = json.loads(space_report(str(path), 10, as_json=True, time=True))["training"]
    assert 0 < numbers["seconds"]["least"] < numbers["seconds"]["all"] and numbers["trainings"] == 40
    assert "one training here: about " in space_report(str(path), 10, as_json=False, time=True)
    assert json.loads(space_report(str(path), 10, as_json=True))["training"] is None
    path.write_text(f"{path.read_text()}\ninput: {{shape: [1, 28, 28], classes: 10}}\n")
    assert json.loads(space_report(str(path), 10, as_json=True, time=True))["training"] is None
