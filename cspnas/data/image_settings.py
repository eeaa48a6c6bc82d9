"""How the images of a folder, which may be of many sizes and kinds, are made equal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Resize = Literal["crop", "pad", "stretch"]
Channels = Literal["auto", 1, 3]


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """`size`: (height, width) in pixels, None where all images have one size already.

    `resize`: `crop` cuts what is too much, `pad` adds black edges, `stretch` changes the proportions. `channels`: `auto`
    is 1 where all training images are grey, else 3. `skip_unreadable`: leave damaged images out instead of refusing them.
    """

    size: tuple[int, int] | None = None
    resize: Resize = "crop"
    channels: Channels = "auto"
    skip_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class ImageForm:
    """What all images are made equal to: (width, height) in pixels, and colours."""

    size: tuple[int, int]
    grey: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return 1 if self.grey else 3, self.size[1], self.size[0]


AS_THEY_ARE = ImageSettings()
