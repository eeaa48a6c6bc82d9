"""Folders of images as NumPy arrays: which files there are, what their headers say, and then their pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cspnas.data.folder_layout import LAYOUT, ClassFolder, Layout, class_folders, find_layout, is_hidden
from cspnas.data.image_files import ENDINGS, ImageHeader, Skipped, read_header, read_pixels, uses_greys_only
from cspnas.data.public_datasets import LabelledImages, held_out
from cspnas.errors import InputError
from cspnas.io.machine import free_memory
from cspnas.io.quantities import format_quantity

KEPT = 0.9  # of the free memory: the rest stays for others


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file to be read, the label of its class, and what its header says."""

    path: Path
    label: int
    header: ImageHeader


@dataclass(frozen=True, slots=True)
class ImageForm:
    """What all images are made equal to, as the training images fix it: (width, height) in pixels, and colours."""

    size: tuple[int, int]
    grey: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return 1 if self.grey else 3, self.size[1], self.size[0]


@dataclass(frozen=True)
class FolderImages:
    """The images of a folder by their headers. `skipped`: how many files were not read, by the reason."""

    train: list[ImageFile]
    validation: list[ImageFile]
    class_names: tuple[str, ...]
    form: ImageForm
    skipped: Counter[str] = field(default_factory=Counter)


def find_images(path: Path) -> FolderImages:
    """Training and validation images of the folder `path`, from their headers; the test folder stays unopened.

    Without a validation folder a sixth of each class is held out. All images grey give one channel, else RGB. Raises
    InputError for what cannot be used, and for more images than the memory holds.
    """
    layout, skipped = find_layout(path), Counter[str]()
    classes = _training_classes(layout)
    names = tuple(one.name for one in classes)
    train, validation = _list_images(classes, names, layout.train, skipped), list[ImageFile]()
    _count_strays(path, layout, skipped)
    if layout.validation is not None:
        validation = _list_images(class_folders(layout.validation), names, layout.validation, skipped)
    form = _form(train, validation, path)
    if layout.validation is None:
        train, validation = _hold_out(train, names, path)
    return FolderImages(train, validation, names, form, skipped)


def read_images(files: list[ImageFile], form: ImageForm) -> LabelledImages:
    """The files decoded: images (N, C, H, W) and labels (N,). Raises InputError for a damaged one."""
    images = np.empty((len(files), *form.shape), dtype=np.uint8)
    for index, file in enumerate(files):
        _check_size(file.path, file.header.size, form.size)
        images[index] = read_pixels(file.path, grey=form.grey).transpose(2, 0, 1)
    return images, np.array([file.label for file in files], dtype=np.int64)


def read_test_folder(path: Path) -> LabelledImages:
    """The images of the test folder in `path`, in the form of the training part. Raises InputError as `find_images`."""
    folder = find_layout(path).test or path / "test"
    if not folder.is_dir():
        raise InputError("no such folder", where=str(folder), hint=f"give a folder that holds images as {LAYOUT}")
    found = find_images(path)
    return read_images(_list_images(class_folders(folder), found.class_names, folder, Counter()), found.form)


def _training_classes(layout: Layout) -> list[ClassFolder]:
    classes = class_folders(layout.train, layout)
    if len(classes) < 2:
        found = f"one class only ({classes[0].name!r})" if classes else "no images in folders of their class"
        hint = f"give a folder that holds images as {LAYOUT}"
        raise InputError(found, expected="two or more classes", where=str(layout.train), hint=hint)
    return classes


def _list_images(
    classes: list[ClassFolder], names: tuple[str, ...], folder: Path, skipped: Counter[str]
) -> list[ImageFile]:
    """The images of the `classes` in `folder`, sorted; the label is the position of the class in `names`."""
    files = list[ImageFile]()
    for one in classes:
        if one.name not in names:
            raise InputError(
                f"the class {one.name!r}", expected=f"a class of training: {', '.join(names)}", where=str(folder)
            )
        headers = [(file, read_header(file)) for file in one.files()]
        skipped.update(header.reason for _, header in headers if isinstance(header, Skipped))
        label = names.index(one.name)
        images = [ImageFile(file, label, header) for file, header in headers if isinstance(header, ImageHeader)]
        if not images:
            raise InputError("no images", expected=", ".join(sorted(ENDINGS)), where=str(one.folders[0]))
        files += images
    if not files:
        raise InputError("no images in folders of their class", expected="CLASS/*.png", where=str(folder))
    return files


def _hold_out(files: list[ImageFile], names: tuple[str, ...], path: Path) -> tuple[list[ImageFile], list[ImageFile]]:
    """Training and validation files where no folder says which."""
    labels = np.array([file.label for file in files])
    lonely = [name for label, name in enumerate(names) if (labels == label).sum() < 2]
    if lonely:
        hint = f"add images, or a folder {path / 'validation'}"
        raise InputError(f"one image in the class {lonely[0]!r}", expected="two or more", where=str(path), hint=hint)
    held = held_out(labels)
    kept = [file for file, out in zip(files, held, strict=True) if not out]
    return kept, [file for file, out in zip(files, held, strict=True) if out]


def _count_strays(path: Path, layout: Layout, skipped: Counter[str]) -> None:
    """Images that lie where no split or class is."""
    for folder in {path, layout.train}:
        loose = [file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and not is_hidden(file)]
        skipped.update("in no class folder" for file in loose if file.is_file())
    for name in layout.beside:
        skipped.update(f"in {name}/, which is no split" for _ in ClassFolder(name, (path / name,)).files())


def _form(train: list[ImageFile], validation: list[ImageFile], path: Path) -> ImageForm:
    """The form that the images in `train` fix. All must have the size of the first, and fit into the memory."""
    size, count = train[0].header.size, len(train) + len(validation)
    for file in (*train, *validation):
        _check_size(file.path, file.header.size, size)
    grey = all(file.header.grey is not False for file in train)
    _check_memory(count, ImageForm(size, grey), path)
    if grey and not all(file.header.grey or uses_greys_only(file.path) for file in train):
        grey = False
        _check_memory(count, ImageForm(size, grey), path)
    return ImageForm(size, grey)


def _check_size(file: Path, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if found != expected:
        width, height = expected
        hint = "make all images one size"
        raise InputError(f"{found[0]} x {found[1]} pixels", expected=f"{width} x {height}", where=str(file), hint=hint)


def _check_memory(count: int, form: ImageForm, path: Path) -> None:
    """A training holds its whole data set, a byte for each channel of a pixel."""
    channels, height, width = form.shape
    needed, free = count * channels * height * width, free_memory()
    if needed > KEPT * free:
        raise InputError(
            f"{count:,} images x {height} x {width} pixels x {channels} channels = {format_quantity(needed, 'bytes')}",
            expected=f"at most {KEPT:.0%} of the {format_quantity(free, 'bytes')} of memory that are free",
            where=str(path),
            hint="make the images smaller",
        )
