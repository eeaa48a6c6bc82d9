"""The cache of prepared files: the one of a folder of images that was made before, or a new one.

A prepared file lies under the digest of what it was made of: settings, names and contents. An index beside it says which
file a folder of such names, sizes and times led to, so that a second start opens no image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cspnas.data.folder_layout import all_files
from cspnas.data.image_folder import FolderImages, find_images
from cspnas.data.image_settings import ImageSettings
from cspnas.data.pixel_statistics import pixel_statistics
from cspnas.data.preparation import new_file, store_prepared, write_prepared
from cspnas.data.prepared_file import PARTS, PreparedFile, open_prepared
from cspnas.data.public_datasets import LabelledImages
from cspnas.errors import InputError
from cspnas.io.steps import Step, silent

VERSION = 1  # raised when other pixels come of the same files


def prepared_images(path: Path, settings: ImageSettings, cache: Path, step: Step = silent) -> PreparedFile:
    """Training and validation images of the folder `path`. Raises InputError as `find_images`, and for a full disk."""
    with _writable(cache):
        cache.mkdir(parents=True, exist_ok=True)
        index = cache / f"{_state_key(path, settings)}.json"
        found = _indexed(index)
        if found is None:
            file = _made(path, settings, cache, step)
            _write_index(index, file)
            found = open_prepared(file)
    if found is None:
        raise InputError("a prepared file that vanished", where=str(cache), hint="run the command again")
    return found


def generated_images(
    target: Path,
    checksum: str,
    make: Callable[[], tuple[LabelledImages, LabelledImages]],
    class_names: tuple[str, ...],
    step: Step = silent,
) -> PreparedFile:
    """Images that `make` makes, always the same ones, of this `checksum`. Raises InputError for a full disk."""
    with _writable(target.parent):
        if not _intact(target, checksum):
            target.parent.mkdir(parents=True, exist_ok=True)
            step(f"making the images of {target.stem}")
            store_prepared(*make(), class_names, target, step)
    found = open_prepared(target)
    if found is None or found.about["checksum"] != checksum:
        raise InputError(
            f"other images than {checksum[:12]}", where=str(target), hint="report it: they should be the same"
        )
    return found


def _made(path: Path, settings: ImageSettings, cache: Path, step: Step) -> Path:
    step(f"reading the images of {path}")
    images = find_images(path, settings)
    while True:
        target = cache / f"{_content_key(path, images, settings)}.safetensors"
        if _intact(target):
            return target
        unreadable = write_prepared(images, settings.resize, target, step)
        if not unreadable:
            return target
        images = images.without(unreadable, settings, path)


def _state_key(path: Path, settings: ImageSettings) -> str:
    """Of names, sizes and times of all visible files, which no image is opened for."""
    listing = []
    for file in all_files(path):
        try:
            status = file.stat()
        except OSError:
            # A link to nothing is skipped when images are looked for.
            continue
        listing.append((str(file.relative_to(path)), status.st_size, status.st_mtime_ns))
    return _digest(settings, listing)


def _content_key(path: Path, images: FolderImages, settings: ImageSettings) -> str:
    listing = []
    for part, files in zip(PARTS, (images.train, images.validation), strict=True):
        for file in files:
            with file.path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            listing.append((part, str(file.path.relative_to(path)), file.label, content))
    return _digest(settings, [images.class_names, images.form.shape, sorted(images.skipped.items()), listing])


def _digest(settings: ImageSettings, listing: list[Any]) -> str:
    return hashlib.sha256(json.dumps([VERSION, asdict(settings), listing]).encode()).hexdigest()


def _indexed(index: Path) -> PreparedFile | None:
    """The file that an index names, if both are as they were left."""
    try:
        known = json.loads(index.read_bytes())
        file = index.parent / f"{int(known['key'], 16):064x}.safetensors"
        if _stamp(file) != known["stamp"]:
            return None
        return open_prepared(file)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_index(index: Path, file: Path) -> None:
    with new_file(index) as new:
        new.write(json.dumps({"key": file.stem, "stamp": _stamp(file)}).encode())
        new.flush()
        Path(new.name).replace(index)


def _stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]


def _intact(target: Path, checksum: str | None = None) -> bool:
    """Whether a prepared file is there and holds the pixels that it was written with, or those of `checksum`."""
    file = open_prepared(target)
    if file is None:
        return False
    parts = [(file.images(part), file.labels(part)) for part in PARTS]
    return pixel_statistics(parts[0], parts[1], file.mapping).checksum == (checksum or file.about.get("checksum"))


@contextmanager
def _writable(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.filename is not None and not str(error.filename).startswith(str(cache)):
            raise
        hint = "make room or make it writable, or name another folder in CSPNAS_DATA"
        raise InputError(f"{error.strerror}", where=str(cache), hint=hint) from None
