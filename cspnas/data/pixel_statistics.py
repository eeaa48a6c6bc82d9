"""What is computed from all pixels of a data set, image by image: it may be larger than memory."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cspnas.data.public_datasets import LabelledImages

AT_ONCE_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class PixelStatistics:
    """`mean` and `std` are of the training pixels scaled to [0, 1], one a channel.

    `checksum`: SHA-256 (hex) over shapes, pixels and labels of both parts. `in_both`: validation images whose pixels are
    those of a training image.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    checksum: str
    in_both: int


def pixel_statistics(
    train: LabelledImages, validation: LabelledImages, mapping: mmap.mmap | None = None
) -> PixelStatistics:
    """Of both parts, (N, C, H, W) uint8 each; `mapping` is the file that they are mapped from."""
    digest, known, in_both = hashlib.sha256(), set[bytes](), 0
    counts = np.zeros((train[0].shape[1], 256), np.int64)
    for images, labels in (train, validation):
        # The shapes keep one split from passing for another.
        digest.update(repr(tuple(images.shape)).encode())
        for some in _blocks(images, mapping):
            digest.update(some.data)
            prints = [hashlib.blake2b(image.data, digest_size=16).digest() for image in some]
            if images is train[0]:
                known.update(prints)
                counts += [np.bincount(some[:, n].reshape(-1), minlength=256) for n in range(len(counts))]
            else:
                in_both += sum(one in known for one in prints)
        digest.update(np.ascontiguousarray(labels).data)
    return PixelStatistics(*_moments(counts), digest.hexdigest(), in_both)


def _blocks(images: NDArray[np.uint8], mapping: mmap.mmap | None) -> Iterator[NDArray[np.uint8]]:
    release: Callable[[], None] = (lambda: mapping.madvise(mmap.MADV_DONTNEED)) if mapping else (lambda: None)
    count = max(1, AT_ONCE_BYTES // max(1, images[:1].nbytes))
    for start in range(0, len(images), count):
        yield np.ascontiguousarray(images[start : start + count])
        release()


def _moments(counts: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel from how often each level is there (C, 256): exact."""
    # In torch's order of adding up: a last digit more or less would be another training.
    levels = torch.arange(256, dtype=torch.float64) / 255
    rows = torch.from_numpy(counts).double()
    means = [float((row * levels).sum() / row.sum()) for row in rows]
    variances = [float((row * (levels - mean) ** 2).sum() / row.sum()) for row, mean in zip(rows, means, strict=True)]
    return tuple(means), tuple(variance**0.5 for variance in variances)
