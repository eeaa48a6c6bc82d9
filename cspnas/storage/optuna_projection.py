"""Optuna's tables as a projection of ours, for optuna-dashboard and for anyone who reads Optuna.

One Optuna trial stands for one network: its values are the exact costs and the mean accuracy over seeds, so that Optuna's
best trials are our front; its intermediate values are the learning curve. Trials are added whole; only those that a user put
into Optuna's queue are RUNNING first (`optuna_queue.py`). When a network is confirmed with a new seed, its trial's means are
rewritten: Optuna has no call for that, so its rows are updated here, and only here. A trial's number is the one number that
people know a network by.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from math import inf
from typing import Any, NamedTuple

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from cspnas.errors import FailureKind, StorageError
from cspnas.io.failpoints import hit
from cspnas.io.standard_streams import tell
from cspnas.objectives.objectives import objective_of
from cspnas.space.search_space import SearchSpace
from cspnas.storage.database import Database
from cspnas.storage.earlier_trials import bring_up_to_date
from cspnas.storage.learning_curves import Curves, learning_curves
from cspnas.storage.optuna_rows import (
    ATTRIBUTES,
    DIRECTIONS,
    INTERMEDIATE,
    PARAMS,
    STUDIES,
    TRIALS,
    VALUES,
    add_trials,
    attribute_rows,
    distribution_of,
    insert,
    intermediate_rows,
    numbers_by_id,
    param_rows,
    trial_columns,
    value_rows,
)
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults

# What reading rows raises that other programs wrote.
UNUSABLE = (LookupError, TypeError, ValueError, AttributeError)
# Less the study's id: a turn of its own, so that suggestions need not wait for it.
STEP_ON_OPTUNA = -1


class Shown(NamedTuple):
    """A network's trial, and how many trainings it shows."""

    trial_id: int
    trainings: int


