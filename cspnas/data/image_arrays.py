"""Arrays of images, `npz:FILE`: `images` (N, H, W) or (N, H, W, C) uint8 and `labels`, as `numpy.savez` writes them.

Validation and test stand beside them as `val_images`, `val_labels`, `test_images` and `test_labels`.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspnas.data.image_files import fit_pixels
from cspnas.data.image_settings import ImageForm, ImageSettings
from cspnas.data.listed_images import check_enough
from cspnas.data.own_data import check_class_name, check_is_file
from cspnas.data.public_datasets import LabelledImages, hold_out
from cspnas.errors import InputError

# What stands before `images` and `labels` in the names of a split's arrays.
BEFORE = {"train": ("", "train_"), "validation": ("val_", "validation_"), "test": ("test_",)}
ARRAYS_FORM = "images (N, H, W) or (N, H, W, C) uint8, labels (N,) integers"
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


@dataclass(frozen=True, eq=False)
class ImageArrays:
    """The images of a data set in memory. `enlarged`: images that were smaller than what they were made equal to."""

    train: LabelledImages
    validation: LabelledImages
    class_names: tuple[str, ...]
    enlarged: int = 0

    def contents(self) -> list[Any]:
        """What decides the prepared file."""
        arrays = [np.ascontiguousarray(one) for part in (self.train, self.validation) for one in part]
        return [self.class_names, [(one.shape, hashlib.sha256(one.data).hexdigest()) for one in arrays]]


def read_arrays(path: Path, settings: ImageSettings) -> ImageArrays:
    """Training and validation images of the file `path`; the test arrays stay unread.

    Without validation a sixth of each class is held out. Raises InputError for what cannot be used.
    """
    with _opened(path) as file:
        images, labels = file.part("train")
        names, labels = file.classes(labels)
        validation = None
        if file.has("validation"):
            held, held_labels = file.part("validation")
            validation = held, file.known(held_labels, names, "validation")
    height, width = settings.size or images.shape[1:3]
    grey = images.shape[3] == 1 if settings.channels == "auto" else settings.channels == 1
    enlarged = (len(images) + (len(validation[0]) if validation else 0)) * bool(
        images.shape[1] < height or images.shape[2] < width
    )
    form = ImageForm((width, height), grey)
    train = _formed(images, form, settings, path), labels
    if validation is None:
        check_enough(labels, names, path)
        train, validation = hold_out(train)
    else:
        validation = _formed(validation[0], form, settings, path), validation[1]
    return ImageArrays(train, validation, names, enlarged)


def arrays_state(path: Path) -> list[Any]:
    """The file's place, size and time."""
    check_is_file(path, f"a file of numpy.savez with {ARRAYS_FORM}")
    status = path.stat()
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]


def has_test_arrays(path: Path) -> bool:
    """Whether the file has a test part."""
    with _opened(path) as file:
        return file.has("test")


def read_test_arrays(path: Path, form: ImageForm, names: tuple[str, ...], settings: ImageSettings) -> LabelledImages:
    """The test images of the file `path`, in the `form` and of the classes (`names`) of training.

    Raises InputError as `read_arrays`, and where there are none.
    """
    with _opened(path) as file:
        images, labels = file.part("test")
        labels = file.known(labels, names, "test")
    return _formed(images, form, settings, path), labels


