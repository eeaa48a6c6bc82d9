"""`cspnas data`: what it says of folders, tables, arrays and known data sets, and the picture that it draws."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from image_folders import draw, draw_classes, draw_noise, noise
from PIL import Image

from cspnas.cli.data import described_data
from cspnas.data.image_settings import AS_THEY_ARE, ImageSettings
from cspnas.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own."""
    monkeypatch.setenv("CSPNAS_DATA", str(tmp_path / "cache"))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """12 cats and 1 dog of three sizes for training, a damaged cat, and a dog that is a cat of training."""
    for index in range(12):
        width = (10, 20, 30)[index % 3]
        noise(index, 12, width, 3).save(draw_path(tmp_path / "pets" / "train" / "cat" / f"{index:02}.png"))
    noise(50, 24, 24, 3).save(draw_path(tmp_path / "pets" / "train" / "dog" / "dog.png"))
    for index, name in enumerate(("cat", "dog")):
        noise(60 + index, 30, 40, 3).save(draw_path(tmp_path / "pets" / "val" / name / "0.png"))
    shutil.copy(tmp_path / "pets" / "train" / "cat" / "03.png", tmp_path / "pets" / "val" / "dog" / "same.png")
    whole = (tmp_path / "pets" / "train" / "cat" / "04.png").read_bytes()
    (tmp_path / "pets" / "train" / "cat" / "00torn.png").write_bytes(whole[: len(whole) // 2])
    return tmp_path / "pets"


def draw_path(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


SKIPPING = ImageSettings((16, 16), skip_unreadable=True)


def test_a_folder_is_described_with_all_that_makes_results_doubtful(pets: Path, tmp_path: Path) -> None:
    text = described_data(str(pets), SKIPPING)
    assert f"data set folder:{pets}: 16 images (13 training + 3 validation), 3 x 16 x 16, classes cat, dog" in text
    assert "13 enlarged; 1 skipped: unreadable" in text
    assert "  cat: 12 + 1\n  dog: 1 + 2\n" in text
    assert "sizes found (width x height): least 10 x 12, median 20 x 12, most 40 x 30" in text
    assert f"unreadable: {pets}/train/cat/00torn.png: " in text
    assert f"the same image: {pets}/train/cat/03.png and {pets}/val/dog/same.png" in text
    assert "all pixels: 12KiB, which fits the " in text
    assert f"prepared file: {tmp_path}/cache/prepared/" in text
    assert "warning: 1 image stands in both training and validation" in text
    assert "warning: class cat has 12 times the training images of class dog" in text


def test_as_json_it_has_the_same_figures_and_a_second_call_says_the_same(pets: Path) -> None:
    first, again = (json.loads(described_data(str(pets), SKIPPING, as_json=True)) for _ in range(2))
    assert first["classes"] == [
        {"name": "cat", "training": 12, "validation": 1},
        {"name": "dog", "training": 1, "validation": 2},
    ]
    assert (first["training"], first["enlarged"], first["in_both"], first["imbalance"]) == (13, 13, 1, 12)
    assert first["sizes"] == [[10, 12], [20, 12], [40, 30]] and first["fits_memory"] is True
    assert first["skipped"] == {"unreadable": 1} and first["left_out"][0][0].endswith("00torn.png")
    assert Path(first["file"]).stat().st_size == first["file_bytes"] > first["image_bytes"] == 16 * 3 * 256
    assert {**first, "free_bytes": 0} == {**again, "free_bytes": 0}


def test_damaged_images_are_listed_where_they_are_not_left_out(pets: Path) -> None:
    with pytest.raises(InputError, match=r"1 unreadable image: .*00torn.png: .*--skip-unreadable"):
        described_data(str(pets), ImageSettings((16, 16)))


def test_at_most_ten_pairs_are_named(tmp_path: Path) -> None:
    draw_noise(tmp_path / "in" / "train", 6, 8)
    shutil.copytree(tmp_path / "in" / "train", tmp_path / "in" / "val")
    text = described_data(str(tmp_path / "in"), AS_THEY_ARE)
    assert text.count("the same image: ") == 10 and "warning: 24 images stand in both" in text


def test_arrays_and_tables_are_described_too(tmp_path: Path) -> None:
    images = np.stack([np.asarray(noise(index // 2, 6, 8, 3)) for index in range(4)])
    labels = np.array([0, 1, 0, 1])
    np.savez(
        tmp_path / "x.npz", images=images[::2].repeat(2, 0), labels=labels, val_images=images[:2], val_labels=labels[:2]
    )
    text = described_data(str(tmp_path / "x.npz"), AS_THEY_ARE)
    assert "the same image: training image 0 and validation image 0" in text
    draw_classes(tmp_path / "in")
    lines = [f"in/{name}/{index:02}.png,{name}" for name in ("cat", "dog") for index in range(12)]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    assert "  cat: 10 + 2\n  dog: 10 + 2\n" in described_data(f"csv:{tmp_path / 'x.csv'}", AS_THEY_ARE)


def test_the_packaged_data_set_is_described_by_its_name() -> None:
    text = described_data("fashion-mnist-mini", AS_THEY_ARE)
    assert "  T-shirt/top: 1,000 + 400\n" in text and "prepared file" not in text


def test_the_sheet_shows_eight_training_images_of_each_class(tmp_path: Path) -> None:
    """Classes of one colour each: where the colour stands in the picture is known."""
    for label, name in enumerate(("black", "grey")):
        for index in range(12):
            draw(tmp_path / "in" / "train" / name / f"{index}.png", size=(32, 32), value=100 * label)
        draw(tmp_path / "in" / "val" / name / "0.png", size=(32, 32), value=100 * label + 1)
    sheet = tmp_path / "sheet.png"
    assert described_data(str(tmp_path / "in"), AS_THEY_ARE, sheet=sheet).endswith(f"sheet: {sheet}")
    pixels = np.asarray(Image.open(sheet).convert("L"))
    assert pixels.shape == (4 + 2 * 118, 4 + 8 * 100)
    for row, colour in enumerate((0, 100)):
        for column in range(8):
            cell = pixels[4 + row * 118 + 18 :, 4 + column * 100 :][:96, :96]
            assert (cell == colour).all()
    with pytest.raises(InputError, match="exists"):
        described_data(str(tmp_path / "in"), AS_THEY_ARE, sheet=sheet)


def test_a_sheet_of_another_ending_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"--sheet: found '.*x.jpg', expected a name that ends in .png; choose .*x.png"
    ):
        described_data(str(tmp_path / "absent"), AS_THEY_ARE, sheet=tmp_path / "x.jpg")
