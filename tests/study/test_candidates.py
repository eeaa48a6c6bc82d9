"""Samples of candidates are bounded in work, and a constraint that admits nothing names the nearest network."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from cspnas.documents.space_file import read_space
from cspnas.errors import InputError
from cspnas.network.cost import CostTable
from cspnas.reports.space_statistics import draw
from cspnas.samplers.candidate_pool import Pool
from cspnas.study.candidates import admitted_sample, candidate, valid_candidates
from cspnas.study.settings import Study

DEEP = """
family: densenet
stem: {{channels: 16, stride: 2}}
stages:
  - {{growth_rate: {many}, depth: {many}, bottleneck_ratio: [1, 2, 3], compression: [0.25, 0.5, 0.75]}}
  - {{growth_rate: {many}, depth: {many}, bottleneck_ratio: [1, 2, 3], compression: [0.25, 0.5, 0.75]}}
constraints: [{constraint}]
input: {{shape: [3, 32, 32], classes: 10}}
"""
WORK = 2_000


@pytest.fixture
def bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("study.candidates", "samplers.candidate_pool", "reports.space_statistics"):
        monkeypatch.setattr(f"cspnas.{module}.WORK", WORK)
    monkeypatch.setattr("cspnas.reports.space_statistics.WORK_EACH", 1)


def _deep(folder: Path, constraint: str = "flops <= 1T") -> Study:
    path = folder / "deep.yaml"
    path.write_text(DEEP.format(many=list(range(2, 60)), constraint=constraint))
    return read_space(path)


def test_a_sample_of_deep_networks_is_smaller(tmp_path: Path, bounded: None) -> None:
    study, table = _deep(tmp_path), CostTable()
    drawn = list(valid_candidates(study, Random(0), table))
    most = 2 * 60 * 10  # operations of the deepest network, about ten a layer
    assert WORK <= table.operations < WORK + most
    assert 1 <= len(drawn) <= len(admitted_sample(study)) < 100
    assert 1 <= len(draw(study, 2000, CostTable()).networks) < 100
    assert 1 <= len(Pool(study).batch(0).candidates) < 100


def test_the_nearest_network_to_a_constraint_that_admits_nothing_is_the_smallest(tmp_path: Path) -> None:
    """As many steps lead there by long strides as there are genes, of which each has 58 choices."""
    study = _deep(tmp_path, "flops <= 10")
    smallest = min(
        candidate(
            study, _smallest(study) | {f"stage{n}.{name}": value for n in (1, 2) for name, value in wiring.items()}
        ).costs["flops"]
        for wiring in (
            {"csp": False},
            *({"csp": True, "fusion": f, "split_ratio": 0.75} for f in ("first", "last", "both")),
        )
        if wiring.get("fusion") != "last"  # leaves no channel for the transition at this compression
    )
    with pytest.raises(InputError, match="no architecture that meets flops<=10") as error:
        admitted_sample(study, 50)
    found = re.search(r"nearest one has flops ([\d.]+)k", str(error.value))
    assert found and float(found[1]) == pytest.approx(smallest / 1000, rel=0.2)


def _smallest(study: Study) -> dict[str, object]:
    return {gene.name: min(gene.choices) for gene in study.space.genes() if gene.ordered}


def test_what_little_is_admitted_of_a_large_space_is_found(tmp_path: Path) -> None:
    study = _deep(tmp_path, "flops <= 600k")
    found = admitted_sample(study, 50)
    assert len(found) == 50
    assert all(one.costs["flops"] <= 600_000 for one in found)
