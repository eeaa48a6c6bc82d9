"""The family table: its rows, and a family that an installed package adds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from installed import cspnas, install

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.families import FAMILIES, family_of
from cspnas.network.wiring import wire
from cspnas.space.stage_choices import StageChoices

SPACE = """
family: basic
stem: {channels: 4, stride: 4}
stages: [{csp: [true, false], split_ratio: 0.5, fusion: both, width: [4, 8], depth: 1}]
objectives: [accuracy, flops]
proxy: {epochs: 1}
search: {trials: 2, confirm: 0, workers: 1}
baselines: {widths: 0}
"""


def test_every_row_stands_under_its_name_with_keys_that_a_stage_has() -> None:
    for name, row in FAMILIES.items():
        assert row.name == name and family_of(name) is row
        assert row.keys <= set(StageChoices.__dataclass_fields__)
        assert (row.size_gene == "growth_rate") == (row.kind == "dense") and row.size_gene not in row.defaults


def test_an_unknown_family_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ArchitectureError, match=r"family 'vgg', expected one of densenet, peleenet, resnet, resnext, dark"
    ):
        wire(Architecture("vgg", (1, 8, 8), 2, Stem(4), (Stage(1, 2, 2, 4),)))


def test_a_family_of_an_installed_package_is_searched_and_exported(tmp_path: Path) -> None:
    """Two trainings in a worker process of its own, whose checkpointed network is read back from the exported file."""
    install(tmp_path, "cspnas.families", "toy_family:FAMILY")
    (tmp_path / "toy.yaml").write_text(SPACE)
    searched = cspnas(tmp_path, "search", "toy.yaml", "--study", "toy")
    assert searched.returncode == 0, searched.stderr
    front = cspnas(tmp_path, "front", "toy", "--json")
    summary = json.loads(front.stdout)
    assert (summary["trainings"], summary["failed"]) == (2, 0)
    exported = cspnas(tmp_path, "export", "toy", "--output", "best.yaml")
    assert exported.returncode == 0, exported.stderr
    costed = cspnas(tmp_path, "cost", "best.yaml", "--layers")
    assert "best.yaml: basic, network" in costed.stdout and "block.layer1.second" in costed.stdout, costed.stderr
    schema = json.loads(cspnas(tmp_path, "space", "--schema").stdout)
    assert schema["properties"]["family"]["enum"] == [*FAMILIES, "basic"]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("no_such_module:FAMILY", "found ModuleNotFoundError: No module named 'no_such_module', expected one Family"),
        ("toy_family:basic_block", "found a function, expected one Family with a name of its own"),
        ("toy_family:RESNET", "found Family 'resnet' again, expected one Family with a name of its own"),
    ],
)
def test_an_installed_family_that_cannot_be_used_ends_in_one_line(tmp_path: Path, value: str, found: str) -> None:
    install(tmp_path, "cspnas.families", value)
    ended = cspnas(tmp_path, "space", "--schema")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"cspnas: entry point {value.rpartition(':')[2].lower()} = {value}: {found}"), (
        ended.stderr
    )
    assert ended.stderr.count("\n") == 1 and "mend or uninstall package toy" in ended.stderr
