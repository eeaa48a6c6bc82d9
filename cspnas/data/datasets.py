"""The data sets a search trains on, as tensors in memory.

`load` gives the training and the validation part and never opens a test file; only `load_test` does, so that a search
cannot choose by the test images. Known names are in `known_sets`; `folder:PATH`,
`npz:FILE` and `csv:FILE` read images of your own.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from cspnas.data import fashion_color
from cspnas.data import public_datasets as sources
from cspnas.data.image_arrays import ImageArrays
from cspnas.data.image_settings import AS_THEY_ARE, ImageForm, ImageSettings
from cspnas.data.image_sources import ImageSource, source_of
from cspnas.data.known_sets import KNOWN_SETS
from cspnas.data.own_data import path_of, readable, unknown
from cspnas.data.packaged_set import MINI, PACKAGED
from cspnas.data.pixel_statistics import pixel_statistics
from cspnas.data.prepared_cache import generated_images, prepared_images
from cspnas.data.prepared_file import PARTS, PreparedFile
from cspnas.data.summary import DataSummary
from cspnas.errors import InputError
from cspnas.io.steps import Step, silent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


# Two are equal where they are the same: tensors have no truth value for ==.
@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images uint8 (N, C, H, W) and their labels int64 (N,)."""

    images: torch.Tensor
    labels: torch.Tensor


# Two are equal where they are the same: tensors have no truth value for ==.
@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """What a search sees. `mean` and `std` are of the training pixels scaled to [0, 1], one a channel.

    `std` is 1 for a channel in which all pixels are equal, so that it can be divided by.
    `in_both`, `skipped` and `enlarged` are those of `DataSummary`. `file`: the prepared one
    whose pages the images are, if they are a file's.
    `checksum` is a SHA-256 (hex) over images, labels and split: two data sets with one checksum train alike.
    """

    name: str
    train: Split
    validation: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    checksum: str
    in_both: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    enlarged: int = 0
    file: PreparedFile | None = None

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    @property
    def summary(self) -> DataSummary:
        """What was read."""
        counts = len(self.train.labels), len(self.validation.labels)
        return DataSummary(*counts, self.input_shape, self.class_names, self.in_both, dict(self.skipped), self.enlarged)


def load(name: str, settings: ImageSettings = AS_THEY_ARE, *, root: Path | None = None, step: Step = silent) -> DataSet:
    """The training and validation part of the data set `name`; `root` is where downloads and prepared images are kept.

    `settings` say what is made of the images of a folder; other data sets have their form. Without `root` it is
    `$CSPNAS_DATA`, else ~/.cache/cspnas/data. Raises InputError for an unknown name and for data that is missing, damaged
    or of no use for training.
    """
    with readable(name):
        if (source := source_of(name)) is not None:
            cache = _root(root) / "prepared"
            return _of_file(name, prepared_images(source, path_of(name), settings, cache, step))
        found = _of_name(name, root, step)
    own = found.input_shape[1:]
    if settings.size not in (None, own):
        raise InputError(
            f"image_size {settings.size[0]} x {settings.size[1]} for data set {name}",
            expected=f"none, or its own {own[0]} x {own[1]}: only images of a folder, a table or arrays are resized",
            where="image_size",
            hint="leave it out, or choose other data",
        )
    return found


def _of_name(name: str, root: Path | None, step: Step) -> DataSet:
    """A data set that has a name of its own."""
    if name == MINI:
        return _packaged()
    if name == fashion_color.NAME:
        return _fashion_color(root, step)
    official, class_names = _official(name, root, "train")
    return _assemble(name, *sources.hold_out(official), class_names)


def _fashion_color(root: Path | None, step: Step) -> DataSet:
    name = fashion_color.NAME
    target = _root(root) / "prepared" / f"{name}.safetensors"
    return _of_file(name, generated_images(target, fashion_color.CHECKSUM, _colored_search_images, step))


def _colored_search_images() -> ImageArrays:
    about = _about()
    rows, count = _rows("search", about), about.counts["train"]
    parts = ("train", rows[:count]), ("validation", rows[count:])
    train, validation = (fashion_color.colored(part, _unpack(some)) for part, some in parts)
    return ImageArrays(train, validation, about.class_names)


def _of_file(name: str, file: PreparedFile) -> DataSet:
    about, summary = file.about, file.about["summary"]
    found = DataSummary.from_json(summary, summary["class_names"])
    train, validation = (Split(torch.from_numpy(file.images(p)), torch.from_numpy(file.labels(p))) for p in PARTS)
    return DataSet(
        name,
        train,
        validation,
        tuple(about["mean"]),
        _usable(name, about["std"]),
        found.class_names,
        about["checksum"],
        found.in_both,
        found.skipped,
        found.enlarged,
        file,
    )


