"""The cache of prepared files: the one of the same images that was made before, or a new one.

A prepared file lies under the digest of what it was made of: settings, names and contents. An index beside it says which
file images of such names, sizes and times led to, so that a second start opens no image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cspnas.data.image_arrays import ImageArrays
from cspnas.data.image_settings import ImageSettings
from cspnas.data.image_sources import ImageSource
from cspnas.data.listed_images import Unreadable
from cspnas.data.pixel_statistics import pixel_statistics
from cspnas.data.preparation import new_file, store_prepared, write_prepared
from cspnas.data.prepared_file import PARTS, PreparedFile, open_prepared
from cspnas.errors import InputError
from cspnas.io.steps import Step, silent

# Raised when other pixels come of the same files.
VERSION = 1


def prepared_images(
    source: ImageSource, path: Path, settings: ImageSettings, cache: Path, step: Step = silent
) -> PreparedFile:
    """Training and validation images in `path`. Raises InputError as `source` does, and for a full disk."""
    with _writable(cache):
        cache.mkdir(parents=True, exist_ok=True)
        index = cache / f"{_digest(settings, [source.kind, *source.state(path)])}.json"
        found = _indexed(index)
        if found is None:
            file, left_out = _made(source, path, settings, cache, step)
            _write_index(index, file, left_out)
            found = _indexed(index)
    if found is None:
        raise InputError("a prepared file that vanished", where=str(cache), hint="run the command again")
    return found


def generated_images(
    target: Path,
    checksum: str,
    make: Callable[[], ImageArrays],
    step: Step = silent,
) -> PreparedFile:
    """Images that `make` makes, always the same ones, of this `checksum`. Raises InputError for a full disk."""
    with _writable(target.parent):
        if not _intact(target, checksum):
            target.parent.mkdir(parents=True, exist_ok=True)
            step(f"making the images of {target.stem}")
            store_prepared(make(), target, step)
    found = open_prepared(target)
    if found is None or found.about["checksum"] != checksum:
        raise InputError(
            f"other images than {checksum[:12]}", where=str(target), hint="report it: they should be the same"
        )
    return found


def _made(source: ImageSource, path: Path, settings: ImageSettings, cache: Path, step: Step) -> tuple[Path, Unreadable]:
    """The prepared file, and which images were left out because their pixels could not be read."""
    step(f"reading the images of {path}")
    images, left_out = source.find(path, settings), Unreadable()
    while True:
        target = cache / f"{_digest(settings, images.contents())}.safetensors"
        if _intact(target):
            return target, left_out
        if isinstance(images, ImageArrays):
            store_prepared(images, target, step)
            return target, left_out
        unreadable = write_prepared(images, settings.resize, target, step)
        if not unreadable:
            return target, left_out
        images, left_out = images.without(unreadable, settings, path), [*left_out, *unreadable]


def _digest(settings: ImageSettings, listing: list[Any]) -> str:
    return hashlib.sha256(json.dumps([VERSION, asdict(settings), listing]).encode()).hexdigest()


def _indexed(index: Path) -> PreparedFile | None:
    """The file that an index names, if both are as they were left."""
    try:
        known = json.loads(index.read_bytes())
        file = index.parent / f"{int(known['key'], 16):064x}.safetensors"
        if _stamp(file) != known["stamp"]:
            return None
        found = open_prepared(file)
        return None if found is None else replace(found, left_out=tuple((file, why) for file, why in known["left_out"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_index(index: Path, file: Path, left_out: Unreadable) -> None:
    with new_file(index) as new:
        about = {"key": file.stem, "stamp": _stamp(file), "left_out": left_out}
        new.write(json.dumps(about).encode())
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
