"""What a folder of images is read as: its splits and classes, which files count, and how their pictures stand."""

from __future__ import annotations

import os
import socket
import struct
import unicodedata
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from image_folders import draw, draw_classes, draw_noise, noise
from PIL import Image, ImageOps

from cspnas.data import datasets as data
from cspnas.data import preparation, preparing_worker
from cspnas.data.image_settings import ImageSettings
from cspnas.errors import InputError


def load(folder: Path) -> data.DataSet:
    return data.load(f"folder:{folder}")


def refused(folder: Path) -> str:
    """The one line that refuses the folder."""
    with pytest.raises(InputError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Folders that were read right before


def test_a_plain_folder_keeps_the_checksum_that_it_had_in_earlier_versions(tmp_path: Path) -> None:
    """Both sums were printed by version 1.0: of a sixth held out, and of grey, colour and opaque RGBA images in `val`."""
    grey, split = draw_noise(tmp_path / "grey", 6, 8), tmp_path / "split"
    draw_noise(split / "train", 6, 8, 3)
    draw_noise(split / "val", 6, 8, 3, count=2, first=50)
    for name, mode in (("dog/1.png", "L"), ("hen/3.png", "L"), ("cat/2.png", "RGBA")):
        Image.open(split / "train" / name).convert(mode).save(split / "train" / name)
    assert load(grey).checksum == "6840a4d7bb907299a3b2c0581376c9ef7af619835e9cf3c5fec59637f56e7f7f"
    assert load(split).checksum == "2c34d9e9860a63565a171d934016aa6c41779722957e74243ca102f0fbc9a2d3"


# Splits and classes


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("Training", "valid", "Testing"), ("TRAIN", "Dev", "TEST"), ("train", "Validation", "test")],
)
def test_splits_go_by_the_names_that_people_use(train: str, validation: str, test: str, tmp_path: Path) -> None:
    for part, count in ((train, 5), (validation, 2), (test, 1)):
        draw_classes(tmp_path / part, count)
    loaded = load(tmp_path)
    assert (loaded.class_names, len(loaded.train.labels), len(loaded.validation.labels)) == (("cat", "dog"), 10, 4)
    assert data.has_test(f"folder:{tmp_path}") and len(data.load_test(f"folder:{tmp_path}").labels) == 2


def test_a_class_may_be_called_training_where_it_holds_images(tmp_path: Path) -> None:
    for label, name in enumerate(("training", "resting")):
        for index in range(2):
            draw(tmp_path / name / f"{index}.png", value=100 * label + index)
    assert load(tmp_path).class_names == ("resting", "training")


@pytest.mark.parametrize("names", [("fold1", "fold2"), ("seg_train", "seg_test"), ("images",)])
def test_a_folder_of_class_folders_is_no_class(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        draw_classes(tmp_path / name, 2)
    line = refused(tmp_path)
    assert f"folders (cat, dog) instead of images in '{min(names)}'" in line
    assert "PATH/train/CLASS/*.png" in line


def test_a_class_in_composed_and_decomposed_letters_is_one_class(tmp_path: Path) -> None:
    for part, form in (("train", "NFC"), ("val", "NFD")):
        for name in ("café", "thé"):
            for index in range(2):
                draw(tmp_path / part / unicodedata.normalize(form, name) / f"{index}.png", value=index)
    loaded = load(tmp_path)
    assert loaded.class_names == ("café", "thé") and loaded.validation.labels.tolist() == [0, 0, 1, 1]


def test_images_in_training_and_validation_are_counted(tmp_path: Path) -> None:
    draw_noise(tmp_path / "train", 6, 8, count=3)
    draw_noise(tmp_path / "val", 6, 8, count=2)
    noise(999, 6, 8).save(tmp_path / "val" / "cat" / "0.png")
    summary = load(tmp_path).summary
    assert summary.in_both == 5
    assert summary.warning() == "5 images stand in both training and validation: the accuracy will be too good"


# Which files are read


def test_what_programs_leave_behind_is_no_image_at_any_depth(tmp_path: Path) -> None:
    plain = load(draw_noise(tmp_path, 6, 8)).checksum
    for left in (
        "cat/.ipynb_checkpoints/0000-checkpoint.png",
        "__MACOSX/cat/._0.png",
        "cat/__MACOSX/1.png",
        "dog/.hidden.png",
        ".cache/1.png",
    ):
        draw(tmp_path / left)
    for name in ("Thumbs.db", ".DS_Store"):
        (tmp_path / "hen" / name).write_bytes(b"x")
    loaded = load(tmp_path)
    assert loaded.checksum == plain and loaded.summary.skipped == {}


def test_links_to_folders_are_followed_and_a_circle_ends(tmp_path: Path) -> None:
    folder = draw_classes(tmp_path / "pets", 3)
    for index in range(4):
        draw(tmp_path / "elsewhere" / "more" / f"{index}.png", value=200 + index)
    (folder / "cat" / "extra").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "more" / "up").symlink_to(tmp_path / "elsewhere")
    assert load(folder).summary.training + load(folder).summary.validation == 3 + 4 + 3


