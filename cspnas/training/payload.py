"""What a worker is told and what it answers, as JSON; no torch here, so that a runner can speak of it without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict


class UnitOfWork(TypedDict):
    """One training: plain data, and in `measures` names of MODULE:FUNCTION. `micro_batch`: images at once, where a batch did
    not fit; `checkpoint`: the path of one, which stays there; `data_checksum`: of the study's data.
    """

    architecture: Mapping[str, Any]
    recipe: Mapping[str, Any]
    seed: int
    measures: NotRequired[dict[str, str]]
    micro_batch: NotRequired[int | None]
    checkpoint: NotRequired[str]
    data_checksum: NotRequired[str | None]


class Failure(TypedDict):
    """Why a training gave no result, what its worker printed last, and whether it is not trained again."""

    kind: str
    message: str
    log: NotRequired[str]
    quarantined: NotRequired[str]


class ResultPayload(TypedDict, total=False):
    """How a training ended; what else was measured stands there by its name. `curve`: loss, accuracy and seconds of each
    epoch; `correct`: packed bits, one a validation image; `seconds` of it all; `node` of a cluster.
    """

    accuracy: float | None
    curve: Sequence[Mapping[str, float | None]]
    correct: str
    failure: Failure | None
    seconds: float
    micro_batch: int | None
    device: str
    node: str
    versions: dict[str, str]


class WorkerMessage(TypedDict, total=False):
    """A local worker's, with one of these: the pid that begins a training, an epoch's accuracy, the end."""

    began: int
    epoch: float
    result: ResultPayload


class EvaluationKey(TypedDict):
    """What makes a training the same one in any study; `fidelity` in epochs."""

    digest: str
    recipe_digest: str
    seed: int
    fidelity: int
