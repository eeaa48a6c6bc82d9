"""What makes a training the same one in any study, how it begins, and what a worker is told of it."""

from __future__ import annotations

import time
from dataclasses import asdict

from cspnas.objectives.objectives import measures
from cspnas.study.evaluation import BegunEvaluation, end_of
from cspnas.study.network_record import NetworkRecord
from cspnas.study.settings import Study
from cspnas.study.states import State
from cspnas.training.payload import EvaluationKey, ResultPayload, UnitOfWork
from cspnas.training.recipe import training_seed


def evaluation_key(study: Study, recipe_digest: str, digest: str, repeat: int) -> EvaluationKey:
    """What makes an evaluation the same one in any study: another result of this key is this result."""
    seed = training_seed(study.seed, digest, repeat)
    return {"digest": digest, "recipe_digest": recipe_digest, "seed": seed, "fidelity": study.recipe.epochs}


def begun_evaluation(key: EvaluationKey, repeat: int, driver_id: int, reused: ResultPayload | None) -> BegunEvaluation:
    """An evaluation as it begins now: in flight, or with the result that another study has."""
    end = None if reused is None else end_of(reused, State.REUSED)
    return BegunEvaluation(key, repeat, driver_id, time.time(), end)


def unit_of(study: Study, network: NetworkRecord, repeat: int) -> UnitOfWork:
    """The JSON for a worker that trains `network` for the `repeat`-th time, counted from 0."""
    seed = training_seed(study.seed, network.digest, repeat)
    recipe, measured = asdict(study.recipe), measures(study.objectives)
    return {"architecture": network.document, "recipe": recipe, "seed": seed, "measures": measured}
