"""The data sets that are known by name, as far as they are known without being loaded."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class KnownSet:
    """`shape` (C, H, W) of an image, `classes`, and the `images` of training and validation together."""

    shape: tuple[int, int, int]
    classes: int
    images: int


KNOWN_SETS = MappingProxyType(
    {
        "fashion-mnist-mini": KnownSet((1, 28, 28), 10, 14_000),
        "fashion-color": KnownSet((3, 32, 32), 10, 24_000),
        "fashion-mnist": KnownSet((1, 28, 28), 10, 60_000),
        "cifar10": KnownSet((3, 32, 32), 10, 50_000),
        "cifar100": KnownSet((3, 32, 32), 100, 50_000),
    }
)
