"""The version of our tables, and how an earlier one becomes this one.

1  the first
2  `cspnas_drivers.beat`, `cspnas_late_results`, an index over evaluations by state: several drivers at once
"""

from __future__ import annotations

import sqlalchemy as sa

from cspnas.errors import InputError
from cspnas.storage.tables import drivers_table, evaluations_table, metadata, schema_table

SCHEMA_VERSION = 2
READABLE = (1, 2)  # what reading a study needs has been there since


class NoTablesError(InputError):
    """A database that holds no study of ours yet."""


def make_tables(connection: sa.Connection) -> None:
    """Our tables where they are missing, of this version."""
    fresh = not sa.inspect(connection).has_table("cspnas_schema")
    metadata.create_all(connection)
    if fresh or version_of(connection) is None:
        connection.execute(schema_table.insert().values(version=SCHEMA_VERSION))


def version_of(connection: sa.Connection) -> int | None:
    """The version that the database says it has."""
    return connection.scalar(sa.select(schema_table.c.version))


def check_schema(connection: sa.Connection, shown: str, *, write: bool) -> None:
    """Raises InputError for a database of another version; an earlier one is brought up to this where `write` is set."""
    version = version_of(connection) if sa.inspect(connection).has_table("cspnas_schema") else None
    # A search that was killed as it made them leaves some, or all: SQLite makes each at once, and the version comes last.
    if version is None:
        raise NoTablesError("a database without cspnas tables", expected="a study made by cspnas search", where=shown)
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
