"""Data sets in tables, `csv:FILE`: what is read, and the one line for each that is none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_folders import draw_classes

from cspnas.data import datasets as data
from cspnas.data import listed_images
from cspnas.data.image_settings import AS_THEY_ARE, ImageSettings
from cspnas.errors import InputError


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images of a cat and of a dog, and a cache of the test's own."""
    monkeypatch.setenv("CSPNAS_DATA", str(tmp_path / "cache"))
    return draw_classes(tmp_path / "in")


LINES = [f"in/{name}/{index:02}.png,{name}" for name in ("cat", "dog") for index in range(12)]
SPLITS = [f"{line},{('train', 'Val', 'test')[index % 3]}" for index, line in enumerate(LINES)]


def table(folder: Path, *lines: str) -> str:
    (folder / "x.csv").write_text("\n".join(lines), encoding="utf-8")
    return f"csv:{folder / 'x.csv'}"


def refused(name: str, settings: ImageSettings = AS_THEY_ARE) -> str:
    with pytest.raises(InputError) as caught:
        data.load(name, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_table_of_all_images_of_a_folder_trains_as_the_folder(tmp_path: Path, images: Path) -> None:
    name = table(tmp_path, *LINES)
    assert data.load(name).checksum == data.load(f"folder:{images}").checksum
    assert not data.has_test(name)
    with pytest.raises(InputError, match="no test images, expected rows of the split test"):
        data.load_test(name)


@pytest.mark.parametrize(
    ("header", "change"),
    [
        ((), lambda line: line),
        (("path,label,split",), lambda line: line),
        (("Filename;Class;Set",), lambda line: line.replace(",", ";")),
        (("\ufeffsplit\tlabel\tpath",), lambda line: "\t".join(reversed(line.split(",")))),
        (("path,label,split,note",), lambda line: f'{line},"a, b"'),
        ((), lambda line: f"\n{line}\r"),
    ],
)
def test_splits_are_those_of_the_column_however_it_stands(
    tmp_path: Path, header: tuple[str, ...], change: Callable[[str], str]
) -> None:
    name = table(tmp_path, *header, *map(change, SPLITS))
    found = data.load(name)
    assert found.train.labels.tolist() == found.validation.labels.tolist() == [0] * 4 + [1] * 4
    assert found.train.images[:, 0, 0, 0].tolist() == [0, 3, 6, 9, 100, 103, 106, 109]
    assert data.load_test(name).images[:, 0, 0, 0].tolist() == [2, 5, 8, 11, 102, 105, 108, 111]


def test_the_images_of_the_test_split_are_not_opened_by_a_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[str]()
    read = listed_images.read_header
    monkeypatch.setattr(listed_images, "read_header", lambda file: opened.append(file.name) or read(file))
    data.load(table(tmp_path, *SPLITS))
    assert len(opened) == 16 and "02.png" not in opened


def test_classes_that_are_numbers_stand_in_their_order(tmp_path: Path) -> None:
    lines = [f"in/{name}/{index:02}.png,{index % 3 + 8}" for name in ("cat", "dog") for index in range(12)]
    assert data.load(table(tmp_path, *lines)).class_names == ("8", "9", "10")


def test_a_second_start_opens_no_image_and_a_changed_one_is_read(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = table(tmp_path, *LINES)
    first = data.load(name).checksum
    with monkeypatch.context() as patched:
        patched.setattr(listed_images, "read_header", lambda file: pytest.fail("opened"))
        assert data.load(name).checksum == first
    (images / "cat" / "00.png").write_bytes((images / "dog" / "00.png").read_bytes())
    assert data.load(name).checksum != first


def test_missing_files_are_counted_and_listed_or_left_out(tmp_path: Path, images: Path) -> None:
    for index in range(11):
        (images / "cat" / f"{index:02}.png").unlink()
    line = refused(table(tmp_path, *LINES))
    assert "x.csv: 11 unreadable images: " in line and "09.png: no such file; ..." in line and "10.png" not in line
    for index in range(1, 11):
        (images / "cat" / f"{index:02}.png").write_bytes((images / "dog" / f"{index:02}.png").read_bytes())
    found = data.load(table(tmp_path, *LINES), ImageSettings(skip_unreadable=True))
    assert found.skipped == {"unreadable": 1} and found.summary.training + found.summary.validation == 23


REFUSED = {
    "empty": ([], "x.csv: found an empty table, expected lines of path,label"),
    "one cell": (["in/cat/00.png"], "x.csv:1: found 1 cells, expected path,label"),
    "other cells": ([*LINES, "in/cat/00.png"], "x.csv:25: found 1 cells, expected 2 as in the first line"),
    "no label": ([*LINES[:3], "in/dog/00.png,"], "x.csv:4: found no label"),
    "twice": ([*LINES, LINES[3]], "x.csv:25: found in/cat/03.png again, as in line 4, expected each image once"),
    "unknown split": (
        [*SPLITS[:2], "in/dog/00.png,dog,tran"],
        "x.csv:3: found the split 'tran', expected one of train",
    ),
    "one class": (LINES[:12], "x.csv: found one class only ('cat'), expected two or more classes"),
    "only test": ([f"{line},test" for line in LINES], "x.csv: found no images for training"),
    "class of validation": (
        [f"{line},train" for line in LINES[1:]] + ["in/cat/00.png,horse,val"],
        "x.csv:24: found the class 'horse', expected a class of training: cat, dog",
    ),
    "open quote": ([*LINES, 'in/cat/"00.png,"x'], "x.csv: found no table ("),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_of_images_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    lines, said = REFUSED[case]
    assert said in refused(table(tmp_path, *lines))


def test_a_table_that_is_no_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"in/cat/00.png,cat\nin/dog/00.png,caf\xe9\n")
    assert "x.csv:2: bytes that are no UTF-8" in refused(f"csv:{tmp_path / 'x.csv'}")


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_pipe_a_device_or_a_folder_is_no_file_and_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    kinds = {"pipe": "a device or a pipe", "zero": "a device or a pipe", "in": "a folder", "absent": "no such file"}
    for name, found in kinds.items():
        assert f"{name}: found {found}, expected a " in refused(f"{kind}:{tmp_path / name}")


def test_a_class_name_that_nobody_can_read_is_one_short_line(tmp_path: Path) -> None:
    line = refused(table(tmp_path, *LINES[:-1], f"in/dog/11.png,{'x' * 100_000}"))
    assert "x.csv:24: found a class name of 100,000 characters (xxxxxxxxxxxxxxxxxxxx...), expected at most 255" in line
    names = np.array(["cat", "x" * 300])
    np.savez(tmp_path / "x.npz", images=np.zeros((4, 8, 8), np.uint8), labels=[0, 1, 0, 1], class_names=names)
    assert "x.npz class_names: found a class name of 300 characters" in refused(f"npz:{tmp_path / 'x.npz'}")
