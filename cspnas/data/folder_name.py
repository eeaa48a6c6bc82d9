"""The name of a data set that is a folder of images: `folder:PATH`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspnas.errors import InputError

FOLDER = "folder:"


def is_folder(name: str) -> bool:
    """Whether the data set `name` is a folder of images."""
    return name.startswith(FOLDER)


def path_of(name: str) -> Path:
    """PATH of `folder:PATH`. Raises InputError where there is none, or `~NAME` names nobody."""
    path = name.removeprefix(FOLDER)
    if not path:
        raise InputError("no path", expected="folder:PATH", where="data set")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}", where="data set", hint="give the folder's whole path") from None


def located(name: str) -> str:
    """`name` with a folder's path made absolute, so that it means the same in another working folder."""
    return f"{FOLDER}{path_of(name).absolute()}" if is_folder(name) else name


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Folders without permission and the like are the user's to mend, so they get one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read the data set {name}: {error}") from None
