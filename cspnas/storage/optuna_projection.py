"""Optuna's tables as a projection of ours, for optuna-dashboard and for anyone who reads Optuna.

One Optuna trial stands for one network: its values are the exact costs and the mean accuracy over seeds, so that Optuna's
best trials are our front. Trials are added whole (never RUNNING). When a network is confirmed with a new seed, its trial's
mean is rewritten: Optuna has no call for that, so its rows are updated here, and only here.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from cspnas.errors import StorageError
from cspnas.io.failpoints import reach
from cspnas.objectives.objectives import OBJECTIVES
from cspnas.space.search_space import SearchSpace
from cspnas.storage.database import Database
from cspnas.storage.transactions import Row
from cspnas.study.failures import BAD_DATA
from cspnas.study.results import Ledger, Network

STUDIES, TRIALS, VALUES, PARAMS, ATTRIBUTES = (
    model.__table__
    for model in (
        models.StudyModel,
        models.TrialModel,
        models.TrialValueModel,
        models.TrialParamModel,
        models.TrialUserAttributeModel,
    )
)

STEP_ON_OPTUNA = -1  # less the study's id: a turn of its own, so that suggestions need not wait for it


class Projection:
    """The Optuna study of one of our studies, in the same database."""

    def __init__(self, database: Database, name: str, space: SearchSpace, ledger: Ledger) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._database, self._ledger, self._space = database, ledger, space
        self._objectives = ledger.reference.objectives
        with self._one_line():
            self._study = self._opened(name)
            self._trials = self._shown()

    def _opened(self, name: str) -> optuna.Study:
        """Optuna's study, made where it is missing. Raises StorageError for one of other directions."""
        directions = [
            StudyDirection.MAXIMIZE if OBJECTIVES[o].maximise else StudyDirection.MINIMIZE for o in self._objectives
        ]
        with self._database.opening() if self._database.shared else nullcontext():  # Optuna makes its tables, too
            storage = RDBStorage(self._database.dialect_url, engine_kwargs=self._database.engine_options())
            study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
        if study.directions != directions:
            raise StorageError(
                f"{self._database.shown_url}: Optuna's study {name!r} is not this one's (it has "
                f"{len(study.directions)} objectives, or other directions); give it another name, or choose another --study"
            )
        if study.metric_names is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(list(self._objectives))
        return study

    def _shown(self, only: sa.ColumnElement[bool] | None = None) -> dict[str, tuple[int, int]]:
        """Digest to (trial id, trainings that the trial shows), of all trials or of some; by one query, for `get_trials`
        reads every row there is.
        """
        digest, trainings = ATTRIBUTES.alias(), ATTRIBUTES.alias()
        rows = self._database.rows(
            sa.select(digest.c.trial_id, digest.c.value_json.label("digest"), trainings.c.value_json.label("trainings"))
            .join(TRIALS, TRIALS.c.trial_id == digest.c.trial_id)
            .join(trainings, trainings.c.trial_id == digest.c.trial_id)
            .where(TRIALS.c.study_id == self._study._study_id)
            .where(digest.c.key == "digest", trainings.c.key == "trainings")
            .where(sa.true() if only is None else only)
        )
        return {json.loads(row["digest"]): (row["trial_id"], json.loads(row["trainings"])) for row in rows}

    def update(self) -> None:
        """Bring the trials of all networks with new results up to date; what is there already is left alone.

        Raises StorageError where Optuna's tables cannot be written; the next start adds what is missing.
        """
        reach("projection.before")
        with self._one_line():
            self._update()
        reach("projection.after")

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except (optuna.exceptions.StorageInternalError, sa.exc.DatabaseError) as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            shown = self._database.shown_url
            raise StorageError(
                f"{shown}: Optuna's tables cannot be written ({reason}); type the command again"
            ) from None

    def _update(self) -> None:
        changed = list(dict.fromkeys(self._ledger.changed))
        if changed:
            with self._database.step(STEP_ON_OPTUNA - self._ledger.study_id) as shared:
                if shared:  # other drivers project as well
                    self._trials |= self._shown(self._news(changed))
                self._write(changed)
        self._ledger.changed = []

    def _news(self, changed: list[str]) -> sa.ColumnElement[bool]:
        """Trials that others may have made or rewritten since, by their ids: these grow, and have an index."""
        newest = max((trial_id for trial_id, _ in self._trials.values()), default=-1)
        known = [self._trials[digest][0] for digest in changed if digest in self._trials]
        return sa.or_(TRIALS.c.trial_id > newest, TRIALS.c.trial_id.in_(known))

    def _write(self, changed: list[str]) -> None:
        new: list[tuple[Network, int]] = []
        for digest in changed:
            network = self._ledger.networks[digest]
            # What failed of bad data is trained when they are mended, and is then shown as it ended.
            ended = sum(row["state"] != "in_flight" and row["failure_kind"] != BAD_DATA for row in network.evaluations)
            known = self._trials.get(digest)
            if known is None:
                new.append((network, ended))
            elif known[1] < ended:
                self._rewrite(known[0], network, ended)
        if new:
            self._add(new)

    def _trial(self, network: Network, ended: int) -> FrozenTrial:
        genotype = self._ledger.genotypes.get(network.digest, {})
        choices = {gene.name: gene.choices for gene in self._space.genes()}
        params = {k: v for k, v in genotype.items() if v in choices.get(k, ())}
        trained = bool(network.accuracies)
        trial = create_trial(
            state=TrialState.COMPLETE if trained else TrialState.FAIL,
            values=[float(v) for v in self._ledger.points([network])[0]] if trained else None,
            params=params,
            distributions={name: CategoricalDistribution(choices[name]) for name in params},
            user_attrs=_attributes(network, ended),
        )
        first = network.evaluations[0]  # a confirmation long after it would stretch the trial
        trial.datetime_start = datetime.fromtimestamp(first["started"])
        trial.datetime_complete = datetime.fromtimestamp(first["finished"])
        return trial

    def _add(self, new: list[tuple[Network, int]]) -> None:
        trials = [self._trial(network, ended) for network, ended in new]
        with self._database.transaction() as connection:
            identifiers = add_trials(connection, self._study._study_id, trials)
        for identifier, (network, ended) in zip(identifiers, new, strict=True):
            self._trials[network.digest] = (identifier, ended)

    def _rewrite(self, trial_id: int, network: Network, ended: int) -> None:
        """Values and attributes of a trial that is there; what others attached to it stays."""
        trial = self._trial(network, ended)
        with self._database.transaction() as connection:
            connection.execute(sa.update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(state=trial.state))
            connection.execute(sa.delete(VALUES).where(VALUES.c.trial_id == trial_id))
            ours = ATTRIBUTES.c.key.in_(trial.user_attrs)
            connection.execute(sa.delete(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == trial_id, ours))
            _insert(connection, VALUES, _value_rows(trial_id, trial))
            _insert(connection, ATTRIBUTES, _attribute_rows(trial_id, trial))
        self._trials[network.digest] = (trial_id, ended)


