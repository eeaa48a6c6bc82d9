"""The version of our tables, and how an earlier one becomes this one.

1  the first
2  `cspnas_drivers.beat`, `cspnas_late_results`, an index over evaluations by state: several drivers at once
"""

from __future__ import annotations

import sqlalchemy as sa

from cspnas.errors import InputError, StorageError
from cspnas.storage.tables import drivers_table, evaluations_table, late_table, metadata, schema_table

SCHEMA_VERSION = 2
# What reading a study needs has been there since.
READABLE = (1, 2)


class NoTablesError(InputError):
    """A database that holds no study of ours yet."""


def make_tables(connection: sa.Connection) -> None:
    """Our tables, of this version, where no search has made them whole yet."""
    if sa.inspect(connection).has_table("cspnas_schema") and version_of(connection) is not None:
        return
    metadata.create_all(connection)
    connection.execute(schema_table.insert().values(version=SCHEMA_VERSION))


def version_of(connection: sa.Connection) -> int | None:
    """The version that the database says it has."""
    return connection.scalar(sa.select(schema_table.c.version))


def check_schema(connection: sa.Connection, shown: str, *, write: bool) -> None:
    """Raises InputError for a database of another version; an earlier one is brought up to this where `write` is set."""
    names = set(sa.inspect(connection).get_table_names())
    version = version_of(connection) if "cspnas_schema" in names else None
    # A search that was killed as it made them leaves some, or all: SQLite makes each at once, and the version comes last.
    if version is None:
        raise NoTablesError("a database without cspnas tables", expected="a study made by cspnas search", where=shown)
    needed = metadata.tables.keys() - ({late_table.name} if version == 1 else set())
    if version in READABLE and (gone := sorted(needed - names)):
        raise StorageError(f"{shown}: the study database is damaged (no table {gone[0]}); restore it from a backup")
    if version == SCHEMA_VERSION or (version in READABLE and not write):
        return
    if version != 1:
        raise InputError(
            f"schema version {version}",
            expected=f"version {SCHEMA_VERSION}",
            where=shown,
            hint="open it with the version of cspnas that made it",
        )
    _from_1(connection)


def _from_1(connection: sa.Connection) -> None:
    """Cut short at any point, it can be done once more."""
    metadata.create_all(connection)
    if "beat" not in {column["name"] for column in sa.inspect(connection).get_columns(drivers_table.name)}:
        connection.execute(sa.text("ALTER TABLE cspnas_drivers ADD COLUMN beat FLOAT"))
    for index in evaluations_table.indexes:
        index.create(connection, checkfirst=True)
    connection.execute(schema_table.update().values(version=SCHEMA_VERSION))
