"""`fashion-color`: the packaged garments cut out, turned, scaled and tinted, on grounds with a texture; 32 x 32 pixels, RGB.

All is integer arithmetic on the frozen stream of `numpy.random.RandomState`, so that the bytes are the same everywhere.
"""

from __future__ import annotations

from math import cos, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspnas.data.public_datasets import LabelledImages

Integers = NDArray[Any]

NAME = "fashion-color"
SEED = 20261128
# Of training and validation, as `pixel_statistics` has it.
CHECKSUM = "1f921016541ae3f927bc2be650864089ae17d59c48164546843c77b47f5cc4b8"
SIDE = 32
GARMENT_SIDE = 28
# Images made of one garment, each time with another ground, turn, size and tint.
COPIES_OF_GARMENT = {"train": 2, "validation": 1, "test": 2}
CHUNK_IMAGES = 500
MOST_DEGREES = 35
# Pixels of the garment that one pixel of the image spans, in 65,536ths: garments of 22 to 37 pixels.
SPANS = 49_000, 83_000
ONE = 1 << 16
COSINES, SINES = (
    np.array([round(ONE * turn(radians(degrees))) for degrees in range(-MOST_DEGREES, MOST_DEGREES + 1)], np.int64)
    for turn in (cos, sin)
)
ROWS, COLUMNS = np.mgrid[0:SIDE, 0:SIDE].astype(np.int64)
# The greatest change of a channel by the camera's noise, of 255.
NOISE = 10


def colored(part: str, garments: LabelledImages) -> LabelledImages:
    """`part` (train, validation or test) made of `garments` (N, 1, 28, 28): images (k N, 3, 32, 32), labels (k N,)."""
    images, labels = garments
    order = np.tile(np.arange(len(labels)), COPIES_OF_GARMENT[part])
    random = np.random.RandomState([SEED, sorted(COPIES_OF_GARMENT).index(part)])
    random.shuffle(order)
    made = np.empty((len(order), 3, SIDE, SIDE), np.uint8)
    for start in range(0, len(order), CHUNK_IMAGES):
        chosen = order[start : start + CHUNK_IMAGES]
        made[start : start + len(chosen)] = _scenes(images[chosen, 0].astype(np.int64), random)
    return made, labels[order]


def _scenes(garments: Integers, random: np.random.RandomState) -> Integers:
    """(n, 3, 32, 32), between 0 and 255, of garments (n, 28, 28)."""
    count = len(garments)
    cloth = _placed(garments, random)[:, None]
    ground = _grounds(count, random)
    tint = random.randint(40, 256, (count, 3, 1, 1))
    shaded = tint * (80 + cloth * 175 // 255) // 255
    opacity = np.minimum(255, 5 * cloth)
    noise = random.randint(-NOISE, NOISE + 1, (count, 3, SIDE, SIDE))
    return np.asarray(np.clip((opacity * shaded + (255 - opacity) * ground) // 255 + noise, 0, 255))


def _placed(garments: Integers, random: np.random.RandomState) -> Integers:
    """(n, 32, 32): each garment turned, scaled and shifted; bilinear, zero beside it."""
    count = len(garments)
    angle = random.randint(0, len(COSINES), (count, 1, 1))
    span = random.randint(*SPANS, (count, 1, 1))
    shift = random.randint(-3, 4, (2, count, 1, 1))
    # Twice the distance from the centre: the centre of an even number of pixels lies between two.
    down, right = 2 * (ROWS - shift[0]) - SIDE + 1, 2 * (COLUMNS - shift[1]) - SIDE + 1
    middle = (GARMENT_SIDE - 1) * ONE // 2
    row = (COSINES[angle] * down - SINES[angle] * right) // 2 * span // ONE + middle
    column = (SINES[angle] * down + COSINES[angle] * right) // 2 * span // ONE + middle
    return _bilinear(garments, row, column)


def _bilinear(values: Integers, row: Integers, column: Integers) -> Integers:
    """`values` (n, h, w) at places (n, 32, 32) in 65,536ths of a pixel; zero outside."""
    padded = np.pad(values, ((0, 0), (1, 2), (1, 2)))
    height, width = values.shape[1:]
    row, column = (np.clip(place + ONE, 0, (most + 1) * ONE) for place, most in ((row, height), (column, width)))
    top, left, below, beside = row // ONE, column // ONE, row % ONE, column % ONE
    n = np.arange(len(values))[:, None, None]
    upper = padded[n, top, left] * (ONE - beside) + padded[n, top, left + 1] * beside
    lower = padded[n, top + 1, left] * (ONE - beside) + padded[n, top + 1, left + 1] * beside
    return np.asarray((upper // ONE * (ONE - below) + lower // ONE * below) // ONE)


def _grounds(count: int, random: np.random.RandomState) -> Integers:
    """(n, 3, 32, 32): two colours, mixed as one of the textures says."""
    kind = random.randint(0, 4, (count, 1, 1))
    stripes, checks = _stripes(count, random), _checks(count, random)
    clouds, fade = _clouds(count, random), _fade(count, random)
    mix = np.choose(kind, (stripes, checks, clouds, fade))[:, None]
    first, second = random.randint(0, 256, (2, count, 3, 1, 1))
    return np.asarray((first * mix + second * (255 - mix)) // 255)


def _stripes(count: int, random: np.random.RandomState) -> Integers:
    down, right = random.randint(-3, 4, (2, count, 1, 1))
    wide = random.randint(4, 13, (count, 1, 1))
    return np.asarray((ROWS * down + COLUMNS * right) // wide % 2 * 255)


def _checks(count: int, random: np.random.RandomState) -> Integers:
    wide, down, right = random.randint(2, 9, (3, count, 1, 1))
    return np.asarray(((ROWS + down) // wide + (COLUMNS + right) // wide) % 2 * 255)


def _clouds(count: int, random: np.random.RandomState) -> Integers:
    grid = random.randint(0, 256, (count, 6, 6))
    place = np.broadcast_to(ROWS * 5 * ONE // SIDE, (count, SIDE, SIDE))
    return _bilinear(grid, place, place.transpose(0, 2, 1))


def _fade(count: int, random: np.random.RandomState) -> Integers:
    down, right = random.randint(1, 255, (2, count, 1, 1))
    return np.asarray((ROWS * down + COLUMNS * right) * 255 // ((down + right) * (SIDE - 1)))
