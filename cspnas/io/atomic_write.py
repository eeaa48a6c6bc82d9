"""The files that a command writes: checked before the work that they are for, and written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from cspnas.errors import InputError
from cspnas.io.failpoints import hit

WRITABLE = "choose a path that can be written"


def check_output(path: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raises InputError where `path` cannot be written, or is one of the files that the command reads.

    A temporary file beside it is made and deleted, as `write_whole` will make one.
    """
    _check_place(path, force=force)
    for source in inputs:
        if _same(path, source):
            raise InputError(
                "the file that is read", expected="another file", where=str(path), hint="choose another path"
            )
    with _one_line(path), _temporary(_random_name(path)):
        pass


def write_whole(path: Path, content: str | bytes, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Write by a temporary name, fsync and rename, so that the file is whole or not there.

    Raises InputError where it exists and `force` is off, where it is one of `inputs` and where it cannot be written.
    """
    check_output(path, force=force, inputs=inputs)
    with _one_line(path):
        put_whole(path, content.encode() if isinstance(content, str) else content, _random_name(path))


def put_whole(path: Path, data: bytes, new: Path) -> None:
    """Write `new`, a temporary name in the folder of `path`, fsync and rename. Raises OSError, and leaves nothing then.

    The file has the rights that the umask leaves. A link at either name is replaced, not followed.
    """
    with _temporary(new) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        hit("file.before")
        new.replace(path)
        _sync_folder(path.parent)
    hit("file.after")


def temporary_name(path: Path) -> Path:
    """The temporary name of a file that is written again and again: a killed writer leaves one such file at most."""
    return path.with_name(f"{path.name}.new")


def remove(path: Path) -> None:
    """Delete what is written again and again, and what a killed writer left of it."""
    for name in (path, temporary_name(path)):
        # Of a folder that is a file nothing was written.
        with suppress(FileNotFoundError, NotADirectoryError):
            name.unlink()


def _sync_folder(folder: Path) -> None:
    """Make the new name durable too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _random_name(path: Path) -> Path:
    return path.with_name(f".cspnas-{secrets.token_hex(8)}")


@contextmanager
def _temporary(path: Path) -> Iterator[IO[bytes]]:
    """A new file, deleted at the end unless it was renamed."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{error.strerror}", where=str(path), hint=WRITABLE) from None


def _check_place(path: Path, *, force: bool) -> None:
    """Raises InputError for a path that is no regular file, and for one that exists where `force` is off."""
    if not path.name:
        raise InputError(f"no file name in {str(path)!r}", expected="the path of a file", hint=WRITABLE)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink() and not force:
            found = "a link to a file that is not there"
            raise InputError(found, expected="a new path", where=str(path), hint="add --force to replace it") from None
        return
    except OSError as error:
        raise InputError(f"{error.strerror}", where=str(path), hint=WRITABLE) from None
    if not stat.S_ISREG(mode):
        found = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise InputError(found, expected="a new path, or a file", where=str(path), hint=WRITABLE)
    if not force:
        raise InputError("a file that exists", expected="a new path", where=str(path), hint="add --force to replace it")


def _same(path: Path, source: Path) -> bool:
    """Whether two paths are one file, by whatever links."""
    try:
        return path.samefile(source)
    except OSError:
        return path.resolve() == source.resolve()
