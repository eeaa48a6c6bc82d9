"""Folders of images as NumPy arrays: PATH/CLASS/*, or such class folders in PATH/train, validation (or val), test."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cspnas.data.public_datasets import LabelledImages, hold_out
from cspnas.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IMAGE_ERRORS = (OSError, ValueError, SyntaxError, IndexError, EOFError, struct.error, zlib.error)
EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp"})
RESERVED = frozenset({"train", "val", "validation", "test"})


@dataclass(frozen=True)
class _Layout:
    """A folder data set as its training part fixes it: files with labels, class names, mode and (width, height)."""

    files: list[tuple[Path, int]]
    names: tuple[str, ...]
    mode: str
    size: tuple[int, int]


def read_folder(path: Path) -> tuple[LabelledImages, LabelledImages, tuple[str, ...]]:
    """Training part, validation part and class names of the images in `path`; the test folder stays unopened.

    Reads path/train/CLASS/*, or path/CLASS/* where there is no `train`; path/validation or path/val, else holds a
    sixth of each class out. All files "L" give one channel, else RGB. Raises InputError for what cannot be used.
    """
    layout = _layout(path)
    train = _read_images(layout.files, layout)
    given = [folder for folder in (path / "validation", path / "val") if folder.is_dir()]
    if len(given) > 1:
        raise InputError("both `validation` and `val`", expected="one of them", where=str(path))
    if given:
        return train, _read_images(_list_images(given[0], layout.names), layout), layout.names
    lonely = [name for label, name in enumerate(layout.names) if (train[1] == label).sum() < 2]
    if lonely:
        hint = f"add images, or a folder {path / 'validation'}"
        raise InputError(f"one image in the class {lonely[0]!r}", expected="two or more", where=str(path), hint=hint)
    return *hold_out(train), layout.names


def read_test_folder(path: Path) -> LabelledImages:
    """The images of path/test, in the mode and size of the training part. Raises InputError as `read_folder` does."""
    layout = _layout(path)
    return _read_images(_list_images(path / "test", layout.names), layout)


def _layout(path: Path) -> _Layout:
    """Reads the headers of the training images; all must have the size of the first."""
    folder = path / "train" if (path / "train").is_dir() else path
    skip = RESERVED if folder == path else frozenset()
    names = tuple(_class_names(folder, skip))
    if len(names) < 2:
        found = f"one class only ({names[0]!r})" if names else "no images in folders of their class"
        raise InputError(found, expected="CLASS/*.png for two or more classes", where=str(folder))
    files = _list_images(folder, names, skip)
    headers = [_open_image(file, lambda image: (image.mode, image.size)) for file, _ in files]
    size = headers[0][1]
    for (file, _), (_, other) in zip(files, headers, strict=True):
        _check_size(file, other, size)
    return _Layout(files, names, "L" if all(mode == "L" for mode, _ in headers) else "RGB", size)


def _class_names(folder: Path, skip: frozenset[str]) -> list[str]:
    """The names of the class folders in `folder`, sorted; names that start with a dot are no classes."""
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), hint="give a folder that holds CLASS/*.png")
    return sorted(f.name for f in folder.iterdir() if f.is_dir() and f.name[0] != "." and f.name not in skip)


def _list_images(folder: Path, names: tuple[str, ...], skip: frozenset[str] = frozenset()) -> list[tuple[Path, int]]:
    """The image files of each class in `folder`, sorted, with the label: the position of the class in `names`."""
    files = []
    for name in _class_names(folder, skip):
        if name not in names:
            raise InputError(
                f"the class {name!r}", expected=f"a class of training: {', '.join(names)}", where=str(folder)
            )
        images = sorted(f for f in (folder / name).rglob("*") if f.suffix.lower() in EXTENSIONS and f.name[0] != ".")
        if not images:
            raise InputError("no images", expected=", ".join(sorted(EXTENSIONS)), where=str(folder / name))
        files += [(image, names.index(name)) for image in images]
    if not files:
        raise InputError("no images in folders of their class", expected="CLASS/*.png", where=str(folder))
    return files


def _read_images(files: list[tuple[Path, int]], layout: _Layout) -> LabelledImages:
    """The files as images (N, C, H, W) and labels (N,)."""
    (width, height), channels = layout.size, 1 if layout.mode == "L" else 3
    images = np.empty((len(files), channels, height, width), dtype=np.uint8)
    for index, (file, _) in enumerate(files):
        pixels = _open_image(file, lambda image: np.asarray(image.convert(layout.mode)))
        _check_size(file, (pixels.shape[1], pixels.shape[0]), layout.size)
        images[index] = pixels.reshape(height, width, channels).transpose(2, 0, 1)
    return images, np.array([label for _, label in files], dtype=np.int64)


def _check_size(file: Path, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if found != expected:
        width, height = expected
        hint = "make all images one size"
        raise InputError(f"{found[0]} x {found[1]} pixels", expected=f"{width} x {height}", where=str(file), hint=hint)


def _open_image(file: Path, use: Callable[[Any], Any]) -> Any:
    """`use` of the opened image; InputError if it cannot be read or has more than 8 bits a channel."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            mode = image.mode
            if mode[0] not in "IF":
                return use(image)
    except (*IMAGE_ERRORS, Image.DecompressionBombError) as error:
        raise InputError(
            f"an image that cannot be read ({error})", where=str(file), hint="delete or replace it"
        ) from None
    raise InputError(f"pixels of mode {mode}", expected="8 bits a channel", where=str(file), hint="convert the image")
