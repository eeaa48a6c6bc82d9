"""What a driver hands out: a training to do, or why there is none; and the suggestion that a training answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from cspnas.failures import AGAIN, MAX_ATTEMPTS, micro_batch
from cspnas.ledger import Network
from cspnas.recipe import training_seed
from cspnas.space import Genotype
from cspnas.study import Study

CONFIRM = "confirm"  # the source of what trains a known network with a new seed


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One proposal of the search, numbered through the study.

    `source`: a sampler's name, `baseline:plain`, `baseline:csp`, `uniform` or `confirm`. `state`: the sampler's own, as JSON.
    `asked`: this driver's sampler made it and waits to be told what became of it.
    """

    number: int
    source: str
    genotype: Genotype
    state: Mapping[str, Any] | None = None
    asked: bool = False

    def columns(self) -> dict[str, Any]:
        """What the study database keeps of it as columns."""
        return {"number": self.number, "source": self.source, "genotype": self.genotype}


@dataclass(slots=True)
class Work:
    """One training: `unit` is the JSON for a worker; the rest is the driver's own. `attempt` counts crashes of workers.

    `micro_batch`: a whole batch did not fit, so it is trained in parts of so many images, and alone on its device.
    `seconds`: how long it may take.
    """

    evaluation_id: int
    digest: str
    attempt: int
    unit: dict[str, Any]
    suggestion: Suggestion | None = None
    micro_batch: int | None = None
    seconds: float | None = None

    @property
    def try_number(self) -> tuple[int, int | None]:
        """What tells one try of this training from another."""
        return self.attempt, self.micro_batch

    def again(self, kind: str) -> Work | None:
        """The next try after a failure; None where this was the last one."""
        if kind in AGAIN and self.attempt < MAX_ATTEMPTS:
            return replace(self, attempt=self.attempt + 1)
        if kind == "out of memory" and self.micro_batch is None:
            return self.smaller(micro_batch(self.unit["recipe"]["batch_size"]))
        return None

    def smaller(self, images: int) -> Work:
        """The same training in micro-batches of so many images."""
        return replace(self, micro_batch=images, unit=self.unit | {"micro_batch": images})


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to start before a training in flight ends."""


@dataclass(frozen=True, slots=True)
class Done:
    """The search is over, and why."""

    reason: str


def evaluation_key(study: Study, recipe_digest: str, digest: str, repeat: int) -> dict[str, Any]:
    """What makes an evaluation the same one in any study: another result of this key is this result."""
    seed = training_seed(study.seed, digest, repeat)
    return {"digest": digest, "recipe_digest": recipe_digest, "seed": seed, "fidelity": study.recipe.epochs}


def unit_of(study: Study, network: Network, repeat: int) -> dict[str, Any]:
    """The JSON for a worker that trains `network` for the `repeat`-th time, counted from 0."""
    seed = training_seed(study.seed, network.digest, repeat)
    return {"architecture": network.document, "recipe": asdict(study.recipe), "seed": seed}


def ended(result: Mapping[str, Any], state: str) -> dict[str, Any]:
    """An evaluation's columns once its result is there; `state` where it is no failure."""
    failure = result.get("failure")
    return {
        "state": "failed" if failure else state,
        "accuracy": None if failure else float(result["accuracy"]),
        "result": dict(result),
        "failure_kind": failure["kind"] if failure else None,
        "finished": time.time(),
    }
