"""Where studies are: a name under `studies/`, a database file, or URL#NAME."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cspnas.errors import InputError
from cspnas.io.did_you_mean import nearest
from cspnas.io.redaction import redact
from cspnas.storage.sqlite import SQLITE

STUDIES_FOLDER = Path("studies")
POSTGRESQL = "postgresql+psycopg://"
URL = "sqlite:///PATH, the path as it stands"
URLS = "sqlite:///PATH or postgresql+psycopg://USER@HOST/DATABASE"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,99}")


@dataclass(frozen=True, slots=True)
class StudyLocation:
    """The URL of a study's database and the study's name in it; `name` None: the only one there."""

    url: str
    name: str | None

    @property
    def sqlite(self) -> bool:
        """Whether it is a file."""
        return self.url.startswith(SQLITE)

    @property
    def file(self) -> Path:
        """The SQLite file; there is none of another database."""
        assert self.sqlite
        return Path(self.url.removeprefix(SQLITE))

    @property
    def folder(self) -> Path:
        """Where what belongs to the study lies beside its database: runners' logs, the spool."""
        return (self.file.parent if self.sqlite else STUDIES_FOLDER) / str(self.name)

    @property
    def shown(self) -> str:
        """The database, as people may see it."""
        return str(self.file) if self.sqlite else redact(self.url)

    @property
    def target(self) -> str:
        """What a user types for it; a password is to be typed again."""
        if not self.sqlite:
            return f"{redact(self.url)}#{self.name}"
        own = self.name is not None and self.file == STUDIES_FOLDER / f"{self.name}.db"
        return str(self.name) if own else f"{self.file}#{self.name}"


def check_study_name(name: str, where: str = "--study", hint: str = "choose another name") -> str:
    """`name`, if it can be a file's name and stays in its folder."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise InputError(
            f"study name {_short(name)}",
            expected="1 to 100 of A-Z, a-z, 0-9, '.', '_', '-' and spaces, first a letter or digit, no '..'",
            where=where,
            hint=hint,
        )
    return name


def new_study_name(study: str | None, space_name: str) -> str:
    """The name of a study to search: the given one, or the space file's. Raises InputError for one that cannot be."""
    if study is None:
        where, hint = "SPACE", "the name comes from the file: add --study NAME"
        name = check_study_name(space_name, where, hint)
    else:
        where, hint = "--study", "choose another name"
        name = check_study_name(study, where, hint)
    # In other commands that is a file.
    if name.endswith(".db"):
        raise InputError(f"study name {name!r}", expected="a name without .db at its end", where=where, hint=hint)
    return name


def new_place(name: str, storage: str | None) -> StudyLocation:
    """Where a search keeps the study `name`: `studies/NAME.db`, or the database of a storage URL or file."""
    if storage is None:
        return StudyLocation(f"{SQLITE}{STUDIES_FOLDER / name}.db", name)
    if (url := _postgresql(storage, "--storage")) is not None:
        return StudyLocation(url, name)
    if "://" in storage:
        path = _path_of(storage, "--storage", f"{URLS}, or a file")
        if "#" in path:
            raise InputError(
                f"storage {redact(storage)!r}", expected=URL, where="--storage", hint="name the study by --study"
            )
    else:
        path = expanded(storage)
    if path in ("", ":memory:"):
        raise InputError(f"storage {storage!r}", expected="a file, or sqlite:///PATH", where="--storage")
    return StudyLocation(f"{SQLITE}{path}", name)


def expanded(path: str) -> str:
    """`path` with the home folder for a ~ at its beginning, which a shell leaves there in --storage=~/t.db."""
    return str(Path(path).expanduser()) if path.startswith("~/") else path


def _path_of(url: str, where: str, expected: str) -> str:
    """The file of a SQLite URL. Raises InputError for another database's URL and for options after the path."""
    if not url.startswith(SQLITE):
        kind, hint = url.partition("://")[0], "other databases are not supported"
        raise InputError(f"{_short(kind)[1:-1]}://...", expected=expected, where=where, hint=hint)
    path = url.removeprefix(SQLITE)
    if "?" in path or re.search("%[0-9A-Fa-f]{2}", path):
        raise InputError(
            f"URL {_short(url)} with ? or %",
            expected=URL,
            where=where,
            hint="give the file's path itself, without sqlite:///, if these are characters of its name",
        )
    return path