def test_images_are_known_by_their_content_whatever_their_ending(tmp_path: Path) -> None:
    draw_classes(tmp_path, 3)
    for name, kind in (("a.jfif", "JPEG"), ("b.gif", "GIF"), ("c", "PNG"), ("d.dat", "TIFF")):
        noise(1, 6, 8).save(tmp_path / "cat" / name, kind)
    loaded = load(tmp_path)
    assert len(loaded.train.labels) + len(loaded.validation.labels) == 10 and loaded.input_shape == (1, 6, 8)


def test_what_is_skipped_is_counted_and_named(tmp_path: Path) -> None:
    draw_classes(tmp_path / "train", 3)
    draw_classes(tmp_path / "valid", 2)
    draw_classes(tmp_path / "unlabelled", 2)
    draw(tmp_path / "loose.png")
    (tmp_path / "README.md").write_text("no image, and in no class")
    cat = tmp_path / "train" / "cat"
    for name in ("a.txt", "b.txt", "c.xml"):
        (cat / name).write_text("x")
    noise(1, 6, 8).save(cat / "turning.gif", save_all=True, append_images=[noise(2, 6, 8)])
    (cat / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(cat / "pipe.png")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(cat / "s.png"))
        summary = load(tmp_path).summary
    assert summary.skipped == {
        ".txt": 2,
        ".xml": 1,
        "animated .gif": 1,
        "pipes, devices or broken links": 3,
        "in no class folder": 1,
        "in unlabelled/, which is no split": 4,
    }
    assert summary.line() == (
        "10 images (6 training + 4 validation), 1 x 6 x 8, classes cat, dog; 12 skipped: 2 .txt, 1 .xml, "
        "3 pipes, devices or broken links, 1 animated .gif, 1 in no class folder, 4 in unlabelled/, which is no split"
    )
    assert replace(summary, skipped={".txt": 40}).line().endswith("cat, dog; 40 skipped: .txt")


def test_a_folder_called_like_an_image_is_a_folder(tmp_path: Path) -> None:
    draw_classes(tmp_path, 3)
    draw(tmp_path / "cat" / "x.png" / "inside.png", value=77)
    assert load(tmp_path).summary.training + load(tmp_path).summary.validation == 7


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    (draw_classes(tmp_path, 3) / "cat" / "empty.jpg").touch()
    assert "cat/empty.jpg: an image that cannot be read (an empty file); delete or replace" in refused(tmp_path)


def test_a_class_name_cannot_command_the_terminal(tmp_path: Path) -> None:
    for label, name in enumerate(("red\x1b[31m", "dog\r")):
        for index in range(2):
            draw(tmp_path / name / f"{index}.png", value=100 * label + index)
    line = load(tmp_path).summary.line()
    assert line.isprintable() and r"red\x1b[31m" in line and r"dog\r" in line


def test_a_class_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"dog"):
        draw(tmp_path / os.fsdecode(name) / "1.png")
    assert "a class name that is no UTF-8" in refused(tmp_path)


