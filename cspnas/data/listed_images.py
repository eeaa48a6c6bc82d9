"""Image files that belong to classes, as NumPy arrays: what their headers say, and then their pixels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cspnas.data.image_files import (
    ImageHeader,
    Skipped,
    image_fault,
    read_header,
    read_pixels,
    uses_greys_only,
)
from cspnas.data.image_settings import ImageForm, ImageSettings
from cspnas.data.public_datasets import LabelledImages, held_out
from cspnas.errors import InputError
from cspnas.io.quantities import counted

# Unreadable images that an error names.
LISTED = 10
Unreadable = list[tuple[str, str]]
"""Files and why each cannot be read."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file to be read, the label of its class, and what its header says."""

    path: Path
    label: int
    header: ImageHeader


@dataclass(frozen=True)
class ListedImages:
    """The images of a data set by their headers. `skipped`: how many files were not read, by the reason.

    `enlarged`: images that are smaller than the form.
    """

    train: list[ImageFile]
    validation: list[ImageFile]
    class_names: tuple[str, ...]
    form: ImageForm
    skipped: Counter[str] = field(default_factory=Counter)
    enlarged: int = 0

    def contents(self) -> list[Any]:
        """What their pixels depend on, from what the files hold and not from where they lie."""
        listing = []
        for files in (self.train, self.validation):
            for file in files:
                with file.path.open("rb") as stream:
                    listing.append((hashlib.file_digest(stream, "sha256").hexdigest(), file.label))
        return [len(self.train), self.class_names, self.form.shape, sorted(self.skipped.items()), listing]

    def without(self, unreadable: Unreadable, settings: ImageSettings, path: Path) -> ListedImages:
        """Less those files, where `settings` allow it. Raises InputError, which lists them, where they do not."""
        _check_unreadable(unreadable, settings, path)
        left_out = {file for file, _ in unreadable}
        train, validation = (_less(files, left_out) for files in (self.train, self.validation))
        _check_classes(train, validation, self.class_names, path)
        skipped = self.skipped + Counter({"unreadable": len(unreadable)})
        enlarged = _enlarged(train, validation, self.form)
        return replace(self, train=train, validation=validation, skipped=skipped, enlarged=enlarged)


@dataclass
class Headers:
    """What is met while headers are read: how many files are skipped, and which images (file, reason) are damaged."""

    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: Unreadable = field(default_factory=list)

    def image(self, file: Path, label: int) -> ImageFile | None:
        """None for what is no image, or a damaged one."""
        try:
            header = read_header(file)
        except InputError as error:
            self.unreadable.append((str(file), image_fault(error)))
            return None
        if isinstance(header, Skipped):
            self.skipped[header.reason] += 1
            return None
        return ImageFile(file, label, header)

    def check(self, settings: ImageSettings, path: Path) -> None:
        """Raises InputError for damaged images, which it lists, unless `settings` leave them out; then they are skipped."""
        if self.unreadable:
            _check_unreadable(self.unreadable, settings, path)
            self.skipped["unreadable"] += len(self.unreadable)


def listed_images(
    train: list[ImageFile],
    validation: list[ImageFile] | None,
    class_names: tuple[str, ...],
    headers: Headers,
    settings: ImageSettings,
    path: Path,
) -> ListedImages:
    """The images of the data set in `path`; without `validation`, a sixth of each class is held out.

    Raises InputError for what cannot be used.
    """
    headers.check(settings, path)
    _check_classes(train, train if validation is None else validation, class_names, path)
    form = _form(train, validation or [], settings)
    if validation is None:
        train, validation = _hold_out(train, class_names, path)
    return ListedImages(train, validation, class_names, form, headers.skipped, _enlarged(train, validation, form))


def read_images(files: list[ImageFile], form: ImageForm, settings: ImageSettings) -> LabelledImages:
    """The files decoded: images (N, C, H, W) and labels (N,). Raises InputError for a damaged one."""
    images = np.empty((len(files), *form.shape), dtype=np.uint8)
    size = form.shape[1:]
    for index, file in enumerate(files):
        if settings.size is None:
            _check_size(file.path, file.header.size, form.size)
        images[index] = read_pixels(file.path, grey=form.grey, size=size, resize=settings.resize).transpose(2, 0, 1)
    return images, np.array([file.label for file in files], dtype=np.int64)


def _hold_out(files: list[ImageFile], names: tuple[str, ...], path: Path) -> tuple[list[ImageFile], list[ImageFile]]:
    """Training and validation files where nothing says which."""
    labels = np.array([file.label for file in files])
    check_enough(labels, names, path)
    held = held_out(labels)
    kept = [file for file, out in zip(files, held, strict=True) if not out]
    return kept, [file for file, out in zip(files, held, strict=True) if out]


def check_enough(labels: np.ndarray[Any, np.dtype[np.int64]], names: tuple[str, ...], path: Path) -> None:
    """Raises InputError where a class has one image, of which none can be held out for validation."""
    for label, name in enumerate(names):
        count = int((labels == label).sum())
        if count < 2:
            found = f"{'one' if count else 'no readable'} image in the class {name!r}"
            hint = "add images, or name some for validation"
            raise InputError(found, expected="two or more", where=str(path), hint=hint)


def _form(train: list[ImageFile], validation: list[ImageFile], settings: ImageSettings) -> ImageForm:
    """What the `settings` say; what they leave open, the images in `train` fix: the size of the first is that of all."""
    if settings.size is None:
        size = train[0].header.size
        for file in (*train, *validation):
            _check_size(file.path, file.header.size, size)
    else:
        size = settings.size[1], settings.size[0]
    if settings.channels != "auto":
        return ImageForm(size, settings.channels == 1)
    grey = all(file.header.grey is not False for file in train)
    return ImageForm(size, grey and all(file.header.grey or uses_greys_only(file.path) for file in train))


def _check_size(file: Path, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if found != expected:
        width, height = expected
        hint = "say to what size images are brought: image_size: 96 (--image-size 96)"
        raise InputError(f"{found[0]} x {found[1]} pixels", expected=f"{width} x {height}", where=str(file), hint=hint)


def _check_classes(
    train: list[ImageFile], validation: list[ImageFile], class_names: tuple[str, ...], path: Path
) -> None:
    lacking = sorted(set(range(len(class_names))) - {file.label for file in train})
    if lacking or not validation:
        what = f"the class {class_names[lacking[0]]!r} of training" if lacking else "validation"
        raise InputError(f"no readable image in {what}", where=str(path), hint="replace its images")


def _enlarged(train: list[ImageFile], validation: list[ImageFile], form: ImageForm) -> int:
    sizes = (file.header.size for file in (*train, *validation))
    return sum(width < form.size[0] or height < form.size[1] for width, height in sizes)


def _less(files: list[ImageFile], left_out: AbstractSet[str]) -> list[ImageFile]:
    return [file for file in files if str(file.path) not in left_out]


def _check_unreadable(unreadable: Unreadable, settings: ImageSettings, path: Path) -> None:
    if settings.skip_unreadable:
        return
    count = len(unreadable)
    listed = "; ".join(f"{file}: {reason}" for file, reason in unreadable[:LISTED])
    raise InputError(
        f"{counted(count, 'unreadable image')}: {listed}{'; ...' * (count > LISTED)}",
        where=str(path),
        hint="delete or replace them, or leave them out with skip_unreadable: true (--skip-unreadable)",
    )