@dataclass(frozen=True)
class _Arrays:
    """An open file. Its methods raise InputError for what is no data set, and one of DAMAGED for what is damaged."""

    path: Path
    arrays: Any

    def name(self, part: str, kind: str) -> str:
        """What the array `kind` (images, labels) of a split is called here."""
        names = [f"{before}{kind}" for before in BEFORE[part]]
        return next((name for name in names if name in self.arrays), names[0])

    def has(self, part: str) -> bool:
        """Whether the split is there."""
        return any(self.name(part, kind) in self.arrays for kind in ("images", "labels"))

    def where(self, name: str) -> str:
        """The place of an array."""
        return f"{self.path} {name}"

    def array(self, name: str) -> NDArray[Any]:
        """The array `name`. One that holds Python objects would run what it says: it is refused."""
        if name not in self.arrays:
            raise InputError(
                f"no array {name!r} among {', '.join(self.arrays) or 'none'}",
                expected=ARRAYS_FORM,
                where=str(self.path),
            )
        try:
            found: NDArray[Any] = self.arrays[name]
        except ValueError as error:
            if "pickle" not in str(error).lower():
                raise
            hint = "save an array of numbers (class names: of text)"
            raise InputError(
                "Python objects (a pickle)", expected=ARRAYS_FORM, where=self.where(name), hint=hint
            ) from None
        return found

    def part(self, part: str) -> LabelledImages:
        """Images (N, H, W, C) and labels (N,) of a split."""
        named, labelled = self.name(part, "images"), self.name(part, "labels")
        images, labels = _images(self.array(named), self.where(named)), self.array(labelled)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"{labels.dtype} labels", expected="integers", where=self.where(labelled))
        if labels.shape != images.shape[:1]:
            found, expected = f"labels of shape {labels.shape}", f"({len(images)},), one for each image"
            raise InputError(found, expected=expected, where=self.where(labelled))
        return images, labels.astype(np.int64)

    def classes(self, labels: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """The classes of the training `labels`, and these counted from 0. Without `class_names` they are named by them."""
        present, counted = np.unique(labels, return_inverse=True)
        names, wanted = tuple(str(one) for one in present), counted.reshape(-1).astype(np.int64)
        if "class_names" in self.arrays:
            stated = self.array("class_names")
            if stated.ndim != 1 or stated.dtype.kind != "U":
                found = f"{stated.dtype} of shape {stated.shape}"
                raise InputError(found, expected="a row of text", where=self.where("class_names"))
            for one in stated.tolist():
                check_class_name(one, self.where("class_names"))
            names, wanted = tuple(stated.tolist()), self._numbered(labels, len(stated), self.name("train", "labels"))
            if lacking := sorted(set(range(len(names))) - set(present.tolist())):
                found = f"no image of the class {names[lacking[0]]!r}"
                raise InputError(found, expected="some of each", where=self.where(self.name("train", "labels")))
        if len(names) < 2:
            raise InputError(f"{len(names)} class", expected="two or more", where=str(self.path))
        return names, wanted

    def known(self, labels: NDArray[np.int64], names: tuple[str, ...], part: str) -> NDArray[np.int64]:
        """The `labels` of another part counted as those of training."""
        name = self.name(part, "labels")
        if "class_names" in self.arrays:
            return self._numbered(labels, len(names), name)
        numbers = np.array([int(one) for one in names])
        if len(strange := np.setdiff1d(labels, numbers)):
            expected = f"those of training: {', '.join(names[:20])}{', ...' * (len(names) > 20)}"
            raise InputError(f"the label {strange[0]}", expected=expected, where=self.where(name))
        return np.searchsorted(numbers, labels).astype(np.int64)

    def _numbered(self, labels: NDArray[np.int64], count: int, name: str) -> NDArray[np.int64]:
        outside = labels[(labels < 0) | (labels >= count)]
        if len(outside):
            expected = f"0 to {count - 1}, the places of the {count} class_names"
            raise InputError(f"the label {outside[0]}", expected=expected, where=self.where(name))
        return labels


def _images(images: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """As (N, H, W, C)."""
    if images.dtype != np.uint8:
        hint = "scale to 0 to 255, round, and save as uint8"
        raise InputError(f"{images.dtype} images", expected="uint8, 0 to 255", where=where, hint=hint)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
        first = images.ndim == 4 and images.shape[1] in (1, 3)
        hint = "channels last: images.transpose(0, 2, 3, 1)" if first else ""
        raise InputError(
            f"shape {images.shape}", expected="(N, H, W), or (N, H, W, C) of 1 or 3", where=where, hint=hint
        )
    return images


def _formed(images: NDArray[np.uint8], form: ImageForm, settings: ImageSettings, path: Path) -> NDArray[np.uint8]:
    """`images` (N, H, W, C) as (N, C, H, W) in the `form`."""
    channels, *size = form.shape
    if settings.size is None and list(images.shape[1:3]) != size:
        raise InputError(
            f"images of {images.shape[2]} x {images.shape[1]} pixels",
            expected=f"{size[1]} x {size[0]}, as in training",
            where=str(path),
            hint="say to what size images are brought: image_size: 96 (--image-size 96)",
        )
    if images.shape[1:] != (*size, channels):
        pair = (size[0], size[1])
        images = np.stack([fit_pixels(one, grey=form.grey, size=pair, resize=settings.resize) for one in images])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


@contextmanager
def _opened(path: Path) -> Iterator[_Arrays]:
    check_is_file(path, f"a file of numpy.savez with {ARRAYS_FORM}")
    try:
        with path.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise InputError(
                    "a single array", expected=f"a file of numpy.savez with {ARRAYS_FORM}", where=str(path)
                )
            with arrays:
                yield _Arrays(path, arrays)
    except DAMAGED as error:
        hint = "write it anew with numpy.savez"
        raise InputError(
            f"a file that cannot be read ({error})", expected=ARRAYS_FORM, where=str(path), hint=hint
        ) from None
