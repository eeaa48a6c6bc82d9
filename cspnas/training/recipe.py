"""How a network is trained, as data; no torch here, so that a study can be described without it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Recipe:
    """SGD with Nesterov momentum .9; the learning rate rises linearly to `learning_rate` over the first fifth of all
    steps and falls linearly to zero. `shift` is the greatest random translation in pixels.
    """

    dataset: str = "fashion-mnist-mini"
    epochs: int = 4
    batch_size: int = 64
    learning_rate: float = 0.15
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    flip: bool = True
    shift: int = 0
    precision: str = "auto"


def recipe_digest(recipe: dict[str, Any] | Recipe, data_checksum: str) -> str:
    """sha256 of all that decides a training beside network and seed: recipe, data with its split, training code."""
    document = asdict(recipe) if isinstance(recipe, Recipe) else dict(recipe)
    document |= {"data_checksum": data_checksum, "training_version": TRAINING_VERSION}
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def training_seed(study_seed: int, digest: str, repeat: int) -> int:
    """The seed of a network's `repeat`-th training: the same whatever the order or the number of workers."""
    text = f"{study_seed}:{digest}:{repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
