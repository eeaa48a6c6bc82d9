"""Tables of images, `csv:FILE`: path,label[,split], with a header or without; paths are relative to the file."""

from __future__ import annotations

import csv
import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspnas.data.folder_layout import SPLITS
from cspnas.data.image_settings import ImageForm, ImageSettings
from cspnas.data.listed_images import Headers, ImageFile, ListedImages, listed_images, read_images
from cspnas.data.own_data import check_class_name, check_is_file
from cspnas.data.public_datasets import LabelledImages
from cspnas.errors import InputError

# What the columns are called, in any case; the first row is a header if it names the first two.
TABLE_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "image"),
    "label": ("label", "class", "class_name", "category"),
    "split": ("split", "set", "part"),
}
LINE_FORM = "path,label or path,label,split"


@dataclass(frozen=True, slots=True)
class ImageRow:
    """An image: its class, and its split, which is a key of SPLITS, or None where the table says none."""

    line: int
    path: Path
    label: str
    split: str | None


def find_table_images(path: Path, settings: ImageSettings) -> ListedImages:
    """Training and validation images of the table `path`, from their headers; those of the test split stay unopened.

    Where no row is validation, a sixth of each class is held out. Raises InputError for what cannot be used.
    """
    rows, headers = _rows(path), Headers()
    training = [row for row in rows if row.split in (None, "train")]
    names = _class_names(training)
    if len(names) < 2:
        found = f"one class only ({names[0]!r})" if names else "no images for training"
        raise InputError(found, expected="two or more classes", where=str(path), hint=f"a line is {LINE_FORM}")
    validation = [row for row in rows if row.split == "validation"]
    train = _images(training, names, headers, path)
    held = _images(validation, names, headers, path) if validation else None
    return listed_images(train, held, names, headers, settings, path)


def table_state(path: Path) -> list[Any]:
    """What the table says, and sizes and times of its files, which no image is opened for."""
    listing = [hashlib.sha256(path.read_bytes()).hexdigest()] if path.is_file() else []
    for row in _rows(path):
        try:
            status = row.path.stat()
        # Files that are missing are listed when their headers are read.
        except (OSError, ValueError):
            continue
        listing.append(f"{row.line} {status.st_size} {status.st_mtime_ns}")
    return [str(path.parent.absolute()), listing]


def has_test_rows(path: Path) -> bool:
    """Whether a row of the table is of the test split."""
    return any(row.split == "test" for row in _rows(path))


def read_test_rows(path: Path, form: ImageForm, names: tuple[str, ...], settings: ImageSettings) -> LabelledImages:
    """The test images of the table `path`, in the `form` and of the classes (`names`) of training.

    Raises InputError as `find_table_images`, and where there are none.
    """
    rows, headers = [row for row in _rows(path) if row.split == "test"], Headers()
    if not rows:
        raise InputError("no row of the split test", where=str(path), hint=f"a line is {LINE_FORM}")
    files = _images(rows, names, headers, path)
    headers.check(settings, path)
    return read_images(files, form, settings)


def _class_names(rows: Iterable[ImageRow]) -> tuple[str, ...]:
    """Sorted; numbers as numbers, so that 10 comes behind 9."""
    return tuple(sorted({row.label for row in rows}, key=lambda name: (len(name) if name.isdecimal() else 0, name)))


def _images(rows: list[ImageRow], names: tuple[str, ...], headers: Headers, path: Path) -> list[ImageFile]:
    labels, files = {name: label for label, name in enumerate(names)}, list[ImageFile]()
    for row in rows:
        if row.label not in labels:
            expected = f"a class of training: {', '.join(names[:20])}{', ...' * (len(names) > 20)}"
            raise InputError(f"the class {row.label!r}", expected=expected, where=f"{path}:{row.line}")
        if not row.path.exists():
            headers.unreadable.append((str(row.path), "no such file"))
        elif (image := headers.image(row.path, labels[row.label])) is not None:
            files.append(image)
    return files


def _rows(path: Path) -> list[ImageRow]:
    """All rows. Raises InputError, with the line, for a table that cannot be read."""
    lines = _cells(path)
    if not lines:
        raise InputError("an empty table", expected=f"lines of {LINE_FORM}", where=str(path))
    first = [cell.strip().casefold() for cell in lines[0][1]]
    at = {
        column: next((n for n, cell in enumerate(first) if cell in names), None)
        for column, names in TABLE_COLUMNS.items()
    }
    if at["path"] is None or at["label"] is None:
        at = {"path": 0, "label": 1, "split": 2 if len(first) == 3 else None}
    else:
        lines = lines[1:]
    rows, seen = list[ImageRow](), dict[Path, int]()
    for line, cells in lines:
        row = _row(path, line, cells, at, len(first))
        if (before := seen.setdefault(row.path, line)) != line:
            found = f"{cells[at['path'] or 0]} again, as in line {before}"
            raise InputError(found, expected="each image once", where=f"{path}:{line}", hint="delete one of the lines")
        rows.append(row)
    return rows


def _row(path: Path, line: int, cells: list[str], at: dict[str, int | None], width: int) -> ImageRow:
    where = f"{path}:{line}"
    if len(cells) != width or width < 2:
        raise InputError(
            f"{len(cells)} cells", expected=f"{width} as in the first line" if width > 1 else LINE_FORM, where=where
        )
    file, label, name = (None if (n := at[column]) is None else cells[n].strip() for column in TABLE_COLUMNS)
    if not file or not label:
        raise InputError(f"no {'label' if file else 'path'}", expected=LINE_FORM, where=where)
    check_class_name(label, where)
    if name is None:
        split = None
    elif (split := next((key for key, names in SPLITS.items() if name.casefold() in names), None)) is None:
        raise InputError(f"the split {name!r}", expected=f"one of {', '.join(SPLITS)}", where=where)
    return ImageRow(line, path.parent / file, unicodedata.normalize("NFC", label), split)


def _cells(path: Path) -> list[tuple[int, list[str]]]:
    """The number and the cells of each line that is not empty."""
    check_is_file(path, f"a table of {LINE_FORM}")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        reader = csv.reader(text.splitlines(), delimiter=delimiter, strict=True)
        return [(reader.line_num, cells) for cells in reader if any(cells)]
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise InputError("bytes that are no UTF-8", where=f"{path}:{line}", hint="save the table as UTF-8") from None
    except csv.Error as error:
        raise InputError(f"no table ({error})", expected=f"lines of {LINE_FORM}", where=str(path)) from None
