"""What makes a training the same one in any study, what a worker is told of it, and what is recorded of its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cspnas.objectives.objectives import measures
from cspnas.study.results import NetworkRecord
from cspnas.study.settings import Study
from cspnas.study.states import State
from cspnas.training.recipe import training_seed


def evaluation_key(study: Study, recipe_digest: str, digest: str, repeat: int) -> dict[str, Any]:
    """What makes an evaluation the same one in any study: another result of this key is this result."""
    seed = training_seed(study.seed, digest, repeat)
    return {"digest": digest, "recipe_digest": recipe_digest, "seed": seed, "fidelity": study.recipe.epochs}


def unit_of(study: Study, network: NetworkRecord, repeat: int) -> dict[str, Any]:
    """The JSON for a worker that trains `network` for the `repeat`-th time, counted from 0."""
    seed = training_seed(study.seed, network.digest, repeat)
    unit = {"architecture": network.document, "recipe": asdict(study.recipe), "seed": seed}
    return unit | {"measures": measures(study.objectives)}


def final_columns(result: Mapping[str, Any], state: State) -> dict[str, Any]:
    """An evaluation's columns once its result is there; `state` where it is no failure."""
    failure = result.get("failure")
    return {
        "state": State.FAILED if failure else state,
        "accuracy": None if failure else float(result["accuracy"]),
        "result": dict(result),
        "failure_kind": failure["kind"] if failure else None,
        "finished": time.time(),
    }
