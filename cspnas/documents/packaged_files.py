"""Files that come with the package (in a checkout: the folders beside it), found by name."""

from __future__ import annotations

from pathlib import Path

from cspnas.errors import InputError
from cspnas.io.did_you_mean import nearest


def shipped(folder: str) -> dict[str, Path]:
    """Name to file of everything in `folder` (search_spaces, architectures)."""
    package = Path(__file__).parent.parent
    place = package / folder
    if not place.is_dir():
        place = package.parent / folder
    return {path.stem: path for path in sorted(place.glob("*.yaml"))}


def find(name: str, folder: str, *, noun: str, where: str) -> Path:
    """The file that a user names: a path, or one of `folder` by its name. Raises InputError with the nearest name."""
    known, there = shipped(folder), False
    try:
        if Path(name).is_file():
            return Path(name)
        there = Path(name).exists()
    # Longer than a path may be, or in a folder that may not be read.
    except (OSError, ValueError):
        pass
    if name.removesuffix(".yaml") in known:
        return known[name.removesuffix(".yaml")]
    what = f"{'a folder' if Path(name).is_dir() else 'a device or a pipe'} {name!r}" if there else ""
    raise InputError(
        what or f"no file and no shipped {noun} {name!r}",
        expected=f"a YAML file or one of {', '.join(known)}",
        where=where,
        hint=nearest(Path(name).stem, known),
    )
