"""The form of a folder of images, found only by opening it."""

from __future__ import annotations


def folder_form(name: str) -> tuple[tuple[int, int, int], int]:
    """(input shape, classes) of a data set; loads it, so torch comes with it."""
    from cspnas import data

    loaded = data.load(name)
    return loaded.input_shape, loaded.classes
