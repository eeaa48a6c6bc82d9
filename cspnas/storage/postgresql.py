"""PostgreSQL as the study database uses it: by psycopg, sessions that notice a dead peer, advisory locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa

from cspnas.errors import InputError
from cspnas.io.extras import how_to_get

# The first of an advisory lock's two keys: what it is for. The second is a driver's or a study's id.
# "CSP0", "CSPS", "CSPD".
OPENING, STEP, DRIVER = 0x43535030, 0x43535053, 0x43535044
CONNECT_SECONDS = 10
_OPTIONS: dict[str, str | int] = {
    "application_name": "cspnas",
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_HUNG = sa.text(
    "SELECT set_config('idle_in_transaction_session_timeout', :limit, false), "
    "set_config('idle_session_timeout', :limit, false)"
)
_HOLD = sa.text("SELECT pg_try_advisory_lock(:kind, :key)")
_WAIT = sa.text("SELECT pg_advisory_lock(:kind, :key)")
_GIVE = sa.text(
    "SELECT pg_advisory_unlock(:kind, :key), set_config('idle_in_transaction_session_timeout', '0', false), "
    "set_config('idle_session_timeout', '0', false)"
)
_HELD = sa.text(
    "SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = :kind "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
# The server's clock, in seconds.
CLOCK = sa.literal_column("extract(epoch FROM clock_timestamp())", sa.Float)
SERVER_STARTED = sa.literal_column("extract(epoch FROM pg_postmaster_start_time())", sa.Float)


class EngineOptions(TypedDict, total=False):
    """Of SQLAlchemy's `create_engine`."""

    connect_args: dict[str, str | int]
    pool_pre_ping: bool
    poolclass: type[sa.Pool]
    creator: Callable[[], Any]
    json_serializer: Callable[[Any], str]


def connect_options(url: sa.URL) -> EngineOptions:
    """What every engine on a PostgreSQL URL needs; what the URL itself says comes first."""
    options = {name: value for name, value in _OPTIONS.items() if name not in url.query}
    return {"connect_args": options, "pool_pre_ping": True}


def new_engine(url: sa.URL, **options: Unpack[EngineOptions]) -> sa.Engine:
    """An engine. Raises InputError where psycopg is not installed."""
    try:
        return sa.create_engine(url, **options)
    except ModuleNotFoundError:
        raise InputError(
            "no psycopg in this environment",
            expected="the driver of PostgreSQL",
            hint=how_to_get("postgres"),
        ) from None


def only_read(connection: Any, record: Any) -> None:
    """Nothing is written, not even by mistake."""
    connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    connection.commit()


@contextmanager
def turn(connection: sa.Connection, kind: int, key: int, hung_seconds: float) -> Iterator[None]:
    """Have the lock (`kind`, `key`), waiting for it; it outlives the transactions on `connection`, but not its session.

    The server ends this session where it does nothing for `hung_seconds` meanwhile: a hung process keeps nobody waiting.
    """
    connection.execute(_HUNG, {"limit": str(max(1, round(1000 * hung_seconds)))})
    connection.execute(_WAIT, {"kind": kind, "key": key})
    connection.commit()
    try:
        yield
        connection.execute(_GIVE, {"kind": kind, "key": key})
        connection.commit()
    except BaseException:
        # The lock goes with the session.
        connection.invalidate()
        raise


def hold(connection: sa.Connection, kind: int, key: int) -> bool:
    """Have the lock (`kind`, `key`) for as long as this session lives; False while another session has it."""
    return bool(connection.execute(_HOLD, {"kind": kind, "key": key}).scalar())


def held(connection: sa.Connection, kind: int) -> set[int]:
    """The keys of all locks of a kind that some session has."""
    return set(connection.execute(_HELD, {"kind": kind}).scalars())
