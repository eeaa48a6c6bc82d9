"""Data sets in arrays, `npz:FILE`: what is read, and the one line for each that is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.Image import Resampling

from cspnas.data import datasets as data
from cspnas.data import prepared_cache
from cspnas.data.image_settings import AS_THEY_ARE, ImageSettings
from cspnas.errors import InputError

IMAGES = np.random.RandomState(1).randint(0, 256, (24, 6, 8, 3)).astype(np.uint8)
LABELS = np.arange(24) % 2
WHOLE = {
    "images": IMAGES[:12],
    "labels": LABELS[:12],
    "val_images": IMAGES[12:18],
    "val_labels": LABELS[12:18],
    "test_images": IMAGES[18:],
    "test_labels": LABELS[18:],
    "class_names": np.array(["cat", "dog"]),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own."""
    monkeypatch.setenv("CSPNAS_DATA", str(tmp_path / "cache"))


def saved(folder: Path, **changes: Any) -> str:
    """The data set of WHOLE with some arrays replaced, or left out where they are None."""
    arrays = {name: array for name, array in (WHOLE | changes).items() if array is not None}
    np.savez(folder / "x.npz", **arrays)
    return f"npz:{folder / 'x.npz'}"


def refused(name: str, settings: ImageSettings = AS_THEY_ARE) -> str:
    with pytest.raises(InputError) as caught:
        data.load(name, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_arrays_are_read_as_they_stand(tmp_path: Path) -> None:
    name = saved(tmp_path)
    found, test = data.load(name), data.load_test(name)
    assert (found.input_shape, found.class_names) == ((3, 6, 8), ("cat", "dog"))
    for part, rows in ((found.train, slice(12)), (found.validation, slice(12, 18)), (test, slice(18, 24))):
        assert np.array_equal(part.images.numpy(), IMAGES[rows].transpose(0, 3, 1, 2))
        assert np.array_equal(part.labels.numpy(), LABELS[rows])
    assert data.has_test(name)


def test_the_names_of_medmnist_and_labels_in_a_column_are_understood(tmp_path: Path) -> None:
    plain = data.load(saved(tmp_path)).checksum
    moved = {"images": None, "labels": None, "train_images": IMAGES[:12], "train_labels": LABELS[:12, None]}
    assert data.load(saved(tmp_path, **moved)).checksum == plain


def test_the_same_pixels_have_one_checksum_as_a_folder_and_as_arrays(tmp_path: Path) -> None:
    for part, rows in (("train", range(12)), ("val", range(12, 18))):
        for row in sorted(rows, key=lambda row: LABELS[row]):
            file = tmp_path / "in" / part / ("cat", "dog")[LABELS[row]] / f"{row:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(IMAGES[row]).save(file)
    order = np.argsort(LABELS[:12], kind="stable")
    later = 12 + np.argsort(LABELS[12:18], kind="stable")
    name = saved(
        tmp_path, images=IMAGES[order], labels=LABELS[order], val_images=IMAGES[later], val_labels=LABELS[later]
    )
    assert data.load(name).checksum == data.load(f"folder:{tmp_path / 'in'}").checksum


def test_without_validation_a_sixth_of_each_class_is_held_out(tmp_path: Path) -> None:
    name = saved(tmp_path, val_images=None, val_labels=None, test_images=None, test_labels=None)
    found = data.load(name)
    assert found.train.labels.bincount().tolist() == [5, 5] and found.validation.labels.bincount().tolist() == [1, 1]
    assert not data.has_test(name)
    with pytest.raises(InputError, match="no test images, expected arrays test_images and test_labels"):
        data.load_test(name)


def test_labels_without_names_become_the_classes_in_their_order(tmp_path: Path) -> None:
    name = saved(tmp_path, labels=LABELS[:12] * 30 + 5, val_labels=LABELS[12:18] * 30 + 5, class_names=None)
    found = data.load(name)
    assert found.class_names == ("5", "35") and found.validation.labels.tolist() == LABELS[12:18].tolist()


def test_they_are_resized_and_made_grey_as_images_of_a_folder_are(tmp_path: Path) -> None:
    found = data.load(saved(tmp_path), ImageSettings((9, 10), "pad", 1))
    assert found.summary.enlarged == 18 and "; 18 enlarged" in found.summary.line()
    expected = [ImageOps.pad(Image.fromarray(one).convert("L"), (10, 9), Resampling.BICUBIC) for one in IMAGES[:12]]
    assert np.array_equal(found.train.images.numpy()[:, 0], np.stack([np.asarray(one) for one in expected]))


def test_a_second_start_reads_no_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = saved(tmp_path)
    first = data.load(name).checksum
    monkeypatch.setattr(prepared_cache, "_made", lambda *arguments: pytest.fail("read"))
    assert data.load(name).checksum == first


REFUSED = {
    "pickle": ({"labels": np.array([None] * 12)}, "x.npz labels: found Python objects (a pickle)"),
    "pickled names": (
        {"class_names": np.array(["cat", "dog"], dtype=object)},
        "x.npz class_names: found Python objects",
    ),
    "floats": ({"images": IMAGES[:12] / 255}, "x.npz images: found float64 images, expected uint8"),
    "channels first": ({"images": IMAGES[:12].transpose(0, 3, 1, 2)}, "images.transpose(0, 2, 3, 1)"),
    "five dimensions": ({"images": IMAGES[None]}, "found shape (1, 24, 6, 8, 3), expected (N, H, W)"),
    "no images": ({"images": IMAGES[:0], "labels": LABELS[:0]}, "found shape (0, 6, 8, 3)"),
    "float labels": ({"labels": LABELS[:12] / 1}, "x.npz labels: found float64 labels, expected integers"),
    "too few labels": ({"labels": LABELS[:5]}, "found labels of shape (5,), expected (12,), one for each image"),
    "label without a name": ({"labels": LABELS[:12] + 1}, "found the label 2, expected 0 to 1"),
    "class without an image": ({"labels": LABELS[:12] * 0}, "found no image of the class 'dog'"),
    "one class": ({"labels": LABELS[:12] * 0, "val_labels": LABELS[12:18] * 0, "class_names": None}, "found 1 class"),
    "unknown in validation": (
        {"val_labels": LABELS[12:18] + 7, "class_names": None},
        "x.npz val_labels: found the label 7, expected those of training: 0, 1",
    ),
    "names in two rows": ({"class_names": np.array([["cat"], ["dog"]])}, "expected a row of text"),
    "no labels": ({"labels": None}, "found no array 'labels' among images"),
    "half of validation": ({"val_labels": None}, "found no array 'val_labels'"),
    "another size": ({"val_images": IMAGES[12:18, :5]}, "found images of 8 x 5 pixels, expected 8 x 6, as in training"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_data_set_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    changes, said = REFUSED[case]
    assert said in refused(saved(tmp_path, **changes))


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "single array", "absent", "folder"])
def test_a_file_that_is_no_npz_is_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    name, file = saved(tmp_path), tmp_path / "x.npz"
    content = file.read_bytes()
    file.unlink()
    if damage == "folder":
        file.mkdir()
    elif damage == "single array":
        with file.open("wb") as stream:
            np.save(stream, IMAGES)
    elif damage != "absent":
        file.write_bytes({"cut": content[: len(content) // 2], "garbage": b"\xff" * 99, "empty": b""}[damage])
    line = refused(name)
    assert str(file) in line and "expected" in line


def test_damaged_pixels_are_refused_in_one_line(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", **WHOLE)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[200:260] = b"\0" * 60
    (tmp_path / "x.npz").write_bytes(content)
    assert "cannot be read" in refused(f"npz:{tmp_path / 'x.npz'}")
