"""The garments in colour: the same bytes everywhere, of the right garments, and hard to tell apart by colour alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cspnas.data import datasets, fashion_color, prepared_cache
from cspnas.data.image_arrays import ImageArrays
from cspnas.data.public_datasets import LabelledImages


def garments(count: int, value: int = 0) -> LabelledImages:
    """Garments of two classes: the upper and the lower half of the picture."""
    labels = np.arange(count) % 2
    images = np.full((count, 1, 28, 28), value, np.uint8)
    images[labels == 0, :, 4:14, 6:22] = images[labels == 1, :, 14:24, 6:22] = 220
    return images, labels.astype(np.int64)


def test_the_search_images_are_those_of_the_known_checksum() -> None:
    """Made by integers alone: another processor or NumPy gives the same bytes, or this test says so."""
    found = datasets.load("fashion-color")
    assert found.checksum == fashion_color.CHECKSUM
    assert found.input_shape == (3, 32, 32)
    assert (len(found.train.labels), len(found.validation.labels)) == (20_000, 4_000)
    assert torch.bincount(found.train.labels).tolist() == [2_000] * 10
    assert found.in_both == 0


def test_they_are_made_once_and_made_again_where_the_file_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = garments(40), garments(10)
    made = []

    def make() -> ImageArrays:
        made.append(1)
        return ImageArrays(*small, ("up", "down"))

    from cspnas.data.pixel_statistics import pixel_statistics

    target, checksum = tmp_path / "x" / "small.safetensors", pixel_statistics(*small).checksum
    for _ in range(2):
        file = prepared_cache.generated_images(target, checksum, make)
        assert np.array_equal(file.images("train"), small[0][0])
    assert len(made) == 1
    content = bytearray(target.read_bytes())
    content[-1] ^= 1
    target.write_bytes(content)
    file = prepared_cache.generated_images(target, checksum, make)
    assert len(made) == 2 and np.array_equal(file.images("validation"), small[1][0])


def test_test_images_are_of_the_test_garments_and_training_ones_come_twice() -> None:
    images, labels = fashion_color.colored("train", garments(30))
    assert images.shape == (60, 3, 32, 32) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [30, 30]
    assert fashion_color.colored("validation", garments(30))[0].shape[0] == 30
    test = datasets.load_test("fashion-color")
    assert test.images.shape == (4_000, 3, 32, 32)
    assert torch.bincount(test.labels).tolist() == [400] * 10


def test_a_garment_stands_out_from_its_ground_where_it_is() -> None:
    """Copies of one garment: their common place differs from the ground, whose colours average out."""
    images, labels = fashion_color.colored("validation", garments(600))
    spread = images.std(axis=0).mean(0)
    rows = [np.abs(np.diff(images[labels == n].astype(float).mean((0, 1)), axis=0)).max() for n in (0, 1)]
    assert spread.min() > 40
    assert min(rows) > 2


def test_colours_say_nothing_of_the_class() -> None:
    """The mean colour of the images of each class is that of all, within what chance does."""
    found = datasets.load("fashion-color")
    corners = found.train.images[:, :, :3, :3].float().mean((2, 3))
    means = torch.stack([corners[found.train.labels == n].mean(0) for n in range(10)])
    assert (means - corners.mean(0)).abs().max() < 5 * corners.std() / 2_000**0.5
