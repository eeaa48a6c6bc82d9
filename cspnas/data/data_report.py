"""What a data set holds, for whoever is about to train on it: classes, sizes, images in both parts, and room."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cspnas.data.image_settings import ImageSettings
from cspnas.data.image_sources import source_of
from cspnas.data.listed_images import ListedImages
from cspnas.data.own_data import path_of
from cspnas.data.summary import DataSummary
from cspnas.io.machine import free_memory

if TYPE_CHECKING:
    from cspnas.data.datasets import DataSet

MOST_PAIRS = 10
# Images of the largest class to those of the smallest, above which there is a warning.
MOST_IMBALANCE = 10.0


@dataclass(frozen=True, slots=True)
class ClassCount:
    """Images of one class."""

    name: str
    training: int
    validation: int


@dataclass(frozen=True, slots=True)
class DataReport:
    """`sizes`: (width, height) in pixels of the smallest, the median and the largest image by area; None where all have
    one. `pairs`: training and validation images of equal pixels, MOST_PAIRS of them at most. `left_out`: unreadable files
    and why. `image_bytes`: of all pixels. `free_bytes`: of memory. `file`: the prepared file, and its bytes.
    """

    name: str
    summary: DataSummary
    classes: tuple[ClassCount, ...]
    sizes: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None
    pairs: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]
    image_bytes: int
    free_bytes: int
    file: str | None
    file_bytes: int | None

    @property
    def imbalance(self) -> float:
        """How many times the training images of the smallest class the largest one has."""
        counts = [one.training for one in self.classes]
        return max(counts) / max(1, min(counts))

    def warnings(self) -> list[str]:
        """What makes results worse, or too good."""
        found = [self.summary.warning()]
        if self.imbalance > MOST_IMBALANCE:
            least, most = (choose(self.classes, key=lambda one: one.training) for choose in (min, max))
            found.append(
                f"class {most.name} has {self.imbalance:.3g} times the training images of class {least.name}: "
                "accuracy counts images, so a network may neglect small classes"
            )
        return [line for line in found if line]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        found = asdict(self)
        summary = found.pop("summary")
        more = {"imbalance": self.imbalance, "fits_memory": self.image_bytes <= self.free_bytes}
        return {**found, **summary, **more, "warnings": self.warnings()}


def data_report(data: DataSet, settings: ImageSettings) -> DataReport:
    """The report on a loaded data set. Raises InputError as `data.load` does."""
    listed = _listed(data, settings)
    counts = (np.bincount(part.labels.numpy(), minlength=data.classes) for part in (data.train, data.validation))
    classes = zip(data.class_names, *(part.tolist() for part in counts), strict=True)
    return DataReport(
        data.name,
        data.summary,
        tuple(ClassCount(*one) for one in classes),
        _sizes(listed) if listed else None,
        _pairs(data, listed) if data.in_both else (),
        data.file.left_out if data.file else (),
        data.train.images.nbytes + data.validation.images.nbytes,
        free_memory(),
        str(data.file.path) if data.file else None,
        data.file.layout.file_bytes if data.file else None,
    )


def _listed(data: DataSet, settings: ImageSettings) -> ListedImages | None:
    """The files in the order of the data set's images; None where it is not made of files."""
    source = source_of(data.name)
    if source is None or data.file is None:
        return None
    found = source.find(path_of(data.name), settings)
    if not isinstance(found, ListedImages):
        return None
    return found.without(list(data.file.left_out), settings, path_of(data.name)) if data.file.left_out else found


def _sizes(listed: ListedImages) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    sizes = sorted((one.header.size for one in (*listed.train, *listed.validation)), key=lambda size: size[0] * size[1])
    return sizes[0], sizes[len(sizes) // 2], sizes[-1]


def _pairs(data: DataSet, listed: ListedImages | None) -> tuple[tuple[str, str], ...]:
    """By their pixels, as training sees them."""
    known = dict[bytes, int]()
    for row, image in enumerate(data.train.images.numpy()):
        known.setdefault(_digest(image), row)
    pairs = list[tuple[str, str]]()
    for row, image in enumerate(data.validation.images.numpy()):
        if (same := known.get(_digest(image))) is not None:
            training, validation = (listed.train, listed.validation) if listed else (None, None)
            pairs.append((_named("training", training, same), _named("validation", validation, row)))
        if len(pairs) == MOST_PAIRS:
            break
    return tuple(pairs)


def _digest(image: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


def _named(part: str, files: Sequence[Any] | None, row: int) -> str:
    return str(files[row].path) if files else f"{part} image {row}"