def changed(name: str, found: str, expected: str, where: str = "") -> InputError:
    """The error for data of the checksum `found` where a study was made on those of `expected`."""
    return InputError(
        f"other images or labels in {name} (checksum {found[:12]})",
        expected=f"checksum {expected[:12]}, as when the study was made",
        where=where,
        hint="put the data back, or start another study with --study NEW_NAME",
    )


def load_test(name: str, settings: ImageSettings = AS_THEY_ARE, *, root: Path | None = None) -> Split:
    """The test part of the data set `name`, for the report at the end. Raises InputError as `load` does."""
    with readable(name):
        if name == MINI:
            return _split(_unpack(_rows("test", _about())))
        if name == fashion_color.NAME:
            return _split(fashion_color.colored("test", _unpack(_rows("test", _about()))))
        if (source := source_of(name)) is not None:
            return _split(_own_test(source, name, settings, root))
        return _split(_official(name, root, "test")[0])


def _own_test(source: ImageSource, name: str, settings: ImageSettings, root: Path | None) -> sources.LabelledImages:
    path = path_of(name)
    if not source.has_test(path):
        raise InputError("no test images", expected=source.test_form, where=str(path))
    found = load(name, settings, root=root)
    channels, height, width = found.input_shape
    return source.read_test(path, ImageForm((width, height), channels == 1), found.class_names, settings)


def has_test(name: str) -> bool:
    """Whether the data set `name` has a test part: all that are known by their name have one."""
    with readable(name):
        source = source_of(name)
        return source is None or source.has_test(path_of(name))


def _official(name: str, root: Path | None, part: str) -> tuple[sources.LabelledImages, tuple[str, ...]]:
    """The official split `part` ("train" or "test") of a known public data set, and its class names."""
    if _known(name) == "fashion-mnist":
        return sources.read_fashion_mnist(_root(root), part)
    return sources.read_cifar(name, _root(root), part)


@dataclass(frozen=True, slots=True)
class PackagedSet:
    """What the JSON file of the packaged data set says: images of each part, names of classes, sha256 of its files."""

    counts: dict[str, int]
    class_names: tuple[str, ...]
    sha256: dict[str, str]


def _known(name: str) -> str:
    """`name`, or InputError naming the nearest known one."""
    if name in KNOWN_SETS:
        return name
    raise unknown(name, KNOWN_SETS)


def _root(root: Path | None) -> Path:
    """The folder of downloads; the environment is read at the call, so that a test or a worker can set it."""
    if root is not None:
        return Path(root)
    return Path(os.environ.get("CSPNAS_DATA") or "~/.cache/cspnas/data").expanduser()


def _about() -> PackagedSet:
    """What the JSON file of the packaged data set says."""
    path = PACKAGED / f"{MINI}.json"
    try:
        about = json.loads(path.read_bytes())
        return PackagedSet(about["counts"], tuple(about["class_names"]), about["sha256"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"cannot read {path}: {error!r}", hint="install cspnas again") from None


def _rows(part: str, about: PackagedSet) -> NDArray[np.uint8]:
    """The (N, 785) rows of the packaged file `part` ("search" or "test"), or InputError if it is damaged."""
    path = PACKAGED / f"{MINI}.{part}.npy.xz"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint="install cspnas again") from None
    found, expected = hashlib.sha256(content).hexdigest(), about.sha256[path.name]
    if found != expected:
        raise InputError(f"SHA-256 {found}", expected=expected, where=str(path), hint="install cspnas again")
    rows: NDArray[np.uint8] = np.load(io.BytesIO(lzma.decompress(content)), allow_pickle=False)
    return rows


def _unpack(rows: NDArray[np.uint8]) -> sources.LabelledImages:
    """Rows (N, 785) as images (N, 1, 28, 28) and labels (N,)."""
    return rows[:, 1:].reshape(-1, 1, 28, 28), rows[:, 0].astype(np.int64)


def _packaged() -> DataSet:
    about = _about()
    rows, count = _rows("search", about), about.counts["train"]
    return _assemble(MINI, _unpack(rows[:count]), _unpack(rows[count:]), about.class_names)


def _split(part: sources.LabelledImages) -> Split:
    images, labels = part
    return Split(torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(np.ascontiguousarray(labels)))


def _assemble(
    name: str,
    train: sources.LabelledImages,
    validation: sources.LabelledImages,
    class_names: tuple[str, ...],
) -> DataSet:
    found = pixel_statistics(train, validation)
    parts = _split(train), _split(validation)
    std = _usable(name, found.std)
    return DataSet(name, *parts, found.mean, std, class_names, found.checksum, found.in_both)


def _usable(name: str, std: Sequence[float]) -> tuple[float, ...]:
    """Raises InputError where all pixels are equal. An unused channel, as in two-colour microscopy, stays zero."""
    if not any(std):
        raise InputError("one colour in all training pixels", expected="images that differ", where=name)
    return tuple(deviation or 1.0 for deviation in std)
