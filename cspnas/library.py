"""Where studies are: a name under `studies/`, a database file, or URL#NAME."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cspnas.errors import InputError
from cspnas.spelling import nearest

FOLDER = Path("studies")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")


@dataclass(frozen=True, slots=True)
class Place:
    """The URL of a study's database and the study's name in it; `name` None: the only one there."""

    url: str
    name: str | None

    @property
    def file(self) -> Path | None:
        """The SQLite file, None for a server."""
        prefix = "sqlite:///"
        return Path(self.url.removeprefix(prefix)) if self.url.startswith(prefix) else None


def check_name(name: str) -> str:
    """`name`, if it can be a file's name and stays in its folder."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputError(
            f"study name {name!r}",
            expected="letters, digits, '.', '_', '-' and spaces, no '/' and no '..'",
            where="--study",
            do="choose another name",
        )
    return name


def new_place(name: str, storage: str | None) -> Place:
    """Where a search keeps the study `name`: `studies/NAME.db`, or the database of a storage URL or file."""
    check_name(name)
    if storage is None:
        return Place(f"sqlite:///{FOLDER / name}.db", name)
    if "://" not in storage:
        storage = f"sqlite:///{storage}"
    if not storage.startswith("sqlite:///"):
        raise InputError(
            f"storage {storage.split('://')[0]}://...",
            expected="sqlite:///PATH or a file",
            where="--storage",
            do="other databases are not supported yet",
        )
    return Place(storage, name)


def existing_place(text: str) -> Place:
    """Where the study that a user names is. Raises InputError where there is none, with the nearest name."""
    if "://" in text:
        url, _, name = text.partition("#")
        place = Place(url, name or None)
        if not url.startswith("sqlite:///"):
            raise InputError(f"URL {url.split('://')[0]}://...", expected="sqlite:///PATH#NAME", where="STUDY")
    elif text.endswith(".db") or "/" in text:
        place = Place(f"sqlite:///{text}", None)
    else:
        place = Place(f"sqlite:///{FOLDER / check_name(text)}.db", text)
    if place.file is not None and not place.file.is_file():
        names = [path.stem for path in sorted(FOLDER.glob("*.db"))]
        listed = f"one of {', '.join(names)}" if names else "a study made by cspnas search"
        raise InputError(
            f"no study {text!r} ({place.file} is not there)",
            expected=listed,
            where="STUDY",
            do=nearest(text, names) or "cspnas studies lists them",
        )
    return place
