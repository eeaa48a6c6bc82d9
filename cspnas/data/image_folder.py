"""Folders of images: which files there are, and to which class and split they belong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from cspnas.data.folder_layout import LAYOUT, ClassFolder, Layout, all_files, class_folders, find_layout, is_hidden
from cspnas.data.image_files import ENDINGS
from cspnas.data.image_settings import AS_THEY_ARE, ImageForm, ImageSettings
from cspnas.data.listed_images import Headers, ImageFile, ListedImages, listed_images, read_images
from cspnas.data.public_datasets import LabelledImages
from cspnas.errors import InputError


def find_images(path: Path, settings: ImageSettings = AS_THEY_ARE) -> ListedImages:
    """Training and validation images of the folder `path`, from their headers; the test folder stays unopened.

    Without a validation folder a sixth of each class is held out. `settings` say what is made of them. Raises InputError
    for what cannot be used.
    """
    layout, headers = find_layout(path), Headers()
    classes = _training_classes(layout)
    names = tuple(one.name for one in classes)
    train, validation = _list_images(classes, names, layout.train, headers), None
    _count_strays(path, layout, headers.skipped)
    if layout.validation is not None:
        validation = _list_images(class_folders(layout.validation), names, layout.validation, headers)
    return listed_images(train, validation, names, headers, settings, path)


def folder_state(path: Path) -> list[Any]:
    """Names, sizes and times of all visible files, which no image is opened for."""
    listing = []
    for file in all_files(path):
        try:
            status = file.stat()
        except OSError:
            # A link to nothing is skipped when images are looked for.
            continue
        listing.append((str(file.relative_to(path)), status.st_size, status.st_mtime_ns))
    return listing


def has_test_folder(path: Path) -> bool:
    """Whether there is one in `path`."""
    return find_layout(path).test is not None


def read_test_folder(path: Path, form: ImageForm, names: tuple[str, ...], settings: ImageSettings) -> LabelledImages:
    """The images of the test folder in `path`, in the `form` and of the classes (`names`) of the training part.

    Raises InputError as `find_images`, and where there is no such folder.
    """
    folder, headers = find_layout(path).test, Headers()
    if folder is None:
        hint = f"give a folder that holds images as {LAYOUT}"
        raise InputError("no such folder", where=str(path / "test"), hint=hint)
    files = _list_images(class_folders(folder), names, folder, headers)
    headers.check(settings, path)
    return read_images(files, form, settings)


def _training_classes(layout: Layout) -> list[ClassFolder]:
    classes = class_folders(layout.train, layout)
    if len(classes) < 2:
        found = f"one class only ({classes[0].name!r})" if classes else "no images in folders of their class"
        hint = f"give a folder that holds images as {LAYOUT}"
        raise InputError(found, expected="two or more classes", where=str(layout.train), hint=hint)
    return classes


def _list_images(classes: list[ClassFolder], names: tuple[str, ...], folder: Path, headers: Headers) -> list[ImageFile]:
    """The images of the `classes` in `folder`, sorted; the label is the position of the class in `names`."""
    files = list[ImageFile]()
    for one in classes:
        if one.name not in names:
            raise InputError(
                f"the class {one.name!r}", expected=f"a class of training: {', '.join(names)}", where=str(folder)
            )
        label = names.index(one.name)
        images = [image for file in one.files() if (image := headers.image(file, label)) is not None]
        if not images and not headers.unreadable:
            raise InputError("no images", expected=", ".join(sorted(ENDINGS)), where=str(one.folders[0]))
        files += images
    if not files and not headers.unreadable:
        raise InputError("no images in folders of their class", expected="CLASS/*.png", where=str(folder))
    return files


def _count_strays(path: Path, layout: Layout, skipped: Counter[str]) -> None:
    """Images that lie where no split or class is."""
    for folder in {path, layout.train}:
        loose = [file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and not is_hidden(file)]
        skipped.update("in no class folder" for file in loose if file.is_file())
    for name in layout.beside:
        skipped.update(f"in {name}/, which is no split" for _ in ClassFolder(name, (path / name,)).files())
