"""How each kind of data set of the user's own is found, read and recognised again: one row for each prefix of its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspnas.data.image_arrays import ImageArrays, arrays_state, has_test_arrays, read_arrays, read_test_arrays
from cspnas.data.image_folder import find_images, folder_state, has_test_folder, read_test_folder
from cspnas.data.image_settings import ImageForm, ImageSettings
from cspnas.data.image_table import find_table_images, has_test_rows, read_test_rows, table_state
from cspnas.data.listed_images import ListedImages
from cspnas.data.own_data import prefix_of
from cspnas.data.public_datasets import LabelledImages


@dataclass(frozen=True, slots=True)
class ImageSource:
    """What is done with the path behind the prefix `kind`. Every function raises InputError for what cannot be used.

    `find`: the training and the validation images. `state`: names, sizes and times, by which a second start knows that
    nothing changed. `read_test`: the test images, in the form and of the class names of training.
    `test_form`: where those would be.
    """

    kind: str
    find: Callable[[Path, ImageSettings], ListedImages | ImageArrays]
    state: Callable[[Path], list[Any]]
    has_test: Callable[[Path], bool]
    read_test: Callable[[Path, ImageForm, tuple[str, ...], ImageSettings], LabelledImages]
    test_form: str


SOURCES = (
    ImageSource("folder", find_images, folder_state, has_test_folder, read_test_folder, "a folder PATH/test/CLASS"),
    ImageSource(
        "npz", read_arrays, arrays_state, has_test_arrays, read_test_arrays, "arrays test_images and test_labels"
    ),
    ImageSource("csv", find_table_images, table_state, has_test_rows, read_test_rows, "rows of the split test"),
)


def source_of(name: str) -> ImageSource | None:
    """The source of the data set `name`; None where it is not the user's own."""
    prefix = prefix_of(name)
    return next((source for source in SOURCES if source.kind == prefix), None)
