"""Rows of a table that installed packages add: entry points, each of which names one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Protocol, TypeVar

from cspnas.errors import InputError


class Named(Protocol):
    """A row of a table."""

    @property
    def name(self) -> str:
        """Its key there."""


Row = TypeVar("Row", bound=Named)


def with_installed(ours: Mapping[str, Row], kind: type[Row], group: str) -> Mapping[str, Row]:
    """Our rows by name, then those of the entry points of `group`. Raises InputError for one that cannot be used."""
    rows = dict(ours)
    for point in entry_points(group=group):
        row = _loaded(point, kind)
        if not isinstance(row, kind) or row.name in rows:
            noun = kind.__name__.lower()
            found = f"{noun} {row.name!r} again" if isinstance(row, kind) else f"a {type(row).__name__}"
            raise _unusable(point, found, f"{_article(kind)} {kind.__name__} with a name of its own")
        rows[row.name] = row
    return MappingProxyType(rows)


def _loaded(point: EntryPoint, kind: type) -> object:
    try:
        loaded: object = point.load()
    except Exception as error:  # noqa: BLE001 (a foreign package raises whatever it likes when it is imported)
        expected = f"{_article(kind)} {kind.__name__.lower()}"
        raise _unusable(point, f"{type(error).__name__}: {error}", expected) from None
    return loaded


def _unusable(point: EntryPoint, found: str, expected: str) -> InputError:
    hint = f"mend or uninstall package {point.dist and point.dist.name}"
    return InputError(found, expected=expected, where=f"entry point {point.name} = {point.value}", hint=hint)


def _article(kind: type) -> str:
    return "an" if kind.__name__[0] in "AEIOU" else "a"
