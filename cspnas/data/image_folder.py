"""Folders of images as NumPy arrays: which files there are, what their headers say, and then their pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cspnas.data.folder_layout import LAYOUT, ClassFolder, Layout, class_folders, find_layout, is_hidden
from cspnas.data.image_files import (
    ENDINGS,
    ImageHeader,
    Skipped,
    image_fault,
    read_header,
    read_pixels,
    uses_greys_only,
)
from cspnas.data.image_settings import AS_THEY_ARE, ImageSettings
from cspnas.data.public_datasets import LabelledImages, held_out
from cspnas.errors import InputError

LISTED = 10  # unreadable images that an error names
Unreadable = list[tuple[str, str]]
"""Files and why each cannot be read."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file to be read, the label of its class, and what its header says."""

    path: Path
    label: int
    header: ImageHeader


@dataclass(frozen=True, slots=True)
class ImageForm:
    """What all images are made equal to: (width, height) in pixels, and colours."""

    size: tuple[int, int]
    grey: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return 1 if self.grey else 3, self.size[1], self.size[0]


@dataclass(frozen=True)
class FolderImages:
    """The images of a folder by their headers. `skipped`: how many files were not read, by the reason.

    `undersized`: images that are enlarged.
    """

    train: list[ImageFile]
    validation: list[ImageFile]
    class_names: tuple[str, ...]
    form: ImageForm
    skipped: Counter[str] = field(default_factory=Counter)
    undersized: int = 0

    def without(self, unreadable: Unreadable, settings: ImageSettings, path: Path) -> FolderImages:
        """Less those files, where `settings` allow it. Raises InputError, which lists them, where they do not."""
        _check_unreadable(unreadable, settings, path)
        left_out = {file for file, _ in unreadable}
        train, validation = (_less(files, left_out) for files in (self.train, self.validation))
        if {file.label for file in train} != set(range(len(self.class_names))) or not validation:
            raise InputError("a class without a readable image", where=str(path), hint="replace its images")
        skipped = self.skipped + Counter({"unreadable": len(unreadable)})
        return replace(self, train=train, validation=validation, skipped=skipped)


@dataclass
class _Found:
    """What is met while headers are read: how many files are skipped, and which images (file, reason) are damaged."""

    skipped: Counter[str] = field(default_factory=Counter)
    unreadable: Unreadable = field(default_factory=list)

    def header(self, file: Path) -> ImageHeader | None:
        """None for what is no image, or a damaged one."""
        try:
            header = read_header(file)
        except InputError as error:
            self.unreadable.append((str(file), image_fault(error)))
            return None
        if isinstance(header, Skipped):
            self.skipped[header.reason] += 1
            return None
        return header


def find_images(path: Path, settings: ImageSettings = AS_THEY_ARE) -> FolderImages:
    """Training and validation images of the folder `path`, from their headers; the test folder stays unopened.

    Without a validation folder a sixth of each class is held out. `settings` say what is made of them. Raises InputError
    for what cannot be used.
    """
    layout, found = find_layout(path), _Found()
    classes = _training_classes(layout)
    names = tuple(one.name for one in classes)
    train, validation = _list_images(classes, names, layout.train, found), list[ImageFile]()
    _count_strays(path, layout, found.skipped)
    if layout.validation is not None:
        validation = _list_images(class_folders(layout.validation), names, layout.validation, found)
    if found.unreadable:
        _check_unreadable(found.unreadable, settings, path)
        found.skipped["unreadable"] += len(found.unreadable)
    form = _form(train, validation, settings)
    if layout.validation is None:
        train, validation = _hold_out(train, names, path)
    sizes = (file.header.size for file in (*train, *validation))
    enlarged = sum(width < form.size[0] or height < form.size[1] for width, height in sizes)
    return FolderImages(train, validation, names, form, found.skipped, enlarged)


def read_images(files: list[ImageFile], form: ImageForm, settings: ImageSettings) -> LabelledImages:
    """The files decoded: images (N, C, H, W) and labels (N,). Raises InputError for a damaged one."""
    images = np.empty((len(files), *form.shape), dtype=np.uint8)
    size = form.shape[1:]
    for index, file in enumerate(files):
        if settings.size is None:
            _check_size(file.path, file.header.size, form.size)
        images[index] = read_pixels(file.path, grey=form.grey, size=size, resize=settings.resize).transpose(2, 0, 1)
    return images, np.array([file.label for file in files], dtype=np.int64)


def check_test_folder(path: Path) -> Path:
    """The test folder in `path`. Raises InputError where there is none."""
    folder = find_layout(path).test
    if folder is None:
        hint = f"give a folder that holds images as {LAYOUT}"
        raise InputError("no such folder", where=str(path / "test"), hint=hint)
    return folder


def read_test_folder(path: Path, form: ImageForm, names: tuple[str, ...], settings: ImageSettings) -> LabelledImages:
    """The images of the test folder in `path`, in the `form` and of the classes (`names`) of the training part.

    Raises InputError as `find_images`.
    """
    folder = check_test_folder(path)
    found = _Found()
    files = _list_images(class_folders(folder), names, folder, found)
    if found.unreadable:
        _check_unreadable(found.unreadable, settings, path)
    return read_images(files, form, settings)


def _training_classes(layout: Layout) -> list[ClassFolder]:
    classes = class_folders(layout.train, layout)
    if len(classes) < 2:
        found = f"one class only ({classes[0].name!r})" if classes else "no images in folders of their class"
        hint = f"give a folder that holds images as {LAYOUT}"
        raise InputError(found, expected="two or more classes", where=str(layout.train), hint=hint)
    return classes


def _list_images(classes: list[ClassFolder], names: tuple[str, ...], folder: Path, found: _Found) -> list[ImageFile]:
    """The images of the `classes` in `folder`, sorted; the label is the position of the class in `names`."""
    files = list[ImageFile]()
    for one in classes:
        if one.name not in names:
            raise InputError(
                f"the class {one.name!r}", expected=f"a class of training: {', '.join(names)}", where=str(folder)
            )
        label = names.index(one.name)
        headers = [(file, found.header(file)) for file in one.files()]
        images = [ImageFile(file, label, header) for file, header in headers if header is not None]
        if not images and not found.unreadable:
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


def _less(files: list[ImageFile], left_out: AbstractSet[str]) -> list[ImageFile]:
    return [file for file in files if str(file.path) not in left_out]


def _check_unreadable(unreadable: Unreadable, settings: ImageSettings, path: Path) -> None:
    if settings.skip_unreadable:
        return
    count = len(unreadable)
    listed = "; ".join(f"{file}: {reason}" for file, reason in unreadable[:LISTED])
    raise InputError(
        f"{count:,} unreadable image{'s' * (count > 1)}: {listed}{'; ...' * (count > LISTED)}",
        where=str(path),
        hint="delete or replace them, or leave them out with skip_unreadable: true (--skip-unreadable)",
    )
