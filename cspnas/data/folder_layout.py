"""Which files of a folder belong to which split and class; no file is opened here.

The layout is PATH/CLASS/*, or PATH/SPLIT/CLASS/*. Splits go by the names that people give them, in any case.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from cspnas.data.image_files import ENDINGS, may_be_image
from cspnas.errors import InputError

# The first name of each split has always been one; it is no class even where it holds images beside class folders.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
NEVER_A_CLASS = frozenset({"train", "val", "validation", "test"})
HIDDEN = frozenset(
    {
        "__macosx",
        "thumbs.db",
        "desktop.ini",
        "$recycle.bin",
        "@eadir",
        "#recycle",
        "lost+found",
        "system volume information",
    }
)
# Files without an image's ending that are opened to see whether a folder holds images.
OPENED = 20
LAYOUT = "PATH/CLASS/*.png, or PATH/train/CLASS/*.png with PATH/validation and PATH/test beside it"


@dataclass(frozen=True)
class Layout:
    """Where the splits of a folder are. `train` is the folder itself where its classes lie in it directly.

    `beside`: names of folders in it that belong to no split.
    """

    train: Path
    validation: Path | None
    test: Path | None
    beside: tuple[str, ...]


@dataclass(frozen=True)
class ClassFolder:
    """One class of a split. Its folders are several where one name is written in two forms of Unicode."""

    name: str
    folders: tuple[Path, ...]

    def files(self) -> list[Path]:
        """Its visible files at every depth, sorted. Links to folders are followed, and each folder is read once."""
        return sorted(file for folder in self.folders for file in _files_below(folder))


def find_layout(path: Path) -> Layout:
    """The splits of the data set in `path`. Raises InputError where there is no such folder, or a split is there twice."""
    if not path.is_dir():
        hint = f"give a folder that holds images as {LAYOUT}"
        raise InputError("no such folder", where=str(path), hint=hint)
    folders = _folders(path)
    splits = {split: _only(path, [f for f in folders if _split_of(f) == split]) for split in SPLITS}
    beside = tuple(f.name for f in folders if _split_of(f) is None)
    return Layout(splits["train"] or path, splits["validation"], splits["test"], beside if splits["train"] else ())


def class_folders(folder: Path, splits: Layout | None = None) -> list[ClassFolder]:
    """The classes in a split's `folder`, sorted; of those in the data set's own folder `splits` says which are none.

    Raises InputError for a folder that holds folders of images instead of images.
    """
    found: dict[str, list[Path]] = {}
    for child in _folders(folder):
        if splits is None or splits.train != folder or _split_of(child) is None:
            found.setdefault(_class_name(child), []).append(child)
    classes = [ClassFolder(name, tuple(folders)) for name, folders in found.items()]
    for one in classes:
        _check_holds_images(one, folder)
    if splits is not None:
        _check_no_splits(classes, folder)
    return classes


def _check_no_splits(classes: list[ClassFolder], folder: Path) -> None:
    """Raises InputError where all classes hold the same folders of images: those are the classes, whatever lies beside."""
    inside = [
        {child.name for part in one.folders for child in _folders(part) if _holds_images(child)} for one in classes
    ]
    if len(inside) > 1 and len(inside[0]) > 1 and all(names == inside[0] for names in inside):
        raise InputError(
            f"the same folders ({', '.join(sorted(inside[0])[:3])}) in {' and '.join(one.name for one in classes[:3])}",
            expected=LAYOUT,
            where=str(folder),
            hint="name the splits train, validation and test",
        )


def _check_holds_images(one: ClassFolder, folder: Path) -> None:
    if any(_holds_images(part) for part in one.folders):
        return
    inside = [child.name for part in one.folders for child in _folders(part) if any(_files_below(child))]
    if inside:
        raise InputError(
            f"folders ({', '.join(inside[:3])}{', ...' * (len(inside) > 3)}) instead of images in {one.name!r}",
            expected=LAYOUT,
            where=str(folder),
            hint=f"name the folder that holds the classes, as in folder:{folder / one.folders[0].name}",
        )


def all_files(folder: Path) -> list[Path]:
    """All visible files at every depth, sorted. Raises InputError where there is no such folder."""
    if not folder.is_dir():
        hint = f"give a folder that holds images as {LAYOUT}"
        raise InputError("no such folder", where=str(folder), hint=hint)
    return sorted(_files_below(folder))


def is_hidden(path: Path) -> bool:
    """Whether programs left it there: names with a dot, thumbnails, what archives carry along."""
    return path.name.startswith(".") or path.name.casefold() in HIDDEN


def _folders(folder: Path) -> list[Path]:
    return sorted((f for f in folder.iterdir() if f.is_dir() and not is_hidden(f)), key=lambda f: f.name)


def _split_of(folder: Path) -> str | None:
    """The split that a folder is, by its name; a class may be called `training`, and then holds images."""
    name = folder.name.casefold()
    split = next((split for split, names in SPLITS.items() if name in names), None)
    if name in NEVER_A_CLASS or not _holds_images(folder):
        return split
    return split if any(_holds_images(child) for child in _folders(folder)) else None


def _holds_images(folder: Path) -> bool:
    files = [file for file in folder.iterdir() if not is_hidden(file) and file.is_file()]
    others = [file for file in files if file.suffix.lower() not in ENDINGS]
    return len(others) < len(files) or any(map(may_be_image, sorted(others)[:OPENED]))


def _only(path: Path, found: list[Path]) -> Path | None:
    if len(found) > 1:
        names = " and ".join(f"`{folder.name}`" for folder in found)
        raise InputError(f"both {names}", expected="one of them", where=str(path))
    return found[0] if found else None


def _class_name(folder: Path) -> str:
    """The name in Unicode's composed form: file systems differ in which one they keep."""
    try:
        folder.name.encode()
    except UnicodeEncodeError:
        hint = "rename the folder"
        raise InputError("a class name that is no UTF-8", where=str(folder), hint=hint) from None
    return unicodedata.normalize("NFC", folder.name)


def _files_below(folder: Path) -> list[Path]:
    """Visible entries that are no folders, at every depth."""
    # A link upwards leads to other classes, and round again.
    found, pending = list[Path](), [folder]
    seen = {(above.stat().st_dev, above.stat().st_ino) for above in folder.resolve().parents}
    while pending:
        here = pending.pop()
        status = here.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        for child in sorted(here.iterdir()):
            if not is_hidden(child):
                (pending if child.is_dir() else found).append(child)
    return found