def existing_place(text: str, where: str = "STUDY") -> StudyLocation:
    """Where the study that a user names is. Raises InputError where there is none, with the nearest name."""
    if "://" in text and not text.startswith(SQLITE):
        return _server_place(text, where)
    if "://" in text:
        place = _split(_path_of(text, where, f"{SQLITE}PATH#NAME"))
    elif text.endswith(".db") or "/" in text or "#" in text:
        place = _split(text)
    else:
        place = StudyLocation(f"{SQLITE}{STUDIES_FOLDER / check_study_name(text, where)}.db", text)
    if not _is_file(place.file):
        names = [path.stem for path in sorted(STUDIES_FOLDER.glob("*.db")) if _is_file(path)]
        listed = f"one of {', '.join(names)}" if names else "a study made by cspnas search"
        raise InputError(
            f"no study {_short(text)} ({_short(str(place.file))[1:-1]} {_missing(place.file)})",
            expected=listed,
            where=where,
            hint=nearest(text, names) or "cspnas studies lists them",
        )
    return place


def server_place(storage: str) -> StudyLocation:
    """The database of a storage URL or file, whatever studies it has."""
    return StudyLocation(new_place("any", storage).url, None)


def copy_place(text: str, where: str = "DST") -> StudyLocation:
    """Where a copy is to be: NAME, FILE#NAME or URL#NAME; without a name the study keeps its own."""
    if "://" in text and not text.startswith(SQLITE):
        return _server_place(text, where)
    path = _path_of(text, where, f"{SQLITE}PATH#NAME") if "://" in text else text
    if "://" not in text and not (text.endswith(".db") or "/" in text or "#" in text):
        return StudyLocation(f"{SQLITE}{STUDIES_FOLDER / new_study_name(text, text)}.db", text)
    place = _split(path)
    return StudyLocation(place.url, place.name if place.name is None else check_study_name(place.name, where))


def _postgresql(text: str, where: str) -> str | None:
    """The URL of a PostgreSQL database with our driver, None for anything else. Raises InputError for one that is wrong."""
    scheme, sign, rest = text.partition("://")
    kind, _, driver = scheme.partition("+")
    if not sign or kind not in ("postgres", "postgresql"):
        return None
    url, wrong = f"{POSTGRESQL}{rest}", None
    if driver not in ("", "psycopg"):
        wrong = f"driver {_short(driver)}"
    elif where == "--storage" and "#" in rest.rpartition("@")[2]:
        wrong, where = "a # in the URL", "--storage; the study is named by --study"
    elif not _readable(url):
        wrong = "a URL that cannot be read"
    if wrong is not None:
        hint = "write %23 for #, %2F for /, %40 for @ in user or password"
        raise InputError(wrong, expected=f"{POSTGRESQL}USER:PASSWORD@HOST:PORT/DATABASE", where=where, hint=hint)
    return url


def _readable(url: str) -> bool:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return False
    return "/" not in (parsed.host or "") and bool(parsed.database or parsed.query)


def _server_place(text: str, where: str) -> StudyLocation:
    """URL#NAME or URL of a server. Whether the study is there is known when it is opened."""
    url, sign, name = text.rpartition("#")
    if not sign or not (name == "" or _NAME.fullmatch(name)):
        url, name = text, ""
    found = _postgresql(url, where)
    if found is None:
        kind = url.split("://")[0]
        raise InputError(f"{_short(kind)[1:-1]}://...", expected=f"{URLS}, then #NAME", where=where)
    return StudyLocation(found, name or None)


def _split(text: str) -> StudyLocation:
    """PATH or PATH#NAME; a # may also be part of the path."""
    text = expanded(text)
    path, sign, name = text.rpartition("#")
    if not sign or _is_file(Path(text)):
        return StudyLocation(f"{SQLITE}{text}", None)
    return StudyLocation(f"{SQLITE}{path}", name or None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    # Longer than a name may be, in a folder that may not be read, a zero byte.
    except (OSError, ValueError):
        return False


def _missing(path: Path) -> str:
    try:
        return "is a folder" if path.is_dir() else "is not there"
    except (OSError, ValueError):
        return "is not there"


def _short(text: str) -> str:
    text = redact(text)
    return repr(text) if len(text) <= 80 else repr(text[:77] + "...")
