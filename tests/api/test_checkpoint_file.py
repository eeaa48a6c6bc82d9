"""A training goes on from its own checkpoint alone, and overwrites no other file."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import draw_images

import cspnas
from cspnas.documents.architecture_file import architecture_yaml
from cspnas.errors import InputError
from cspnas.network.architecture import Architecture, Stage, Stem


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """The file of a small network, with the recipe of two epochs on images beside it."""
    draw_images(tmp_path / "images", 24, 8)
    architecture = Architecture("densenet", (1, 8, 8), 2, Stem(4), (Stage(1, 2, 2, 4, False),))
    recipe = {"dataset": f"folder:{tmp_path / 'images'}", "batch_size": 8, "precision": "float32", "epochs": 2}
    path = tmp_path / "best.yaml"
    path.write_text(architecture_yaml(architecture, {"recipe": recipe}))
    return path


def interrupted(network: Path, checkpoint: Path, epochs: int) -> None:
    """A training that ends after its first epoch and leaves a checkpoint."""

    def end(epoch: object) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        cspnas.train(network, epochs=epochs, checkpoint=checkpoint, checkpoint_seconds=0, on_epoch=end, device="cpu")
    assert checkpoint.is_file()


def test_a_training_with_other_options_is_refused_and_the_checkpoint_stays(network: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    interrupted(network, kept, 2)
    before = kept.read_bytes()
    for options, what in (({"epochs": 3}, "recipe, epochs"), ({"epochs": 2, "seed": 1}, "seed")):
        with pytest.raises(InputError, match=rf"not finished, with another {what}, expected the options"):
            cspnas.train(network, checkpoint=kept, device="cpu", **options)  # type: ignore[arg-type]
    assert kept.read_bytes() == before
    lines: list[str] = []
    assert len(cspnas.train(network, epochs=2, checkpoint=kept, device="cpu", on_note=lines.append).curve) == 2
    assert any("going on from epoch" in line for line in lines)


def test_no_file_of_the_users_is_taken_for_a_checkpoint(network: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    for path, found in ((notes, "no checkpoint"), (network, "no checkpoint"), (tmp_path / "images", "a folder")):
        with pytest.raises(InputError, match=found):
            cspnas.train(network, checkpoint=path, device="cpu")
    assert notes.read_text() == "mine"
