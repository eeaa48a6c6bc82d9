"""What `--format pt2` and `--format torchscript` write runs in torch without us, for batches of any size."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from exports import export, source_of
from random_architectures import wide_architecture
from small_networks import architecture as small_architecture

from cspnas.network.architecture import Architecture
from cspnas.network.families import FAMILIES
from cspnas.network.wiring import wire

# In a process that has never seen the package, and cannot find it.
ELSEWHERE = """
import sys, torch, warnings
warnings.simplefilter("ignore")
sys.modules["cspnas"] = None
images = torch.load("images")
for network in torch.export.load("x.pt2").module(), torch.jit.load("x.torchscript"):
    with torch.no_grad():
        torch.save([network(batch) for batch in images], type(network).__name__)
        print(type(network).__name__)
"""


def smallest_of_each_family() -> list[Architecture]:
    """Random networks, of each family the one with the fewest operations."""
    drawn = sorted(
        (wide_architecture(random.Random(seed)) for seed in range(60)), key=lambda a: -len(wire(a).operations)
    )
    found = {architecture.family: architecture for architecture in drawn}
    assert set(found) == set(FAMILIES)
    return list(found.values())


@pytest.mark.parametrize("form", ["pt2", "torchscript"])
def test_a_network_of_each_family_gives_the_same_outputs(form: str, tmp_path: Path) -> None:
    for number, architecture in enumerate(smallest_of_each_family()):
        said = export(source_of(architecture), form, tmp_path / f"{number}.{form}")
        assert "the same outputs" in said
        assert "on 16 images" in said


def test_the_files_run_where_the_package_is_not(tmp_path: Path) -> None:
    source = source_of(small_architecture())
    for form in ("pt2", "torchscript"):
        export(source, form, tmp_path / f"x.{form}")
    batches = [torch.randn(n, 1, 8, 8) for n in (1, 3)]
    torch.save(batches, tmp_path / "images")
    command = [sys.executable, "-c", ELSEWHERE]
    printed = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True).stdout.split()
    assert len(printed) == 2
    for name in printed:
        for images, theirs in zip(batches, torch.load(tmp_path / name), strict=True):
            torch.testing.assert_close(theirs, source.module(images).detach(), rtol=1e-4, atol=1e-4)


def test_the_archive_says_the_class_names(tmp_path: Path) -> None:
    export(source_of(small_architecture(), class_names=["<script>", "é"]), "pt2", tmp_path / "x.pt2")
    said = {"class_names": ""}
    torch.export.load(tmp_path / "x.pt2", extra_files=said)
    assert json.loads(said["class_names"]) == ["<script>", "é"]
