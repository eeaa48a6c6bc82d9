"""The drivers of a database: who works on a study, and who stopped."""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

from cspnas.storage import postgresql
from cspnas.storage.tables import drivers_table
from cspnas.storage.transactions import Row, Transactions


class DriverRows(Transactions):
    """The rows of all drivers in one database, read and written."""

    def start_driver(self, study_id: int, about: Row) -> int:
        """A new driver's id. A file has one driver at a time: whoever drove a study there before can write no more."""
        table, now = drivers_table, time.time()
        with self.transaction() as connection:
            if not self.shared:
                connection.execute(table.update().where(table.c.ended.is_(None)).values(ended=now))
            row = connection.execute(table.insert().values(study_id=study_id, about=about, started=now))
            driver_id = primary_key(row)
        self._driver = None if self.shared else driver_id
        return driver_id

    def drivers(self, study_id: int) -> list[Row]:
        """All drivers of a study; when they showed that they work is not among it, which earlier studies do not have."""
        table = drivers_table
        columns = (table.c.id, table.c.about, table.c.started, table.c.ended)
        return self.rows(sa.select(*columns).where(table.c.study_id == study_id))

    def end_driver(self, driver_id: int) -> None:
        """Note that a driver ended in order."""
        with self.writing() as connection:
            connection.execute(drivers_table.update().where(drivers_table.c.id == driver_id).values(ended=time.time()))

    def beat(self, driver_id: int) -> sa.Update:
        """The statement by which a driver shows that it works, by the server's clock."""
        return drivers_table.update().where(drivers_table.c.id == driver_id).values(beat=postgresql.CLOCK)

    @property
    def beat_seconds(self) -> float:
        """Between two signs of life of a driver; also how long a lost session goes unnoticed."""
        return min(10.0, self.hung_seconds / 10)

    def running_drivers(self) -> set[int]:
        """Drivers that live, having their lock, and do not hang; for a moment after the server's start also those that it
        cut off, until they had the time to come back.
        """
        table, clock = drivers_table, postgresql.CLOCK
        with self.transaction() as connection:
            held = postgresql.held(connection, postgresql.DRIVER)
            hung = table.c.id.in_(held) & (table.c.beat < clock - self.hung_seconds)
            started = postgresql.SERVER_STARTED
            cut_off = (table.c.beat < started) & (clock < started + 2 + 3 * self.beat_seconds)
            drivers = connection.execute(sa.select(table.c.id, hung.label("hung")).where(hung | cut_off)).all()
        return (held | {row.id for row in drivers}) - {row.id for row in drivers if row.hung}


def primary_key(result: sa.CursorResult[Any]) -> int:
    """The primary key of the row that an insert made."""
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])
