"""A network of a few hundred weights, and a task that it learns in a few steps."""

from __future__ import annotations

import numpy as np
import torch

from cspnas.data.datasets import DataSet, Split
from cspnas.data.summary import DataSummary
from cspnas.network.architecture import Architecture, Stem
from cspnas.space.stage_resolution import dense_stage
from cspnas.training.batches import InMemoryBatches

SHAPE = (1, 8, 8)


def architecture() -> Architecture:
    stage = dense_stage(
        4, depth=2, growth_rate=4, bottleneck_ratio=2, compression=1, pool=False, split_ratio=0.5, fusion="both"
    )
    return Architecture("densenet", SHAPE, 2, Stem(4, 3, 1), (stage,))


def two_stripes(count: int, seed: int) -> Split:
    """Horizontal or vertical stripes under noise: a task that this network learns in a few steps."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    wave = np.where(np.arange(8) % 2, 200, 50)
    images = np.where(labels[:, None, None], wave[None, None, :], wave[None, :, None]) + generator.normal(
        0, 20, (count, 8, 8)
    )
    pixels = torch.from_numpy(np.clip(images, 0, 255).astype(np.uint8))[:, None]
    return Split(pixels, torch.from_numpy(labels).long())


def dataset() -> DataSet:
    parts = two_stripes(200, 0), two_stripes(100, 1)
    names = ("rows", "columns")
    return DataSet("stripes", *parts, (0.5,), (0.3,), names, "0", DataSummary(200, 100, SHAPE, names))


def data() -> InMemoryBatches:
    return InMemoryBatches(dataset(), torch.device("cpu"))
