"""The names of data sets of the user's own: a prefix that says what lies there, and a path."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from cspnas.errors import InputError
from cspnas.io.did_you_mean import nearest

# What stands behind each prefix. `cspnas/data/image_sources.py` says how each is read.
PREFIXES = MappingProxyType({"folder": "PATH", "npz": "FILE", "csv": "FILE"})
FORMS = tuple(f"{prefix}:{what}" for prefix, what in PREFIXES.items())
# Of a class.
MOST_NAME_CHARACTERS = 255
# Stands for every one of them in the digest of a recipe: their pixels say which they are.
ANY = "folder:"


def prefix_of(name: str) -> str | None:
    """`folder` of `folder:PATH`; None for a data set that is known by its name."""
    prefix, colon, _ = name.partition(":")
    return prefix if colon and prefix in PREFIXES else None


def is_own(name: str) -> bool:
    """Whether the data set `name` is the user's own."""
    return prefix_of(name) is not None


def path_of(name: str) -> Path:
    """PATH of `folder:PATH` and the like. Raises InputError where there is none, or `~NAME` names nobody."""
    prefix, _, path = name.partition(":")
    if not path:
        raise InputError("no path", expected=f"{prefix}:{PREFIXES[prefix]}", where="data set")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}", where="data set", hint="give the whole path") from None


def check_is_file(path: Path, expected: str) -> None:
    """Raises InputError for what is no file: nothing there, a folder, a pipe, which would be waited for, a device."""
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "a device or a pipe" if path.exists() else "no such file"
        raise InputError(kind, expected=expected, where=str(path))


def check_class_name(name: str, where: str) -> None:
    """Raises InputError for a name that is longer than a folder's can be."""
    if len(name) > MOST_NAME_CHARACTERS:
        found = f"a class name of {len(name):,} characters ({name[:20]}...)"
        raise InputError(found, expected=f"at most {MOST_NAME_CHARACTERS}", where=where)


def located(name: str) -> str:
    """`name` with a path made absolute, so that it means the same in another working folder."""
    prefix = prefix_of(name)
    return f"{prefix}:{path_of(name).absolute()}" if prefix else name


def name_of_path(text: str) -> str:
    """What `text`, a path or a data set's name, is called as a data set."""
    if not text or is_own(text):
        return text
    try:
        path = Path(text).expanduser()
        kind = "folder" if path.is_dir() else path.suffix.lower().removeprefix(".") if path.is_file() else ""
    # Too long for a path, with a NUL inside, or of an unknown user: no path at any rate.
    except (OSError, ValueError, RuntimeError):
        return text
    return f"{kind}:{text}" if kind in PREFIXES else text


def unknown(name: str, known: Collection[str], where: str = "") -> InputError:
    """The error for a data set `name` that is none of `known`, nor of the user's own; it may be meant as a path."""
    meant = name_of_path(name)
    as_path = os.sep in name or name.endswith((".npz", ".csv"))
    found = f"no folder, .npz or .csv file {name!r}" if as_path and meant == name else f"data set {name!r}"
    hint = f"did you mean {meant}?" if meant != name else nearest(name.lower(), [*known, *FORMS])
    expected = f"one of {', '.join(known)}, {', '.join(FORMS[:-1])} or {FORMS[-1]}"
    return InputError(found, expected=expected, where=where, hint=hint)


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Folders without permission and the like are the user's to mend, so they get one line."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read the data set {name}: {error}") from None
