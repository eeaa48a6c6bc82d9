"""How a network is trained, as data; no torch here, so that a study can be described without it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast

from annotated_types import Interval

from cspnas.data.image_settings import Channels, ImageSettings, Resize
from cspnas.data.known_sets import KNOWN_SETS
from cspnas.data.own_data import ANY, FORMS, is_own
from cspnas.errors import InputError
from cspnas.io.bounds import Positive, Share
from cspnas.io.did_you_mean import nearest

# Raised by hand whenever training.py changes what a recipe and a seed give: results of another version are not reused.
TRAINING_VERSION = 2

_DATASETS = f"{', '.join(KNOWN_SETS)}, {', '.join(FORMS[:-1])} or {FORMS[-1]}"


ImageSide = Annotated[int, Interval(ge=1, le=4096)]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The learning rate rises linearly to `learning_rate` and falls to zero; SGD has Nesterov momentum .9.

    Keys from `image_size` on are neutral by default: a recipe without them has the digest, and the trainings, that it had
    before there were such keys.
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
    image_size: Annotated[
        ImageSide | tuple[ImageSide, ImageSide] | None,
        "pixels to which the images of a folder are brought, one number or [height, width]; needed where sizes differ",
    ] = None
    resize: Annotated[str, Literal["crop", "pad", "stretch"], "how images of other proportions are brought to it"] = (
        "crop"
    )
    channels: Annotated[str | int, Literal["auto", 1, 3], "of the images of a folder; auto: 1 where all are grey"] = (
        "auto"
    )
    skip_unreadable: Annotated[bool, "leave damaged images out instead of refusing them"] = False
    optimizer: Annotated[str, Literal["sgd", "adamw"], "sgd: with Nesterov momentum .9"] = "sgd"
    schedule: Annotated[str, Literal["linear", "cosine"], "how the learning rate falls to zero after its peak"] = (
        "linear"
    )
    warmup: Annotated[Share, "share of all steps in which the learning rate rises to its peak"] = 0.2
    ema: Annotated[Share, "decay a step of averaged weights, which are the result; 0: the last weights are"] = 0.0
    clip_norm: Annotated[float, Interval(ge=0, le=1000), "greatest norm of the gradients; 0: without bound"] = 0.0
    crop_scale: Annotated[float, Interval(gt=0, le=1), "least area of a random crop; 1: no crop"] = 1.0
    rotate: Annotated[float, Interval(ge=0, le=180), "greatest random turn, degrees"] = 0.0
    color_jitter: Annotated[Share, "greatest change of brightness, contrast and saturation"] = 0.0
    rand_augment: Annotated[int, Interval(ge=0, le=10), "strength of two random changes of each image; 0: none"] = 0
    random_erasing: Annotated[Share, "share of the images of which a rectangle is blanked"] = 0.0
    mixup: Annotated[float, Interval(ge=0, le=8), "Beta(a, a) of the shares of two images that are added; 0: none"] = (
        0.0
    )
    cutmix: Annotated[float, Interval(ge=0, le=8), "Beta(a, a) of the area that another image is put into; 0: none"] = (
        0.0
    )

    @property
    def images(self) -> ImageSettings:
        """What is made of the images of a folder."""
        size = self.image_size
        pair = None if size is None else (size, size) if isinstance(size, int) else (size[0], size[1])
        return ImageSettings(pair, cast("Resize", self.resize), cast("Channels", self.channels), self.skip_unreadable)


# By the names that `cspnas train --recipe` takes: what each changes of a proxy's recipe.
NAMED_RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "full": MappingProxyType(
            {
                "epochs": 60,
                "schedule": "cosine",
                "warmup": 0.05,
                "ema": 0.998,
                "label_smoothing": 0.1,
                "mixup": 0.2,
                "random_erasing": 0.25,
            }
        )
    }
)


def recipe_changes(name: str | None, **keys: Any) -> Mapping[str, Any]:
    """What a named recipe and `keys`, which come first where they are not None, change of a recipe. Raises InputError."""
    if name is not None and name not in NAMED_RECIPES:
        raise InputError(
            f"recipe {name!r}", expected=f"one of {', '.join(NAMED_RECIPES)}", hint=nearest(name, NAMED_RECIPES)
        )
    changes = dict(NAMED_RECIPES[name]) if name else {}
    return changes | {key: value for key, value in keys.items() if value is not None}


# What there was before keys with a neutral default came; these stand in every digest.
_FIRST_KEYS = frozenset(
    (
        "dataset",
        "epochs",
        "batch_size",
        "learning_rate",
        "weight_decay",
        "label_smoothing",
        "flip",
        "shift",
        "precision",
    )
)
_NEUTRAL = {one.name: one.default for one in fields(Recipe) if one.name not in _FIRST_KEYS}


def stated_keys(recipe: Mapping[str, Any] | Recipe) -> Mapping[str, Any]:
    """The keys of a recipe, less those whose value is the neutral default: what digests and studies are made of."""
    document = asdict(recipe) if isinstance(recipe, Recipe) else dict(recipe)
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in document.items()}
    return {name: value for name, value in plain.items() if name not in _NEUTRAL or value != _NEUTRAL[name]}


def recipe_digest(recipe: Mapping[str, Any] | Recipe, data_checksum: str, *, with_path: bool = False) -> str:
    """sha256 of all that decides a training beside network and seed: recipe, data with its split, training code.

    The user's own data count by their checksum wherever they lie; `with_path`: as studies of before that counted them.
    """
    document = {**stated_keys(recipe), "data_checksum": data_checksum, "training_version": TRAINING_VERSION}
    if is_own(document["dataset"]) and not with_path:
        document["dataset"] = ANY
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def training_seed(study_seed: int, digest: str, repeat: int) -> int:
    """The seed of a network's `repeat`-th training: the same whatever the order or the number of workers."""
    text = f"{study_seed}:{digest}:{repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
