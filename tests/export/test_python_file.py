"""What `--format python` writes is a network without us, with the same weights by the same names."""

from __future__ import annotations

import random
import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from exports import DATA, export, reference, source_of
from random_architectures import wide_architecture
from safetensors.torch import load_file, save_file
from small_networks import architecture as small_architecture

from cspnas.documents.architecture_file import shipped_architectures
from cspnas.export.python_source import python_source
from cspnas.network.wiring import wire
from cspnas.training.module import NetworkModule


def test_outputs_are_equal_to_the_bit_whatever_the_networks_parts(tmp_path: Path) -> None:
    for seed in range(15):
        source = source_of(wide_architecture(random.Random(seed)))
        said = export(source, "python", tmp_path / f"{seed}.py")
        assert said.endswith("gives the same outputs to the bit on 16 images")


@pytest.mark.parametrize("name", shipped_architectures())
def test_the_layers_of_a_reference_network_have_our_names_and_shapes(name: str) -> None:
    graph = wire(reference(name))
    with torch.device("meta"):
        ours, names = NetworkModule(graph).eval(), {}
        exec(python_source(graph, reference(name).family, "", {}), names)
        theirs = names["Network"]().eval()
        assert theirs(torch.empty(2, 3, 32, 32)).shape == (2, 7)
    assert {n: t.shape for n, t in theirs.state_dict().items()} == {n: t.shape for n, t in ours.state_dict().items()}


def test_the_file_loads_the_weights_without_any_module_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(reference("csresnext50"), class_names=['<script>"', "\n'''", *"cdefg"], **DATA)
    export(source, "python", tmp_path / "net.py")
    save_file(source.module.state_dict(), tmp_path / "net.safetensors")
    for module in [name for name in sys.modules if name.split(".")[0] == "cspnas"]:
        monkeypatch.setitem(sys.modules, module, None)
    found = runpy.run_path(str(tmp_path / "net.py"))
    network = found["Network"]().eval()
    network.load_state_dict(load_file(tmp_path / "net.safetensors"))
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(network(images), source.module(images))
    assert (found["CLASS_NAMES"][:2], found["STD"]) == (('<script>"', "\n'''"), tuple(DATA["std"]))


def test_classes_are_named_after_the_parts_of_the_papers(tmp_path: Path) -> None:
    export(source_of(small_architecture()), "python", tmp_path / "x.py")
    text = (tmp_path / "x.py").read_text()
    found = re.findall(r"^class (\w+)", text, re.MULTILINE)
    assert found == ["Stem", "ConvUnit", "Head", "DenseLayer", "CrossStage", "Network"]
    assert max(map(len, text.splitlines())) <= 120