def _attributes(network: Network, ended: int) -> dict[str, Any]:
    """What a trial says beside its values: one attribute each, so that a dashboard can sort and plot by it."""
    failures = sorted({row["failure_kind"] for row in network.evaluations if row["failure_kind"]})
    return {
        "digest": network.digest,
        "source": network.source,
        "outcome": network.evaluations[0]["state"],
        "failures": failures,
        "trainings": ended,
        "accuracies": network.accuracies,
        **network.costs,
    }


# Optuna's rows -----------------------------------------------------------------------------------------------------


def add_trials(connection: sa.Connection, study_id: int, trials: Iterable[FrozenTrial]) -> list[int]:
    """Insert finished trials whole, in the caller's transaction; the rows are those of `study.add_trial`. Their ids.

    Optuna's own way is several ORM queries for every parameter and attribute: 50 times the time.
    """
    # As Optuna does: the study's row is the lock that gives numbers out (SQLite locks the file anyway).
    connection.execute(sa.select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id).with_for_update())
    identifiers = []
    values: list[Row] = []
    params: list[Row] = []
    attributes: list[Row] = []
    for trial in trials:
        trial_id = _insert_trial(connection, study_id, trial)
        values += _value_rows(trial_id, trial)
        params += _param_rows(trial_id, trial)
        attributes += _attribute_rows(trial_id, trial)
        identifiers.append(trial_id)
    for table, rows in ((VALUES, values), (PARAMS, params), (ATTRIBUTES, attributes)):
        _insert(connection, table, rows)
    return identifiers


def _insert_trial(connection: sa.Connection, study_id: int, trial: FrozenTrial) -> int:
    last = sa.select(sa.func.max(TRIALS.c.number)).where(TRIALS.c.study_id == study_id).scalar_subquery()
    row = {
        "number": sa.func.coalesce(last + 1, 0),
        "study_id": study_id,
        "state": trial.state,
        "datetime_start": _utc(trial.datetime_start),
        "datetime_complete": _utc(trial.datetime_complete),
    }
    key = connection.execute(sa.insert(TRIALS).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _value_rows(trial_id: int, trial: FrozenTrial) -> list[Row]:
    stored = map(models.TrialValueModel.value_to_stored_repr, trial.values or ())
    return [
        {"trial_id": trial_id, "objective": objective, "value": value, "value_type": kind}
        for objective, (value, kind) in enumerate(stored)
    ]


def _param_rows(trial_id: int, trial: FrozenTrial) -> list[Row]:
    return [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": trial.distributions[name].to_internal_repr(value),
            "distribution_json": distribution_to_json(trial.distributions[name]),
        }
        for name, value in trial.params.items()
    ]


def _attribute_rows(trial_id: int, trial: FrozenTrial) -> list[Row]:
    return [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)} for key, value in trial.user_attrs.items()
    ]


def _insert(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _utc(moment: datetime | None) -> datetime | None:
    """Optuna's columns hold naive UTC, its trials naive local time."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None)
