"""What a search has to know of a data set before it loads one: the form of a folder of images, the checksum of any."""

from __future__ import annotations

import hashlib
import json

from cspnas.data.image_settings import AS_THEY_ARE, ImageSettings
from cspnas.data.known_sets import KNOWN_SETS
from cspnas.data.packaged_set import MINI, PACKAGED
from cspnas.data.summary import DataSummary
from cspnas.io.steps import Step, silent

# SHA-256 of the packaged files (description, then images) to the checksum that `data.load` gives of exactly these.
KNOWN = {
    "955dc33aad8e64ca22a48fa27bd5e0b45ffde355fe00999f234abf50d19ad435": (
        "c1407c9b84ddbc3fd2c9c3fbd7eaa25f63b5d0f272816832142c92422ee2f1b6"
    )
}


def folder_form(
    name: str, settings: ImageSettings = AS_THEY_ARE, step: Step = silent
) -> tuple[tuple[int, int, int], int]:
    """(input shape, classes) of a folder of images. Raises InputError as `data.load` does."""
    from cspnas.data.datasets import load

    summary = load(name, settings, step=step).summary
    return summary.shape, len(summary.class_names)


def known_data(name: str, settings: ImageSettings = AS_THEY_ARE) -> tuple[str, DataSummary]:
    """The checksum of a data set, and what is in it; of the packaged one without torch, and without unpacking it.

    Raises InputError as `data.load` does.
    """
    known = KNOWN.get(packaged_sha256()) if name == MINI else None
    if known is not None:
        return known, _packaged_summary()
    from cspnas.data import datasets as data

    loaded = data.load(name, settings)
    return loaded.checksum, loaded.summary


def image_count(name: str, settings: ImageSettings = AS_THEY_ARE) -> int:
    """Images of training and validation together. Raises InputError as `data.load` does."""
    if name in KNOWN_SETS:
        return KNOWN_SETS[name].images
    summary = known_data(name, settings)[1]
    return summary.training + summary.validation


def part_counts(name: str, settings: ImageSettings = AS_THEY_ARE) -> tuple[int, int]:
    """Images of (training, validation), all of them as training where only their sum is known without loading them.

    Raises InputError as `data.load` does.
    """
    if name in KNOWN_SETS and name != MINI:
        return KNOWN_SETS[name].images, 0
    summary = known_data(name, settings)[1]
    return summary.training, summary.validation


def _packaged_summary() -> DataSummary:
    about = json.loads((PACKAGED / f"{MINI}.json").read_bytes())
    channels, height, width = about["shape"]
    counts = about["counts"]
    return DataSummary(counts["train"], counts["validation"], (channels, height, width), tuple(about["class_names"]))


def packaged_sha256() -> str:
    """Of the packaged files; nothing where they cannot be read."""
    try:
        contents = [(PACKAGED / f"{MINI}{end}").read_bytes() for end in (".json", ".search.npy.xz")]
    except OSError:
        return ""
    return hashlib.sha256(b"".join(contents)).hexdigest()