class Projection:
    """The Optuna study of one of our studies, in the same database; `results.trials` has the numbers from here on.

    `numbers`: digest to the number that a network's trial is to have (a copy's trials have those of the original).
    """

    def __init__(
        self,
        database: Database,
        name: str,
        space: SearchSpace,
        results: StudyResults,
        numbers: Mapping[str, int] | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._database, self._results, self._space = database, results, space
        self._objectives, self._numbers = results.reference.objectives, numbers or {}
        self._distributions = {gene.name: distribution_of(gene) for gene in space.genes()}
        self._name = name
        with self._one_line():
            self._open()
            ids = {digest: shown.trial_id for digest, shown in self._trials.items()}
            with self._turn():
                bring_up_to_date(database, results.study_id, self._optuna_id, self._distributions, ids)

    def _open(self) -> None:
        self._trials: dict[str, Shown] = {}
        self._optuna_id = self._opened(self._name)
        self._read()

    def _opened(self, name: str) -> int:
        """The id of Optuna's study, made where it is missing. One of other directions is another program's: it is renamed."""
        # Optuna makes its tables, too.
        with self._database.opening() if self._database.shared else nullcontext():
            storage = RDBStorage(self._database.dialect_url, engine_kwargs={**self._database.engine_options()})
            try:
                return self._checked(storage, name)
            finally:
                storage.remove_session()
                storage.engine.dispose()

    def _checked(self, storage: RDBStorage, name: str) -> int:
        directions = self._directions
        if name in optuna.get_all_study_names(storage):
            found = optuna.load_study(study_name=name, storage=storage)
            if found.directions != directions:
                self._set_aside(int(found._study_id), f"{name} (not cspnas {found._study_id})")
        study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
        if study.metric_names is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(list(self._objectives))
        return int(study._study_id)

    @property
    def _directions(self) -> list[StudyDirection]:
        maximised = [objective_of(name).maximise for name in self._objectives]
        return [StudyDirection.MAXIMIZE if each else StudyDirection.MINIMIZE for each in maximised]

    def _set_aside(self, optuna_id: int, name: str) -> None:
        """Give a study that another program made under our name another one: nothing of it is lost."""
        tell(f"note: {self._database.shown_url}: Optuna's study {self._name!r} was not this one's; it is {name!r} now")
        with self._database.transaction() as connection:
            connection.execute(sa.update(STUDIES).where(STUDIES.c.study_id == optuna_id).values(study_name=name))

    def _turn(self) -> AbstractContextManager[bool]:
        return self._database.step(STEP_ON_OPTUNA - self._results.study_id)

    def _read(self, only: sa.ColumnElement[bool] | None = None) -> None:
        """Take note of all trials or of some; by one query, for `get_trials` reads every row there is. Of two trials with
        one digest, which only other programs make, the older one counts.
        """
        digest, trainings = ATTRIBUTES.alias(), ATTRIBUTES.alias()
        together = TRIALS.join(digest, TRIALS.c.trial_id == digest.c.trial_id).join(
            trainings, TRIALS.c.trial_id == trainings.c.trial_id
        )
        texts = (digest.c.value_json.label("digest"), trainings.c.value_json.label("trainings"))
        rows = self._database.rows(
            sa.select(TRIALS.c.trial_id, TRIALS.c.number, *texts)
            .select_from(together)
            .where(TRIALS.c.study_id == self._optuna_id)
            .where(digest.c.key == "digest", trainings.c.key == "trainings")
            .where(sa.true() if only is None else only)
            .order_by(TRIALS.c.number.desc())
        )
        for row in rows:
            digest_text = json.loads(row["digest"])
            self._trials[digest_text] = Shown(row["trial_id"], json.loads(row["trainings"]))
            self._results.trials[digest_text] = row["number"]

    def update(self) -> None:
        """Bring the trials of all networks with new results up to date; what is there already is left alone.

        Raises StorageError where Optuna's tables cannot be written; the next start adds what is missing.
        """
        hit("projection.before")
        with self._one_line():
            self._update()
        hit("projection.after")

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except (*UNUSABLE, optuna.exceptions.StorageInternalError, sa.exc.DatabaseError) as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            shown = self._database.shown_url
            raise StorageError(
                f"{shown}: Optuna's tables cannot be written ({reason}); type the command again"
            ) from None

    def _update(self) -> None:
        if self._results.changed:
            self._follow_study()
            changed = list(dict.fromkeys(self._results.changed))
            with self._turn():
                self._read(self._news(changed))
                self._write(changed)
        self._results.changed = []

    def _follow_study(self) -> None:
        """Make the trials anew, with their numbers, where somebody deleted, renamed or replaced Optuna's study meanwhile."""
        if not self._is_ours():
            self._numbers = dict(self._results.trials)
            self._open()
            ended = [network.digest for network in self._results.networks.values() if _ended(network)]
            self._results.changed = [*ended, *self._results.changed]

    def _is_ours(self) -> bool:
        """Whether Optuna's study of our id is the one that was made; SQLite gives the id of a deleted one again."""
        last = max((shown.trial_id for shown in self._trials.values()), default=None)
        owner = sa.select(TRIALS.c.study_id).where(TRIALS.c.trial_id == last).scalar_subquery()
        found = self._database.rows(
            sa.select(STUDIES.c.study_name, DIRECTIONS.c.direction, owner.label("owner"))
            .join(DIRECTIONS, DIRECTIONS.c.study_id == STUDIES.c.study_id)
            .where(STUDIES.c.study_id == self._optuna_id)
            .order_by(DIRECTIONS.c.objective)
        )
        owned = None if last is None else self._optuna_id
        return [tuple(row.values()) for row in found] == [(self._name, each, owned) for each in self._directions]

    def _news(self, changed: list[str]) -> sa.ColumnElement[bool]:
        """Trials that other drivers may have made or rewritten since, by their ids: these grow, and have an index. Those
        of the queue are RUNNING.
        """
        newest = max((shown.trial_id for shown in self._trials.values()), default=-1)
        known = [self._trials[digest].trial_id for digest in changed if digest in self._trials]
        by_id = sa.or_(TRIALS.c.trial_id > newest, TRIALS.c.trial_id.in_(known))
        return sa.or_(by_id, TRIALS.c.state == TrialState.RUNNING)

    def _write(self, changed: list[str]) -> None:
        ended = {digest: _ended(self._results.networks[digest]) for digest in changed}
        new = [digest for digest in changed if digest not in self._trials]
        more = [d for d in changed if d in self._trials and self._trials[d].trainings < ended[d]]
        if not (new or more):
            return
        curves = learning_curves(self._database, self._results.study_id, [*new, *more])
        trials = {
            digest: self._trial(self._results.networks[digest], ended[digest], curves) for digest in (*new, *more)
        }
        for digest in more:
            self._rewrite(digest, trials[digest])
        if new:
            self._add({digest: trials[digest] for digest in sorted(new, key=self._order)})

    def _order(self, digest: str) -> tuple[float, float, int]:
        """By the number it is to have, then as results came: a study that is projected anew has its numbers again."""
        evaluations = self._results.networks[digest].evaluations
        first = min((one.finished or 0.0, one.id) for one in evaluations if not one.under_way)
        return (self._numbers.get(digest, inf), *first)

    def _trial(self, network: NetworkRecord, ended: int, curves: Curves) -> FrozenTrial:
        genotype = self._results.genotypes.get(network.digest, {})
        choices = {gene.name: gene.choices for gene in self._space.genes()}
        params = {k: v for k, v in genotype.items() if v in choices.get(k, ())}
        trained = bool(network.accuracies)
        trial = create_trial(
            state=TrialState.COMPLETE if trained else TrialState.FAIL,
            values=[float(v) for v in self._results.points([network])[0]] if trained else None,
            params=params,
            distributions={name: self._distributions[name] for name in params},
            user_attrs=_attributes(network, ended),
            intermediate_values=curves.get(network.digest, {}),
        )
        trial.number = self._numbers.get(network.digest, -1)
        # a confirmation long after it would stretch the trial
        first = network.evaluations[0]
        trial.datetime_start = datetime.fromtimestamp(first.started)
        trial.datetime_complete = datetime.fromtimestamp(first.finished or first.started)
        return trial

    def _add(self, trials: Mapping[str, FrozenTrial]) -> None:
        """Trials by digest, in the order of their numbers."""
        with self._database.writing() as connection:
            identifiers = add_trials(connection, self._optuna_id, trials.values())
            numbers = numbers_by_id(connection, identifiers)
        for identifier, (digest, trial) in zip(identifiers, trials.items(), strict=True):
            self._trials[digest] = Shown(identifier, trial.user_attrs["trainings"])
            self._results.trials[digest] = numbers[identifier]

    def _rewrite(self, digest: str, trial: FrozenTrial) -> None:
        """All of a trial that is there; what others attached to it stays."""
        trial_id = self._trials[digest].trial_id
        with self._database.writing() as connection:
            connection.execute(sa.update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(trial_columns(trial)))
            for table in (VALUES, PARAMS, INTERMEDIATE):
                connection.execute(sa.delete(table).where(table.c.trial_id == trial_id))
            ours = ATTRIBUTES.c.key.in_(trial.user_attrs)
            connection.execute(sa.delete(ATTRIBUTES).where(ATTRIBUTES.c.trial_id == trial_id, ours))
            insert(connection, VALUES, value_rows(trial_id, trial))
            insert(connection, PARAMS, param_rows(trial_id, trial))
            insert(connection, INTERMEDIATE, intermediate_rows(trial_id, trial.intermediate_values))
            insert(connection, ATTRIBUTES, attribute_rows(trial_id, trial))
        self._trials[digest] = Shown(trial_id, trial.user_attrs["trainings"])


def _ended(network: NetworkRecord) -> int:
    """Trainings that a trial shows. What failed of bad data is trained when they are mended, and shown as it ended then."""
    return sum(not one.under_way and one.failure_kind != FailureKind.BAD_DATA for one in network.evaluations)


def _attributes(network: NetworkRecord, ended: int) -> dict[str, Any]:
    """What a trial says beside its values: one attribute each, so that a dashboard can sort and plot by it."""
    failures = sorted({one.failure_kind for one in network.evaluations if one.failure_kind})
    return {
        "digest": network.digest,
        "source": network.source,
        "outcome": network.evaluations[0].state,
        "failures": failures,
        "trainings": ended,
        "accuracies": network.accuracies,
        **network.costs,
    }
