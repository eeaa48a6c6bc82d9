"""The file that a training goes on from: nothing of the user's is overwritten that is none, or that is another training's."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cspnas.errors import InputError

if TYPE_CHECKING:
    from cspnas.training.checkpoint import CheckpointKey

_ENDING = ".checkpoint"
_NAMES = {"recipe_digest": "recipe", "digest": "network", "code": "version of cspnas", "torch": "version of torch"}


def checked_checkpoint(path: Path) -> Path:
    """`path`, whose folder need not be there. Raises InputError for a folder, and for a file that no training wrote: a
    checkpoint that is damaged is known by its ending.
    """
    from cspnas.training.checkpoint import kept_key

    if path.is_dir():
        raise InputError("a folder", expected="a file", where=f"cspnas.train checkpoint={path}")
    if path.exists() and path.suffix != _ENDING and kept_key(path) is None:
        raise InputError(
            "a file that is no checkpoint",
            expected="one that cspnas.train wrote, or a name that is free",
            where=f"cspnas.train checkpoint={path}",
            hint="choose another name",
        )
    return path


def check_same_training(path: Path, key: CheckpointKey) -> None:
    """Raises InputError where the checkpoint of another training lies at `path`: hours of work may be in it."""
    from cspnas.training.checkpoint import kept_key

    kept = kept_key(path)
    if kept is None:
        return
    there, here = asdict(kept), asdict(key)
    other = [_NAMES.get(name, name) for name in here if there[name] != here[name]]
    if other:
        raise InputError(
            f"a training that was not finished, with another {', '.join(other)}",
            expected="the options that it was begun with",
            where=str(path),
            hint="repeat them to go on with it, or begin anew: with --force, or without that file",
        )