# How pictures stand


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_stands_as_the_camera_was_held(orientation: int, tmp_path: Path) -> None:
    """Pillow's own `exif_transpose` is the oracle; width and height differ, so that a picture on its side is noticed."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    size = (8, 6) if orientation < 5 else (6, 8)
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for index in range(2):
            file = tmp_path / name / f"{index}.jpg"
            noise(10 * label + index, *size, 3).save(file, exif=exif, quality=95)
    upright = [np.asarray(ImageOps.exif_transpose(Image.open(file))) for file in sorted(tmp_path.rglob("*.jpg"))]
    loaded = load(tmp_path)
    assert loaded.input_shape == (3, 8, 6)
    read = [*loaded.train.images.numpy(), *loaded.validation.images.numpy()]
    assert {image.tobytes() for image in read} == {image.transpose(2, 0, 1).tobytes() for image in upright}


def test_damaged_exif_leaves_the_picture_as_it_is(tmp_path: Path) -> None:
    plain = draw_noise(tmp_path / "plain", 6, 8)
    odd = draw_noise(tmp_path / "odd", 6, 8)
    Image.open(odd / "cat" / "0.png").save(odd / "cat" / "0.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12")
    assert load(odd).checksum == load(plain).checksum


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str, tmp_path: Path) -> None:
    """A black square on a transparent ground of black: the shape is in alpha alone."""
    alpha = np.zeros((6, 8), np.uint8)
    alpha[2:4, 2:6] = 255
    black = Image.new("L", (8, 6), 0)
    shape = Image.merge("LA", (black, Image.fromarray(alpha)))
    if mode == "P":
        shape = Image.fromarray(alpha // 255).convert("L")
        shape.putpalette([0, 0, 0, 0, 0, 0])
        shape.info["transparency"] = 0
    draw_classes(tmp_path, 3)
    (shape if mode == "P" else shape.convert(mode)).save(tmp_path / "cat" / "00.png")
    loaded = load(tmp_path)
    expected = np.repeat(255 - alpha[None], loaded.input_shape[0], 0)
    read = [*loaded.train.images.numpy(), *loaded.validation.images.numpy()]
    assert any(np.array_equal(image, expected) for image in read)
    assert loaded.input_shape[0] == (3 if mode == "RGBA" else 1)


@pytest.mark.parametrize("kind", ["palette of greys", "palette with unused colours", "1 bit", "grey with alpha"])
def test_grey_images_stay_grey_however_they_are_stored(kind: str, tmp_path: Path) -> None:
    plain = draw_noise(tmp_path / "plain", 6, 8)
    other = draw_noise(tmp_path / "other", 6, 8)
    two = Image.fromarray(np.where(np.asarray(noise(5, 6, 8)) > 127, 255, 0).astype(np.uint8))
    two.save(plain / "dog" / "5.png")
    web = two.convert("RGB").convert("P")
    stored = {
        "palette of greys": two.convert("P"),
        "palette with unused colours": web,
        "1 bit": two.convert("1", dither=Image.Dither.NONE),
        "grey with alpha": two.convert("LA"),
    }
    stored[kind].save(other / "dog" / "5.png")
    assert load(other).input_shape == (1, 6, 8) and load(other).checksum == load(plain).checksum


def test_one_coloured_palette_makes_all_images_rgb(tmp_path: Path) -> None:
    draw_noise(tmp_path, 6, 8)
    noise(5, 6, 8, 3).quantize(16).save(tmp_path / "dog" / "5.png")
    assert load(tmp_path).input_shape == (3, 6, 8)


# Sizes


def test_more_images_than_the_disk_holds_are_refused_with_the_arithmetic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 images of 6 x 8: 1,152 bytes grey, 3,456 in colour, against what is free; nothing is decoded."""
    draw_noise(tmp_path / "grey", 6, 8)
    draw_noise(tmp_path / "colour", 6, 8, 3)
    monkeypatch.setattr(preparation.shutil, "disk_usage", lambda folder: SimpleNamespace(free=7000))
    assert len(load(tmp_path / "grey").train.labels) == 21
    monkeypatch.setattr(preparing_worker, "read_pixels", lambda *arguments, **named: pytest.fail("decoded"))
    line = refused(tmp_path / "colour")
    assert "found 24 images x 6 x 8 pixels x 3 channels = 3.375KiB, expected at most the 6.836KiB" in line


def test_an_image_of_more_pixels_than_can_be_trusted_is_refused_by_its_header(tmp_path: Path) -> None:
    """The header alone says the size; there are no such pixels behind it."""
    huge = draw_classes(tmp_path, 2) / "cat" / "00.png"
    content = huge.read_bytes()
    for width, found in (
        (13_000, "13000 x 13000 = 169,000,000 pixels, expected at most 89,478,485"),
        (20_000, "cat/00.png"),
    ):
        head = b"IHDR" + struct.pack(">II", width, width) + content[24:29]
        huge.write_bytes(content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:])
        assert found in refused(tmp_path)


# What lies beside images, and pictures that are stored in other ways


