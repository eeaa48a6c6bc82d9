"""Images made equal once, in one file that later runs and all workers map into memory.

It is a safetensors file: `train.labels`, `validation.labels` (int64), `train.images`, `validation.images` (uint8, N x C x H
x W), and in its metadata, as JSON under `about`, whatever the writer says of them.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

PARTS = ("train", "validation")
# Of the header's length, little-endian, at the beginning of the file.
LENGTH_BYTES = 8
LABEL_BYTES = 8
# The largest header that is read; class names are most of it.
MOST_HEADER_BYTES = 1 << 24


class TensorPlace(TypedDict):
    """What a safetensors header says of a tensor; `data_offsets` begin after the header."""

    dtype: str
    shape: list[int]
    data_offsets: list[int]


@dataclass(frozen=True, slots=True)
class PreparedLayout:
    """Where everything lies. `header_bytes` is with its padding, `counts` the images of PARTS, `shape` (C, H, W)."""

    header_bytes: int
    counts: tuple[int, int]
    shape: tuple[int, int, int]

    @property
    def image_bytes(self) -> int:
        """Of one image."""
        channels, height, width = self.shape
        return channels * height * width

    @property
    def labels_at(self) -> int:
        """The byte at which the labels of both parts begin."""
        return LENGTH_BYTES + self.header_bytes

    @property
    def images_at(self) -> int:
        """The byte at which the images of both parts begin: row 0 is the first of training."""
        return self.labels_at + LABEL_BYTES * sum(self.counts)

    @property
    def file_bytes(self) -> int:
        """Of the whole file."""
        return self.images_at + self.image_bytes * sum(self.counts)

    def header(self, about: Mapping[str, object]) -> bytes:
        """The beginning of the file, up to the labels. Raises ValueError where `about` needs more room than there is."""
        text = json.dumps({**self._tensors(), "__metadata__": {"about": json.dumps(about)}}).encode()
        if len(text) > self.header_bytes:
            raise ValueError(f"a header of {len(text)} bytes, expected at most {self.header_bytes}")
        return self.header_bytes.to_bytes(LENGTH_BYTES, "little") + text.ljust(self.header_bytes)

    def _tensors(self) -> dict[str, TensorPlace]:
        found, end = dict[str, TensorPlace](), 0
        for kind, kind_shape, each in (("labels", (), LABEL_BYTES), ("images", self.shape, self.image_bytes)):
            for part, count in zip(PARTS, self.counts, strict=True):
                begin, end = end, end + count * each
                shape = [count, *kind_shape]
                dtype = "I64" if kind == "labels" else "U8"
                found[f"{part}.{kind}"] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        return found


@dataclass(frozen=True, eq=False)
class PreparedFile:
    """An open one. `mapping` is the whole file, of which no page is in this process's memory until it is read.

    `left_out`: files that are not in it because their pixels could not be read, and why.
    """

    path: Path
    layout: PreparedLayout
    about: Mapping[str, Any]
    mapping: mmap.mmap
    left_out: tuple[tuple[str, str], ...] = ()

    def images(self, part: str) -> NDArray[np.uint8]:
        """(N, C, H, W), read from the file where they are looked at."""
        first, count = (0, self.layout.counts[0]) if part == PARTS[0] else self.layout.counts
        start = self.layout.images_at + first * self.layout.image_bytes
        flat = np.frombuffer(self.mapping, np.uint8, count * self.layout.image_bytes, start)
        return flat.reshape(count, *self.layout.shape)

    def labels(self, part: str) -> NDArray[np.int64]:
        """(N,), a copy."""
        first, count = (0, self.layout.counts[0]) if part == PARTS[0] else self.layout.counts
        start = self.layout.labels_at + first * LABEL_BYTES
        return np.frombuffer(self.mapping, "<i8", count, start).astype(np.int64)


def open_prepared(path: Path) -> PreparedFile | None:
    """The file, or None where there is none, or one that was cut, lengthened, or is no such file."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            if length > MOST_HEADER_BYTES:
                return None
            header = json.loads(file.read(length))
            shape = tuple(header["train.images"]["shape"])
            counts = shape[0], header["validation.images"]["shape"][0]
            layout = PreparedLayout(length, counts, (shape[1], shape[2], shape[3]))
            if layout.file_bytes != os.fstat(file.fileno()).st_size:
                return None
            # Private: a tensor over read-only memory is one that torch warns of, and nobody writes into it.
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            return PreparedFile(path, layout, json.loads(header["__metadata__"]["about"]), mapping)
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
