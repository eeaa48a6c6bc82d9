"""`cspnas data`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from cspnas.cli.options import ImageSize, Json, SkipUnreadable
from cspnas.io.standard_streams import say


def data(
    data_set: Annotated[
        str, typer.Argument(metavar="PATH", help="A folder of images, a .csv or .npz file, or a data set's name.")
    ],
    image_size: ImageSize = None,
    skip_unreadable: SkipUnreadable = None,
    sheet: Annotated[Path | None, typer.Option(help="Also write a picture (PNG) of 8 images of each class.")] = None,
    force: Annotated[bool, typer.Option(help="Replace an existing picture.")] = False,
    as_json: Json = False,
) -> None:
    """Prepare a data set, and say what it holds: classes, sizes, duplicates, unreadable files, room."""
    from cspnas.cli.data import described_data
    from cspnas.data.image_settings import ImageSettings

    settings = ImageSettings((image_size, image_size) if image_size else None, skip_unreadable=bool(skip_unreadable))
    say(described_data(data_set, settings, sheet=sheet, force=force, as_json=as_json))