@pytest.mark.parametrize("beside", ["_classes.csv", "preview.png", None])
@pytest.mark.parametrize("names", [("Train_Images", "Test_Images"), ("part1", "part2")])
def test_folders_that_hold_the_same_classes_are_splits_and_no_classes(
    tmp_path: Path, names: tuple[str, str], beside: str | None
) -> None:
    for name in names:
        draw_classes(tmp_path / name, 3)
        if beside == "preview.png":
            draw(tmp_path / name / beside)
        elif beside:
            (tmp_path / name / beside).write_text("cat,dog")
    assert "PATH/train/CLASS" in refused(tmp_path)


def test_a_split_with_a_picture_beside_its_classes_is_a_split(tmp_path: Path) -> None:
    for name, count in (("Training", 6), ("Testing", 2)):
        draw_classes(tmp_path / name, count)
        draw(tmp_path / name / "preview.png")
    found = load(tmp_path)
    assert found.class_names == ("cat", "dog")
    assert len(found.train.labels) + len(found.validation.labels) == 12


def test_a_class_may_be_called_as_a_split_is_whatever_its_files_end_with(tmp_path: Path) -> None:
    for index, name in enumerate(("training", "resting")):
        for n in range(3):
            draw(tmp_path / name / f"{n}.png", value=90 * index + n)
            (tmp_path / name / f"{n}.png").rename(tmp_path / name / f"image{n}")
    assert load(tmp_path).class_names == ("resting", "training")


def test_a_link_upwards_leads_nowhere(tmp_path: Path) -> None:
    draw_classes(tmp_path, 4)
    plain = load(tmp_path)
    (tmp_path / "cat" / "up").symlink_to("..")
    (tmp_path / "dog" / "above").symlink_to(tmp_path.parent)
    assert load(tmp_path).checksum == plain.checksum


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "lost+found"])
def test_what_storage_devices_leave_behind_is_no_data(tmp_path: Path, name: str) -> None:
    draw_classes(tmp_path, 4)
    plain = load(tmp_path)
    draw(tmp_path / "cat" / name / "thumb.png", value=200)
    assert load(tmp_path).checksum == plain.checksum


@pytest.mark.parametrize(
    ("name", "text"), [("notes.txt", "P3 is the third patient"), ("bmi.csv", "BMI,age,sex\n1,2,3")]
)
def test_a_text_that_begins_as_an_image_does_is_skipped(tmp_path: Path, name: str, text: str) -> None:
    draw_classes(tmp_path, 4)
    (tmp_path / "cat" / name).write_text(text)
    assert load(tmp_path).skipped == {name[-4:]: 1}


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 8])
@pytest.mark.parametrize("width", [8, 12])
def test_a_tiff_is_turned_once(tmp_path: Path, compression: str | None, orientation: int, width: int) -> None:
    options = {"compression": compression} if compression else {}
    for label, name in enumerate(("cat", "dog")):
        for n in range(2):
            file = tmp_path / name / f"{n}.tif"
            file.parent.mkdir(exist_ok=True)
            noise(4 * label + n, 8, width).save(file, tiffinfo={0x112: orientation}, **options)
    stored = noise(0, 8, width)
    stored.getexif()[0x112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    found = load(tmp_path)
    images = torch.cat([found.train.images, found.validation.images]).numpy()
    assert found.input_shape == (1, *upright.shape)
    assert any(np.array_equal(image[0], upright) for image in images)


def test_of_16_bits_what_is_transparent_is_white(tmp_path: Path) -> None:
    draw_classes(tmp_path)
    deep = Image.fromarray(np.array([[0, 40000] * 4] * 6, np.uint16))
    deep.save(tmp_path / "cat" / "deep.png", transparency=0)
    found = load(tmp_path)
    images = torch.cat([found.train.images, found.validation.images])
    assert any(set(image.unique().tolist()) == {156, 255} for image in images)


def test_a_palette_whose_only_colour_is_transparent_is_grey(tmp_path: Path) -> None:
    draw_classes(tmp_path, 3)
    image = Image.new("P", (8, 6), 1)
    image.putpalette([255, 0, 255, 90, 90, 90])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "cat" / "p.png", transparency=0)
    assert load(tmp_path).input_shape[0] == 1


def test_a_class_without_any_readable_image_is_said_to_have_none(tmp_path: Path) -> None:
    for file in (draw_classes(tmp_path, 3) / "cat").iterdir():
        file.write_bytes(b"xx")
    with pytest.raises(InputError, match="no readable image in the class 'cat'"):
        data.load(f"folder:{tmp_path}", ImageSettings(skip_unreadable=True))
