"""One image file: what its header says without decoding it, and its pixels as a search sees them."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cspnas.data.image_settings import Resize
from cspnas.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

IMAGE_ERRORS = (OSError, ValueError, SyntaxError, IndexError, EOFError, struct.error, zlib.error)
METADATA_ERRORS = (*IMAGE_ERRORS, TypeError, KeyError, AttributeError)
# Formats that their first bytes tell, and that Pillow decodes by itself, without starting another program. JPEG is MPO, too.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "AVIF")
# A file of another ending is read where its first bytes tell one of FORMATS; a file of one of these has to be an image.
ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".jfif", ".gif", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp", ".avif"}
)
TEXTS = frozenset({".txt", ".csv", ".tsv", ".json", ".md", ".xml", ".html", ".yaml", ".yml", ".log", ".py", ".ini"})
# Of 16 bits, whose upper eight are taken.
DEEP_MODES = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
GREY_MODES = frozenset({"1", "L", "LA", "La"}) | DEEP_MODES
PALETTE_MODES = frozenset({"P", "PA"})
# How many times the size that is asked for a JPEG is decoded to at least: the antialiasing has enough to go by.
DRAFTED = 1.5
# The EXIF tag that tells which way up a picture is.
ORIENTATION = 0x0112
# EXIF orientation to the name in PIL.Image.Transpose of what turns the picture upright.
TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
ON_ITS_SIDE = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """`size`: (width, height) in pixels of the upright picture. `grey`: None where only a palette's use can tell."""

    size: tuple[int, int]
    grey: bool | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not read, and why, in words to be counted: its ending, or what it is."""

    reason: str


def read_header(file: Path) -> ImageHeader | Skipped:
    """Size and colours of the image in `file`, without decoding it.

    Raises InputError for a damaged image, one of more than 8 bits a channel, and one of more pixels than Pillow trusts.
    """
    ending = file.suffix.lower()
    if not file.is_file():
        return Skipped("pipes, devices or broken links")
    from PIL import Image, UnidentifiedImageError

    try:
        with _opened(file) as image:
            if getattr(image, "is_animated", False) and image.format not in ("MPO", "TIFF"):
                return Skipped(f"animated {ending}")
            return _header(file, image)
    except UnidentifiedImageError:
        if ending in ENDINGS:
            size = "an empty file" if file.stat().st_size == 0 else "no image, or a damaged one"
            raise _unreadable(file, size) from None
        return Skipped(ending or "no ending")
    except (*IMAGE_ERRORS, Image.DecompressionBombError) as error:
        # A text may begin as an image does.
        if ending in TEXTS:
            return Skipped(ending)
        raise _unreadable(file, str(error)) from None


def may_be_image(file: Path) -> bool:
    """Whether a file is read as an image, or refused as a damaged one."""
    if file.suffix.lower() in ENDINGS:
        return file.is_file()
    try:
        return isinstance(read_header(file), ImageHeader)
    except InputError:
        return True


def read_pixels(
    file: Path, *, grey: bool, size: tuple[int, int] | None = None, resize: Resize = "crop"
) -> NDArray[np.uint8]:
    """The upright picture in `file`, (height, width, channels); what is transparent is white. 1 channel, or RGB.

    `size`: (height, width) that it is made, as `resize` says, antialiased. Raises InputError for a damaged image.
    """
    try:
        with _opened(file) as image:
            turn = TURNS.get(_orientation(image))
            if size is not None:
                # A JPEG is decoded at a half, a quarter or an eighth of its size where that is large enough still.
                image.draft(image.mode, (int(DRAFTED * max(size)),) * 2)
            plain = _turned(_on_white(_eight_bits(image)).convert("L" if grey else "RGB"), turn)
            return _as_asked(plain, size, resize)
    except (*IMAGE_ERRORS, MemoryError) as error:
        raise _unreadable(file, str(error)) from None


def fit_pixels(pixels: NDArray[np.uint8], *, grey: bool, size: tuple[int, int], resize: Resize) -> NDArray[np.uint8]:
    """`pixels` (height, width, 1 or 3) made as `read_pixels` makes them."""
    from PIL.Image import fromarray

    image = fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return _as_asked(image.convert("L" if grey else "RGB"), size, resize)


def _as_asked(image: Image, size: tuple[int, int] | None, resize: Resize) -> NDArray[np.uint8]:
    """A picture of mode L or RGB as an array (height, width, channels)."""
    pixels = np.asarray(image if size is None else _resized(image, (size[1], size[0]), resize))
    return pixels.reshape(*pixels.shape[:2], len(image.mode))


def uses_greys_only(file: Path) -> bool:
    """Whether a picture with a palette has no pixel of another colour than a grey. Decodes it."""
    try:
        with _opened(file) as image:
            used = _on_white(image).convert("RGB").getcolors(256) or [(0, (0, 1, 2))]
    except IMAGE_ERRORS as error:
        raise _unreadable(file, str(error)) from None
    return all(len(set(colour)) == 1 for _, colour in used if isinstance(colour, tuple))


def image_fault(error: InputError) -> str:
    """Why an image cannot be used, in few words."""
    return f"{error.found}, expected {error.expected}" if error.expected else error.found


@contextmanager
def _opened(file: Path) -> Iterator[Image]:
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of odd metadata, on which no pixel depends, and of many pixels, which have a bound of ours.
        warnings.simplefilter("ignore")
        # By a stream: of a path Pillow maps an uncompressed TIFF into memory, with the sides of a turned one confused.
        with file.open("rb") as stream, Image.open(stream, formats=FORMATS) as image:
            yield image


def _header(file: Path, image: Image) -> ImageHeader:
    from PIL.Image import MAX_IMAGE_PIXELS

    width, height = image.size
    if MAX_IMAGE_PIXELS and width * height > MAX_IMAGE_PIXELS:
        raise InputError(
            f"an image of {width} x {height} = {width * height:,} pixels",
            expected=f"at most {MAX_IMAGE_PIXELS:,}",
            where=str(file),
            hint="make the images smaller",
        )
    if image.mode[0] in "IF" and image.mode not in DEEP_MODES:
        hint = "convert the image"
        raise InputError(
            f"pixels of mode {image.mode}", expected="8 bits a channel, or 16 bits of grey", where=str(file), hint=hint
        )
    size = (height, width) if _orientation(image) in ON_ITS_SIDE else (width, height)
    return ImageHeader(size, None if image.mode in PALETTE_MODES else image.mode in GREY_MODES)


def _orientation(image: Image) -> int:
    """How the camera was held, 1 to 8 as EXIF counts; 1, upright, where nothing or nonsense is said."""
    # Pillow turns these itself, and says the size of what it turned.
    if image.format == "TIFF":
        return 1
    # Pillow would decode a whole PNG to look for the tag behind its pixels.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return 1
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except METADATA_ERRORS:
        return 1
    return found if isinstance(found, int) else 1


def _on_white(image: Image) -> Image:
    from PIL import Image

    if not image.has_transparency_data:
        return image
    drawn = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", drawn.size, "white"), drawn).convert("RGB")


def _eight_bits(image: Image) -> Image:
    from PIL.Image import fromarray

    if image.mode not in DEEP_MODES:
        return image
    pixels, transparent = np.asarray(image), image.info.get("transparency")
    upper = (pixels >> 8).astype(np.uint8)
    if isinstance(transparent, int):
        upper[pixels == transparent] = 255
    return fromarray(upper)


def _resized(image: Image, size: tuple[int, int], resize: Resize) -> Image:
    """`size` is (width, height) here, as Pillow has it. An image that has it already stays as it is."""
    from PIL import ImageOps
    from PIL.Image import Resampling

    if image.size == size:
        return image
    if resize == "stretch":
        return image.resize(size, Resampling.BICUBIC)
    return (ImageOps.fit if resize == "crop" else ImageOps.pad)(image, size, Resampling.BICUBIC)


def _turned(image: Image, turn: str | None) -> Image:
    from PIL.Image import Transpose

    return image.transpose(Transpose[turn]) if turn else image


def _unreadable(file: Path, why: str) -> InputError:
    return InputError(f"an image that cannot be read ({why})", where=str(file), hint="delete or replace it")
