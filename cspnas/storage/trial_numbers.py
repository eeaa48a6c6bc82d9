"""The one number of a network: that of its trial in Optuna's tables, which optuna-dashboard shows. Read without Optuna."""

from __future__ import annotations

import json
from collections.abc import Iterable

import sqlalchemy as sa

from cspnas.storage.transactions import Row, Transactions

_STUDIES = sa.table("studies", sa.column("study_id"), sa.column("study_name"))
_TRIALS = sa.table("trials", sa.column("trial_id"), sa.column("study_id"), sa.column("number"))
_ATTRIBUTES = sa.table("trial_user_attributes", sa.column("trial_id"), sa.column("key"), sa.column("value_json"))


def trial_numbers(database: Transactions, study_name: str) -> dict[str, int]:
    """Digest to trial number, of the networks that Optuna's tables have; empty where there are no such tables yet."""
    if not has_trials(database):
        return {}
    return numbers_of(database.rows(number_rows(study_name)))


def has_trials(database: Transactions) -> bool:
    """Whether Optuna's tables are there."""
    with database.transaction() as connection:
        names = sa.inspect(connection).get_table_names()
    return {table.name for table in (_STUDIES, _TRIALS, _ATTRIBUTES)} <= set(names)


def number_rows(study_name: str) -> sa.Select[tuple[int, str]]:
    """The query for `numbers_of`. Of two trials with one digest, which only other programs make, the older one counts."""
    together = _STUDIES.join(_TRIALS, _TRIALS.c.study_id == _STUDIES.c.study_id).join(
        _ATTRIBUTES, _ATTRIBUTES.c.trial_id == _TRIALS.c.trial_id
    )
    return (
        sa.select(_TRIALS.c.number, _ATTRIBUTES.c.value_json)
        .select_from(together)
        .where(_STUDIES.c.study_name == study_name, _ATTRIBUTES.c.key == "digest")
        .order_by(_TRIALS.c.number.desc())
    )


def numbers_of(rows: Iterable[Row]) -> dict[str, int]:
    """Digest to trial number."""
    return {str(json.loads(row["value_json"])): int(row["number"]) for row in rows}
