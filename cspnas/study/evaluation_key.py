"""What makes a training the same one in any study, what a worker is told of it, and what is recorded of its end."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from cspnas.objectives.objectives import measures
from cspnas.study.network_record import NetworkRecord
from cspnas.study.settings import Study
from cspnas.study.states import State
from cspnas.training.payload import EvaluationKey, ResultPayload, UnitOfWork
from cspnas.training.recipe import training_seed


def evaluation_key(study: Study, recipe_digest: str, digest: str, repeat: int) -> EvaluationKey:
    """What makes an evaluation the same one in any study: another result of this key is this result."""
    seed = training_seed(study.seed, digest, repeat)
    return {"digest": digest, "recipe_digest": recipe_digest, "seed": seed, "fidelity": study.recipe.epochs}


def begun_row(
    key: EvaluationKey, study_id: int, repeat: int, driver_id: int, reused: ResultPayload | None
) -> dict[str, Any]:
    """An evaluation's columns as it begins: in flight, or with the result that another study has."""
    row = {**key, "study_id": study_id, "repeat": repeat, "attempt": 1, "driver_id": driver_id}
    row |= {"started": time.time(), "state": State.IN_FLIGHT, "accuracy": None, "failure_kind": None}
    return row if reused is None else row | final_columns(reused, State.REUSED)


def unit_of(study: Study, network: NetworkRecord, repeat: int) -> UnitOfWork:
    """The JSON for a worker that trains `network` for the `repeat`-th time, counted from 0."""
    seed = training_seed(study.seed, network.digest, repeat)
    recipe, measured = asdict(study.recipe), measures(study.objectives)
    return {"architecture": network.document, "recipe": recipe, "seed": seed, "measures": measured}


def final_columns(result: ResultPayload, state: State) -> dict[str, Any]:
    """An evaluation's columns once its result is there; `state` where it is no failure."""
    failure = result.get("failure")
    return {
        "state": State.FAILED if failure else state,
        "accuracy": None if failure else float(result["accuracy"] or 0.0),
        "result": dict(result),
        "failure_kind": failure["kind"] if failure else None,
        "finished": time.time(),
    }
