"""A picture of a few images of each class, as training sees them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from cspnas.errors import printable

if TYPE_CHECKING:
    from PIL.Image import Image

    from cspnas.data.datasets import DataSet

# Images of each class.
SHEET_IMAGES = 8
# Of more classes the first ones are shown.
SHEET_CLASSES = 100
# In pixels.
CELL_PIXELS, GAP_PIXELS, CAPTION_PIXELS = 96, 4, 18
CAPTION_CHARACTERS = 100


def contact_sheet(data: DataSet) -> bytes:
    """A PNG: for each class its name, and below it training images from all over the class."""
    from PIL import Image, ImageDraw

    names = data.class_names[:SHEET_CLASSES]
    row = CAPTION_PIXELS + CELL_PIXELS + GAP_PIXELS
    sheet = Image.new(
        "RGB", (GAP_PIXELS + SHEET_IMAGES * (CELL_PIXELS + GAP_PIXELS), GAP_PIXELS + len(names) * row), "white"
    )
    draw, labels = ImageDraw.Draw(sheet), data.train.labels.numpy()
    for label, name in enumerate(names):
        top, rows = GAP_PIXELS + label * row, np.flatnonzero(labels == label)
        text = f"{printable(name)[:CAPTION_CHARACTERS]} ({len(rows):,} for training)"
        draw.text((GAP_PIXELS, top), text, fill="black", font_size=13)
        chosen = rows[np.linspace(0, len(rows) - 1, min(SHEET_IMAGES, len(rows))).astype(int)]
        for column, one in enumerate(chosen):
            picture = _picture(data.train.images[int(one)].numpy())
            sheet.paste(picture, (GAP_PIXELS + column * (CELL_PIXELS + GAP_PIXELS), top + CAPTION_PIXELS))
    stream = io.BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue()


def _picture(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Image:
    """(C, H, W) as a picture that fits a cell; what is small is enlarged without smoothing, so that its pixels show."""
    from PIL import ImageOps
    from PIL.Image import Resampling, fromarray

    image = fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    method = Resampling.NEAREST if max(image.size) < CELL_PIXELS else Resampling.BICUBIC
    return ImageOps.contain(image.convert("RGB"), (CELL_PIXELS, CELL_PIXELS), method)
