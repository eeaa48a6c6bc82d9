"""Folders of small images for tests: drawn in one colour each, or in noise that a seed fixes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def draw(path: Path, size: tuple[int, int] = (8, 6), mode: str = "L", value: int = 0) -> None:
    """One image of one colour; `size` is (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path)


def draw_classes(folder: Path, count: int = 12, mode: str = "L") -> Path:
    """Two classes, cat and dog, of `count` images each, which all differ; the folder itself."""
    for label, name in enumerate(("cat", "dog")):
        for index in range(count):
            draw(folder / name / f"{index:02}.png", mode=mode, value=100 * label + index)
    return folder


def noise(seed: int, *shape: int) -> Image.Image:
    """An image of `shape` (H, W) or (H, W, 3 or 4), the same for a seed."""
    return Image.fromarray(np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8))


def draw_noise(folder: Path, *shape: int, count: int = 8, first: int = 0) -> Path:
    """Three classes of `count` images of noise each; the folder itself."""
    for label, name in enumerate(("cat", "dog", "hen")):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            noise(first + 100 * label + index, *shape).save(folder / name / f"{index}.png")
    return folder
