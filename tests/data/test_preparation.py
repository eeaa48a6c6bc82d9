"""Images of any size and kind made equal in one file: its pixels, its keeping, and what may happen to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from image_folders import draw_noise, noise
from PIL import Image, ImageOps
from PIL.Image import Resampling
from safetensors.numpy import load_file

from cspnas.data import datasets, preparation, prepared_cache
from cspnas.data.image_settings import AS_THEY_ARE, ImageSettings, Resize
from cspnas.data.prepared_file import open_prepared
from cspnas.errors import InputError

SIZES = ((40, 30), (17, 64), (33, 33), (9, 11))  # (width, height)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("CSPNAS_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "prepared"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Pictures of four sizes in two classes, three of each size and class for training, one for validation."""
    for part, count in (("train", 3), ("val", 1)):
        for name in ("cat", "dog"):
            for n, (width, height) in enumerate(SIZES * count):
                file = tmp_path / "mixed" / part / name / f"{n:02}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                noise(crc32(f"{part} {name} {n}".encode()), height, width, 3).save(file)
    return tmp_path / "mixed"


def load(folder: Path, settings: ImageSettings = AS_THEY_ARE) -> datasets.DataSet:
    return datasets.load(f"folder:{folder}", settings)


def refused(folder: Path, settings: ImageSettings = AS_THEY_ARE) -> str:
    with pytest.raises(InputError) as caught:
        load(folder, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


FITS: dict[Resize, Callable[[Image.Image], Image.Image]] = {
    "crop": lambda image: ImageOps.fit(image, (24, 16), Resampling.BICUBIC),
    "pad": lambda image: ImageOps.pad(image, (24, 16), Resampling.BICUBIC),
    "stretch": lambda image: image.resize((24, 16), Resampling.BICUBIC),
}


@pytest.mark.parametrize("resize", FITS)
def test_each_image_is_what_pillow_makes_of_it(mixed: Path, resize: Resize) -> None:
    found = load(mixed, ImageSettings((16, 24), resize))
    assert found.input_shape == (3, 16, 24)
    for part, split in (("train", found.train), ("val", found.validation)):
        files = sorted((mixed / part).glob("*/*.png"))
        expected = [np.asarray(FITS[resize](Image.open(file))).transpose(2, 0, 1) for file in files]
        assert np.array_equal(split.images.numpy(), np.stack(expected))
        assert split.labels.tolist() == [int(file.parent.name == "dog") for file in files]


def test_a_photograph_is_near_what_it_is_without_the_jpeg_decoders_short_cut(tmp_path: Path) -> None:
    """It decodes a quarter of the pixels where those are enough; the difference is that of two filters."""
    wave = np.sin(np.linspace(0, 20, 600))[:, None, None] * np.cos(np.linspace(0, 14, 800))[None, :, None]
    picture = Image.fromarray((128 + 100 * wave.repeat(3, 2)).astype(np.uint8))
    for name in ("cat", "dog"):
        for n in range(2):
            (tmp_path / "in" / name).mkdir(parents=True, exist_ok=True)
            picture.save(tmp_path / "in" / name / f"{n}.jpg", quality=92)
    found = load(tmp_path / "in", ImageSettings((96, 96)))
    exact = np.asarray(ImageOps.fit(picture, (96, 96), Resampling.BICUBIC)).transpose(2, 0, 1).astype(int)
    assert min(np.abs(image.numpy().astype(int) - exact).mean() for image in found.train.images) < 3


def test_images_that_have_the_size_already_train_alike_with_and_without_it(tmp_path: Path) -> None:
    plain = load(draw_noise(tmp_path / "in", 6, 8))
    asked = load(tmp_path / "in", ImageSettings((6, 8)))
    assert (plain.checksum, plain.mean, plain.std) == (asked.checksum, asked.mean, asked.std)


@pytest.mark.parametrize(("channels", "count"), [(1, 1), (3, 3), ("auto", 3)])
def test_channels_are_those_that_are_asked_for(mixed: Path, channels: int, count: int) -> None:
    found = load(mixed, ImageSettings((8, 8), channels=channels))  # type: ignore[arg-type]
    assert found.input_shape == (count, 8, 8)


def test_images_of_several_sizes_are_refused_with_the_key_that_helps(mixed: Path) -> None:
    assert "image_size: 96" in refused(mixed)


def test_the_file_is_one_that_safetensors_reads(mixed: Path, cache: Path) -> None:
    found = load(mixed, ImageSettings((12, 10)))
    [file] = cache.glob("*.safetensors")
    tensors = load_file(file)
    for part, split in (("train", found.train), ("validation", found.validation)):
        assert np.array_equal(tensors[f"{part}.images"], split.images.numpy())
        assert np.array_equal(tensors[f"{part}.labels"], split.labels.numpy())


def test_several_processes_make_the_file_that_one_makes(
    mixed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(mixed, ImageSettings((12, 10)))
    [file] = cache.glob("*.safetensors")
    alone = file.read_bytes()
    shutil.rmtree(cache)
    monkeypatch.setattr(preparation, "ALONE", 0)
    monkeypatch.setattr(preparation, "usable_cpus", lambda: 3)
    load(mixed, ImageSettings((12, 10)))
    assert file.read_bytes() == alone


def test_a_second_start_opens_no_image(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(mixed, ImageSettings((12, 10)))
    monkeypatch.setattr(prepared_cache, "_made", lambda *arguments: pytest.fail("opened"))
    again = load(mixed, ImageSettings((12, 10)))
    assert again.checksum == first.checksum and torch.equal(again.train.images, first.train.images)


def test_a_copy_of_the_folder_is_prepared_already_and_a_changed_one_is_not(
    mixed: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(mixed, ImageSettings((12, 10)))
    shutil.copytree(mixed, tmp_path / "copy")
    with monkeypatch.context() as patched:
        patched.setattr(prepared_cache, "write_prepared", lambda *arguments: pytest.fail("prepared"))
        assert load(tmp_path / "copy", ImageSettings((12, 10))).checksum == first.checksum
    noise(77, 30, 40, 3).save(tmp_path / "copy" / "train" / "cat" / "00.png")
    assert load(tmp_path / "copy", ImageSettings((12, 10))).checksum != first.checksum
    assert len(list(cache.glob("*.safetensors"))) == 2


@pytest.mark.parametrize("damage", ["cut", "changed", "garbage", "gone"])
def test_a_damaged_file_is_made_again(mixed: Path, cache: Path, damage: str) -> None:
    first = load(mixed, ImageSettings((12, 10)))
    [file] = cache.glob("*.safetensors")
    whole = file.read_bytes()
    damaged = {"cut": whole[:-5], "changed": whole[:-5] + b"\0\1\2\3\4", "garbage": b"\xff" * 100}
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(damaged[damage])
    assert load(mixed, ImageSettings((12, 10))).checksum == first.checksum
    assert file.read_bytes() == whole


@pytest.mark.parametrize("index", [b"", b"{", b"[]", b'{"key": 5, "stamp": 1}', b'{"key": "../../x", "stamp": [1, 2]}'])
def test_a_damaged_index_is_written_again(mixed: Path, cache: Path, index: bytes) -> None:
    first = load(mixed, ImageSettings((12, 10)))
    [file] = cache.glob("*.json")
    whole = file.read_bytes()
    file.write_bytes(index)
    assert load(mixed, ImageSettings((12, 10))).checksum == first.checksum
    assert file.read_bytes() == whole


def test_unreadable_images_are_listed_or_left_out_and_counted(mixed: Path) -> None:
    for n in range(12):
        (mixed / "train" / "dog" / f"bad{n:02}.png").write_bytes(b"\x89PNG nothing")
    whole = (mixed / "train" / "cat" / "00.png").read_bytes()
    (mixed / "train" / "cat" / "torn.png").write_bytes(whole[: len(whole) // 2])
    line = refused(mixed, ImageSettings((12, 10)))
    assert "12 unreadable images" in line and "bad09.png" in line and "bad10.png" not in line
    assert "--skip-unreadable" in line
    found = load(mixed, ImageSettings((12, 10), skip_unreadable=True))
    assert found.skipped == {"unreadable": 13}
    assert len(found.train.labels) == 24


def test_a_disk_that_fills_leaves_nothing_behind(mixed: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preparation.os, "posix_fallocate", full)
    assert "No space left on device" in refused(mixed, ImageSettings((12, 10)))
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_line(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CSPNAS_DATA", str(tmp_path / "file"))
    assert "CSPNAS_DATA" in refused(mixed, ImageSettings((12, 10)))


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\x05\0\0\0\0\0\0\0{}   ", b"\x93NUMPY" * 12])
def test_what_is_no_prepared_file_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    assert open_prepared(tmp_path / "x.safetensors") is None
