"""Rows of a table that installed packages add: entry points, each of which names one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, TypeVar

from cspnas.errors import InputError

# With a name, its key in the table.
TableRow = TypeVar("TableRow", bound=Any)


def with_installed(ours: Mapping[str, TableRow], kind: type[TableRow], group: str) -> Mapping[str, TableRow]:
    """Our rows by name, then those of the entry points of `group`. Raises InputError for one that cannot be used."""
    rows = dict(ours)
    for point in entry_points(group=group):
        try:
            row = point.load()
        except Exception as error:  # noqa: BLE001 (a foreign package raises whatever it likes when it is imported)
            raise _unusable(point, f"{type(error).__name__}: {error}", kind) from None
        if not isinstance(row, kind):
            raise _unusable(point, f"a {type(row).__name__}", kind)
        if row.name in rows:
            raise _unusable(point, f"{kind.__name__} {row.name!r} again", kind)
        rows[row.name] = row
    return MappingProxyType(rows)


def _unusable(point: EntryPoint, found: str, kind: type) -> InputError:
    hint = f"mend or uninstall package {point.dist and point.dist.name}"
    expected = f"one {kind.__name__} with a name of its own"
    return InputError(found, expected=expected, where=f"entry point {point.name} = {point.value}", hint=hint)
