"""Trials that an earlier version made, brought to the form of this one: numbers as numbers, learning curves.

What is old is found by what it is, and changed in one transaction: however often it is cut short, the next start ends it.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, CategoricalDistribution, distribution_to_json, json_to_distribution
from optuna.trial import TrialState

from cspnas.storage.database import Database
from cspnas.storage.engine import undamaged
from cspnas.storage.learning_curves import learning_curves
from cspnas.storage.optuna_rows import INTERMEDIATE, PARAMS, TRIALS, insert, intermediate_rows
from cspnas.storage.transactions import Row


def bring_up_to_date(
    database: Database,
    study_id: int,
    optuna_study_id: int,
    distributions: Mapping[str, BaseDistribution],
    trial_ids: Mapping[str, int],
) -> None:
    """Change what is old among the trials of Optuna's study `optuna_study_id`; `trial_ids` has them by digest.

    Raises StorageError where a trial's parameter is none of its choices.
    """
    with undamaged(database.shown_url):
        params = _numeric_params(database, optuna_study_id, distributions)
    curves = _missing_curves(database, study_id, optuna_study_id, trial_ids)
    if not (params or curves):
        return
    with database.writing() as connection:
        if params:
            statement = sa.update(PARAMS).where(PARAMS.c.param_id == sa.bindparam("id"))
            connection.execute(
                statement.values(param_value=sa.bindparam("value"), distribution_json=sa.bindparam("distribution")),
                params,
            )
        insert(connection, INTERMEDIATE, curves)


def _numeric_params(
    database: Database, optuna_study_id: int, distributions: Mapping[str, BaseDistribution]
) -> list[Row]:
    """Parameters that are numbers and stand there as categories: Optuna takes those of two kinds for no parameter at all."""
    texts = {
        name: distribution_to_json(distribution)
        for name, distribution in distributions.items()
        if not isinstance(distribution, CategoricalDistribution)
    }
    columns = (PARAMS.c.param_id, PARAMS.c.param_name, PARAMS.c.param_value, PARAMS.c.distribution_json)
    rows = database.rows(
        sa.select(*columns)
        .join(TRIALS, TRIALS.c.trial_id == PARAMS.c.trial_id)
        .where(TRIALS.c.study_id == optuna_study_id, PARAMS.c.param_name.in_(texts))
        .where(PARAMS.c.distribution_json.like("%CategoricalDistribution%"))
    )
    choices = {text: json_to_distribution(text) for text in {row["distribution_json"] for row in rows}}
    return [
        {
            "id": row["param_id"],
            "value": float(choices[row["distribution_json"]].to_external_repr(row["param_value"])),
            "distribution": texts[row["param_name"]],
        }
        for row in rows
    ]


def _missing_curves(database: Database, study_id: int, optuna_study_id: int, trial_ids: Mapping[str, int]) -> list[Row]:
    """Rows for the trials that have no intermediate value, as far as their trainings have a curve."""
    none = ~sa.exists().where(INTERMEDIATE.c.trial_id == TRIALS.c.trial_id)
    complete = (TRIALS.c.study_id == optuna_study_id) & (TRIALS.c.state == TrialState.COMPLETE)
    without = {row["trial_id"] for row in database.rows(sa.select(TRIALS.c.trial_id).where(complete, none))}
    lacking = {digest: trial_id for digest, trial_id in trial_ids.items() if trial_id in without}
    curves = learning_curves(database, study_id, list(lacking)) if lacking else {}
    found = [(lacking[digest], curve) for digest, curve in curves.items() if digest in lacking]
    return [row for trial_id, curve in found for row in intermediate_rows(trial_id, curve)]
