"""A network with another class count than its file's: built so, or with a head replaced."""

from __future__ import annotations

import doctest
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from commands import draw_images
from safetensors.torch import load_file, save_file

import cspnas
from cspnas.cli import app as cli
from cspnas.documents.architecture_file import architecture_yaml, read_architecture
from cspnas.errors import InputError
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.wiring import wire

ARCHITECTURES = {
    head: Architecture("densenet", (1, 8, 8), 5, Stem(4), (Stage(1, 2, 2, 4),), head=head)
    for head in ("linear", "conv")
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an exported network of 5 classes and weights for it."""
    monkeypatch.chdir(tmp_path)
    architecture = ARCHITECTURES["linear"]
    recipe = {"dataset": "folder:images", "epochs": 1, "batch_size": 8, "precision": "float32"}
    extra = {"digest": wire(architecture).digest(), "recipe": recipe}
    Path("best.yaml").write_text(architecture_yaml(architecture, extra))
    save_file(cspnas.build("best.yaml", seed=1).state_dict(), "best.safetensors")
    return tmp_path


@pytest.mark.parametrize("head", ARCHITECTURES)
@pytest.mark.parametrize("classes", [1, 3, np.int64(3)])
def test_a_built_network_has_as_many_outputs_as_it_is_asked_for_and_the_same_body(
    head: str, classes: int, folder: Path
) -> None:
    Path("other.yaml").write_text(architecture_yaml(ARCHITECTURES[head]))
    network, plain = cspnas.build("other.yaml", seed=4, classes=classes), cspnas.build("other.yaml", seed=4)
    network.eval()
    with torch.no_grad():
        assert network(torch.zeros(2, 1, 8, 8)).shape == (2, int(classes))
    ours, theirs = network.state_dict(), plain.state_dict()
    assert list(ours) == list(theirs)
    body = [name for name in ours if not name.startswith("head.")]
    assert all(torch.equal(ours[name], theirs[name]) for name in body)
    assert network.graph.digest() != plain.graph.digest()
    text = Path("other.yaml").read_text().replace("classes: 5", f"classes: {int(classes)}")
    Path("edited.yaml").write_text(text)
    assert network.graph.digest() == cspnas.build("edited.yaml").graph.digest()


def test_the_files_own_count_gives_the_files_network(folder: Path) -> None:
    digest = yaml.safe_load(Path("best.yaml").read_text())["digest"]
    assert cspnas.build("best.yaml", classes=5).graph.digest() == digest


def test_a_reference_network_takes_another_count() -> None:
    network = cspnas.build("csppeleenet", classes=3)
    assert network.layer("head.linear").out_features == 3


@pytest.mark.parametrize("classes", [0, -1, True, False, 2.0, "3", [3]])
def test_a_count_that_is_no_positive_integer_is_refused_in_one_line(classes: Any, folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        cspnas.build("best.yaml", classes=classes)
    assert str(caught.value) == f"cspnas.build: found classes={classes!r}, expected an integer of at least 1"


@pytest.mark.usefixtures("folder")
def test_the_docstrings_examples_of_transfer_learning_do_what_they_say() -> None:
    names = {"build": cspnas.build, "load_file": load_file, "torch": torch}
    (example,) = doctest.DocTestFinder(recurse=False).find(cspnas.build, "build", globs=names)
    assert len(example.examples) >= 7
    assert doctest.DocTestRunner().run(example, clear_globs=False).failed == 0
    assert example.globs["network"](torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_training_on_other_classes_is_refused_with_a_way_that_works(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_images(folder / "images" / "train", 12, 8)

    def train(name: str) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["cspnas", "train", name, "--device", "cpu", "-o", "weights"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code, capsys.readouterr().err

    code, line = train("best.yaml")
    assert code == 2
    assert line.count("\n") == 1
    assert "set classes: 2 in a copy of the file and remove its digest line" in line
    lines = Path("best.yaml").read_text().replace("classes: 5", "classes: 2").splitlines()
    Path("two.yaml").write_text("\n".join(line for line in lines if not line.startswith("digest:")) + "\n")
    assert read_architecture(Path("two.yaml")).architecture.classes == 2
    assert train("two.yaml")[0] == 0
    assert load_file("weights")["head.linear.weight"].shape[0] == 2
