"""Optuna's tables as a projection of ours, for optuna-dashboard and for anyone who reads Optuna.

One Optuna trial stands for one network: its values are the exact costs and the mean accuracy over seeds, so that Optuna's
best trials are our front. Trials are added whole (never RUNNING). When a network is confirmed with a new seed, its trial's
mean is rewritten: Optuna has no call for that, so its rows are updated here, and only here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from cspnas.database import Database
from cspnas.errors import StorageError
from cspnas.ledger import Ledger, Network
from cspnas.objectives import OBJECTIVES
from cspnas.space import Genotype, SearchSpace


class Projection:
    """The Optuna study of one of our studies, in the same database."""

    def __init__(self, database: Database, name: str, space: SearchSpace, ledger: Ledger) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._database, self._ledger, self._space = database, ledger, space
        self._objectives = ledger.reference.objectives
        storage = RDBStorage(database.url, engine_kwargs={"connect_args": _patience(database)})
        directions = [
            StudyDirection.MAXIMIZE if OBJECTIVES[o].maximise else StudyDirection.MINIMIZE for o in self._objectives
        ]
        self._study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
        if self._study.metric_names is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._study.set_metric_names(list(self._objectives))
        self._trials = {  # digest -> (trial id, trainings shown)
            trial.user_attrs["digest"]: (trial._trial_id, trial.user_attrs["trainings"])
            for trial in self._study.get_trials(deepcopy=False)
            if "digest" in trial.user_attrs
        }

    def update(self, genotypes: dict[str, Genotype], digests: Iterable[str] | None = None) -> None:
        """Bring the trials of `digests` (all networks where None) up to date; what is there already is left alone.

        Raises StorageError where Optuna's tables cannot be written; the next start adds what is missing.
        """
        try:
            self._update(genotypes, digests)
        except (optuna.exceptions.StorageInternalError, sa.exc.DatabaseError) as error:
            reason = " ".join(str(error.__cause__ or error).split())[:200]
            shown = self._database.shown_url
            raise StorageError(
                f"{shown}: Optuna's tables cannot be written ({reason}); type the command again"
            ) from None

    def _update(self, genotypes: dict[str, Genotype], digests: Iterable[str] | None) -> None:
        for digest in self._ledger.networks if digests is None else digests:
            network = self._ledger.networks[digest]
            ended = sum(row["state"] != "in_flight" for row in network.evaluations)
            known = self._trials.get(digest)
            if not ended or (known is not None and known[1] == ended):
                continue
            if known is None:
                self._add(network, genotypes.get(digest, {}), ended)
            else:
                self._rewrite(known[0], network, ended)

    def _values(self, network: Network) -> list[float]:
        return [float(v) for v in self._ledger.points([network])[0]]

    def _attributes(self, network: Network, ended: int) -> dict[str, Any]:
        failures = sorted({row["failure_kind"] for row in network.evaluations if row["failure_kind"]})
        outcome = network.evaluations[0]["state"]
        return {
            "digest": network.digest,
            "source": network.source,
            "outcome": outcome,
            "failures": failures,
            "trainings": ended,
            "accuracies": network.accuracies,
            "costs": network.costs,  # one attribute: Optuna writes each by several statements
        }

    def _add(self, network: Network, genotype: Genotype, ended: int) -> None:
        choices = {gene.name: gene.choices for gene in self._space.genes()}
        params = {k: v for k, v in genotype.items() if v in choices.get(k, ())}
        trained = bool(network.accuracies)
        self._study.add_trial(
            create_trial(
                state=TrialState.COMPLETE if trained else TrialState.FAIL,
                values=self._values(network) if trained else None,
                params=params,
                distributions={name: CategoricalDistribution(choices[name]) for name in params},
                user_attrs=self._attributes(network, ended),
            )
        )
        trial = self._study.get_trials(deepcopy=False)[-1]
        self._trials[network.digest] = (trial._trial_id, ended)

    def _rewrite(self, trial_id: int, network: Network, ended: int) -> None:
        with self._database.transaction() as connection:
            value, attribute = models.TrialValueModel, models.TrialUserAttributeModel
            if network.accuracies:
                for objective, number in enumerate(self._values(network)):
                    connection.execute(
                        sa.update(value)
                        .where(value.trial_id == trial_id, value.objective == objective)
                        .values(value=number)
                    )
            for key, content in self._attributes(network, ended).items():
                connection.execute(
                    sa.update(attribute)
                    .where(attribute.trial_id == trial_id, attribute.key == key)
                    .values(value_json=self._database.json(content))
                )
        self._trials[network.digest] = (trial_id, ended)


def _patience(database: Database) -> dict[str, Any]:
    return {"timeout": 30} if database.engine.dialect.name == "sqlite" else {}
