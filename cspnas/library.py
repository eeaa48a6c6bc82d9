"""Where studies are: a name under `studies/`, a database file, or URL#NAME."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cspnas.errors import InputError
from cspnas.spelling import nearest

FOLDER = Path("studies")
SQLITE = "sqlite:///"
URL = "sqlite:///PATH, the path as it stands"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")


@dataclass(frozen=True, slots=True)
class Place:
    """The URL of a study's database and the study's name in it; `name` None: the only one there."""

    url: str
    name: str | None

    @property
    def file(self) -> Path:
        """The SQLite file."""
        return Path(self.url.removeprefix(SQLITE))

    @property
    def target(self) -> str:
        """What a user types for it."""
        own = self.name is not None and self.file == FOLDER / f"{self.name}.db"
        return str(self.name) if own else f"{self.file}#{self.name}"


def check_name(name: str, where: str = "--study", do: str = "choose another name") -> str:
    """`name`, if it can be a file's name and stays in its folder."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputError(
            f"study name {_short(name)}",
            expected="1 to 100 letters, digits, '.', '_', '-' and spaces, no '/' and no '..'",
            where=where,
            do=do,
        )
    return name


def new_name(study: str | None, space_name: str) -> str:
    """The name of a study to search: the given one, or the space file's. Raises InputError for one that cannot be."""
    if study is None:
        where, do = "SPACE", "the name comes from the file: add --study NAME"
        name = check_name(space_name, where, do)
    else:
        where, do = "--study", "choose another name"
        name = check_name(study, where, do)
    if name.endswith(".db"):  # in other commands that is a file
        raise InputError(f"study name {name!r}", expected="a name without .db at its end", where=where, do=do)
    return name


def new_place(name: str, storage: str | None) -> Place:
    """Where a search keeps the study `name`: `studies/NAME.db`, or the database of a storage URL or file."""
    if storage is None:
        return Place(f"{SQLITE}{FOLDER / name}.db", name)
    if "://" in storage:
        path = _path_of(storage, "--storage", "sqlite:///PATH or a file")
        if "#" in path:
            raise InputError(f"storage {storage!r}", expected=URL, where="--storage", do="name the study by --study")
    else:
        path = storage
    if path in ("", ":memory:"):
        raise InputError(f"storage {storage!r}", expected="a file, or sqlite:///PATH", where="--storage")
    return Place(f"{SQLITE}{path}", name)


def _path_of(url: str, where: str, expected: str) -> str:
    """The file of a SQLite URL. Raises InputError for another database's URL and for options after the path."""
    if not url.startswith(SQLITE):
        kind, do = url.split("://")[0], "other databases are not supported yet"
        raise InputError(f"{_short(kind)[1:-1]}://...", expected=expected, where=where, do=do)
    path = url.removeprefix(SQLITE)
    if "?" in path or re.search("%[0-9A-Fa-f]{2}", path):
        raise InputError(
            f"URL {_short(url)} with ? or %",
            expected=URL,
            where=where,
            do="give the file's path itself, without sqlite:///, if these are characters of its name",
        )
    return path


def existing_place(text: str, where: str = "STUDY") -> Place:
    """Where the study that a user names is. Raises InputError where there is none, with the nearest name."""
    if "://" in text:
        place = _split(_path_of(text, where, f"{SQLITE}PATH#NAME"))
    elif text.endswith(".db") or "/" in text or "#" in text:
        place = _split(text)
    else:
        place = Place(f"{SQLITE}{FOLDER / check_name(text, where)}.db", text)
    if not _is_file(place.file):
        names = [path.stem for path in sorted(FOLDER.glob("*.db"))]
        listed = f"one of {', '.join(names)}" if names else "a study made by cspnas search"
        raise InputError(
            f"no study {_short(text)} ({_short(str(place.file))[1:-1]} is not there)",
            expected=listed,
            where=where,
            do=nearest(text, names) or "cspnas studies lists them",
        )
    return place


def _split(text: str) -> Place:
    """PATH or PATH#NAME; a # may also be part of the path."""
    path, sign, name = text.rpartition("#")
    if not sign or _is_file(Path(text)):
        return Place(f"{SQLITE}{text}", None)
    return Place(f"{SQLITE}{path}", name or None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # longer than a name may be, in a folder that may not be read, a zero byte
        return False


def _short(text: str) -> str:
    return repr(text) if len(text) <= 80 else repr(text[:77] + "...")
