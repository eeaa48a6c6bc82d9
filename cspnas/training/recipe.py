"""How a network is trained, as data; no torch here, so that a study can be described without it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

from annotated_types import Interval

from cspnas.io.bounds import Positive, Share

# Raised by hand whenever training.py changes what a recipe and a seed give: results of another version are not reused.
TRAINING_VERSION = 2

# (input shape, classes) of the data sets known by name; a folder of images has to be opened to know.
DATASET_FORMS = MappingProxyType(
    {
        "fashion-mnist-mini": ((1, 28, 28), 10),
        "fashion-mnist": ((1, 28, 28), 10),
        "cifar10": ((3, 32, 32), 10),
        "cifar100": ((3, 32, 32), 100),
    }
)
_DATASETS = f"{', '.join(DATASET_FORMS)} or folder:PATH"


@dataclass(frozen=True, slots=True)
class Recipe:
    """SGD with Nesterov momentum .9; the learning rate rises linearly to `learning_rate` over the first fifth of all
    steps and falls linearly to zero. `shift` is the greatest random translation in pixels.
    """

    dataset: Annotated[str, _DATASETS] = "fashion-mnist-mini"
    epochs: Annotated[int, Interval(ge=1, le=10000), "passes over the training images"] = 4
    batch_size: Annotated[int, Interval(ge=2, le=65536), "images a step"] = 64
    learning_rate: Annotated[Positive, "peak; linear warm-up, then linear to zero"] = 0.15
    weight_decay: Annotated[Share, "L2 penalty on the weights"] = 5e-4
    label_smoothing: Annotated[Share, "share of the target spread over all classes"] = 0.0
    flip: Annotated[bool, "mirror half of the images"] = True
    shift: Annotated[int, Interval(ge=0, le=64), "greatest random translation, pixels"] = 0
    precision: Annotated[
        str, Literal["auto", "float32", "bfloat16"], "of the arithmetic in training; auto measures which is faster"
    ] = "auto"


def recipe_digest(recipe: dict[str, Any] | Recipe, data_checksum: str) -> str:
    """sha256 of all that decides a training beside network and seed: recipe, data with its split, training code."""
    document = asdict(recipe) if isinstance(recipe, Recipe) else dict(recipe)
    document |= {"data_checksum": data_checksum, "training_version": TRAINING_VERSION}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def training_seed(study_seed: int, digest: str, repeat: int) -> int:
    """The seed of a network's `repeat`-th training: the same whatever the order or the number of workers."""
    text = f"{study_seed}:{digest}:{repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
