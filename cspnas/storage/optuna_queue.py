"""Optuna's waiting trials: what `study.enqueue_trial` or `study.add_trial` puts into a study for whoever trains next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from optuna.distributions import json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import TrialState

from cspnas.storage.database import Database
from cspnas.storage.optuna_rows import ATTRIBUTES, PARAMS, STUDIES, TRIALS, insert
from cspnas.storage.trial_numbers import has_trials

_SYSTEM = models.TrialSystemAttributeModel.__table__
# The user attribute that says why a trial was not taken.
REFUSED = "refused"


class WaitingTrial(NamedTuple):
    """A trial that nobody trains yet, with the parameters that it is to have."""

    trial_id: int
    number: int
    params: Mapping[str, Any]


class OptunaQueue:
    """The waiting trials of the Optuna study `name`."""

    def __init__(self, database: Database, name: str) -> None:
        self._database, self._name = database, name

    def waiting(self) -> list[WaitingTrial]:
        """In the order of their numbers; none where Optuna's tables are not there."""
        if not has_trials(self._database):
            return []
        rows = self._database.rows(
            sa.select(TRIALS.c.trial_id, TRIALS.c.number)
            .join(STUDIES, STUDIES.c.study_id == TRIALS.c.study_id)
            .where(STUDIES.c.study_name == self._name, TRIALS.c.state == TrialState.WAITING)
            .order_by(TRIALS.c.number)
        )
        return [WaitingTrial(row["trial_id"], row["number"], self._readable(row["trial_id"])) for row in rows]

    def _readable(self, trial_id: int) -> Mapping[str, Any]:
        """Its parameters; none where somebody edited them to what Optuna does not write."""
        try:
            return self._params(trial_id)
        except (ValueError, KeyError, TypeError, IndexError):
            return {}

    def _params(self, trial_id: int) -> Mapping[str, Any]:
        """`enqueue_trial` keeps them as a system attribute, `add_trial` as parameters."""
        fixed = sa.select(_SYSTEM.c.value_json).where(_SYSTEM.c.trial_id == trial_id, _SYSTEM.c.key == "fixed_params")
        for row in self._database.rows(fixed):
            found = json.loads(row["value_json"])
            return found if isinstance(found, dict) else {}
        columns = (PARAMS.c.param_name, PARAMS.c.param_value, PARAMS.c.distribution_json)
        return {
            row["param_name"]: json_to_distribution(row["distribution_json"]).to_external_repr(row["param_value"])
            for row in self._database.rows(sa.select(*columns).where(PARAMS.c.trial_id == trial_id))
        }

    def take(self, trial: WaitingTrial, digest: str) -> bool:
        """It is the trial of a network from here on, with no training ended; False where somebody else took it."""
        began = {"state": TrialState.RUNNING, "datetime_start": _now()}
        return self._change(trial, began, {"digest": digest, "trainings": 0})

    def refuse(self, trial: WaitingTrial, reason: str) -> None:
        """It has failed, and says why."""
        self._change(trial, {"state": TrialState.FAIL, "datetime_complete": _now()}, {REFUSED: reason})

    def _change(self, trial: WaitingTrial, columns: Mapping[str, Any], attributes: Mapping[str, Any]) -> bool:
        """A retried trial has the attributes of the one that it repeats: they are not its own."""
        own = TRIALS.c.trial_id == trial.trial_id
        with self._database.writing() as connection:
            waiting = own & (TRIALS.c.state == TrialState.WAITING)
            if connection.execute(sa.update(TRIALS).where(waiting).values(**columns)).rowcount != 1:
                return False
            old = ATTRIBUTES.c.key.in_(("digest", "trainings", REFUSED))
            connection.execute(sa.delete(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == trial.trial_id, old))
            rows = [
                {"trial_id": trial.trial_id, "key": key, "value_json": json.dumps(value)}
                for key, value in attributes.items()
            ]
            insert(connection, ATTRIBUTES, rows)
        return True


def _now() -> datetime:
    """As Optuna's columns have it: naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)
