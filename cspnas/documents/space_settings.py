"""What flags say of a space file's keys, for every command that reads one: `--set`, `--dataset`, `--constraint` ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cspnas.documents.space_file import apply_set, read_space
from cspnas.io.steps import Step, silent
from cspnas.objectives.objectives import Constraint, check_objectives, parse_constraint
from cspnas.study.settings import Study

# Dotted key to (flag, value, None where it was not given).
Flags = dict[str, tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class SpaceSettings:
    """`sets`: each KEY=VALUE of `--set`."""

    flags: Flags
    sets: Sequence[str] = ()
    constraints: Sequence[str] = ()

    def given(self) -> list[str]:
        """The flags that say something."""
        lists = {"--constraint": self.constraints, "--set": self.sets}
        return [flag for flag, value in (*self.flags.values(), *lists.items()) if value]

    def read(self, path: Path, *, training: bool = False, step: Step = silent) -> Study:
        """The study of a space file with these settings; `step` hears of a data set that is read for it.

        Raises InputError as `read_space` does, or with the flag.
        """
        bounds = self._bounds()
        overrides, sources = self._overrides()
        from cspnas.data.registry import folder_form

        study = read_space(path, overrides, sources, partial(folder_form, step=step), training=training)
        return replace(study, constraints=merged(study.constraints, bounds))

    def _bounds(self) -> list[Constraint]:
        """The constraints of the flags. Raises InputError for one that is none, and for objectives that cannot be."""
        flag, objectives = self.flags.get("objectives", ("", None))
        if objectives is not None:
            check_objectives(objectives, flag)
        return [parse_constraint(text) for text in self.constraints]

    def _overrides(self) -> tuple[Mapping[str, Any], dict[str, str]]:
        """Values by dotted key, and the flag that set each."""
        overrides = dict(apply_set(text) for text in self.sets)
        sources = {key: f"--set {key}" for key in overrides}
        for key, (flag, value) in self.flags.items():
            if value is not None:
                overrides[key], sources[key] = value, flag
        return overrides, sources


def merged(from_file: tuple[Constraint, ...], flags: list[Constraint]) -> tuple[Constraint, ...]:
    """A flag's constraint takes the place of the file's on the same cost and side."""
    replaced = {(c.name, c.sign) for c in flags}
    return (*(c for c in from_file if (c.name, c.sign) not in replaced), *flags)


def space_settings(
    images: tuple[str | None, int | None, bool | None],
    objective: list[str] | None,
    constraint: list[str] | None,
    set_: list[str] | None,
    more: Flags | None = None,
) -> SpaceSettings:
    """Of the options that every command on a space has, and of `more` of one command. `images`: data set, side of an image
    in pixels, and whether those that cannot be read are left out.
    """
    dataset, image_size, skip_unreadable = images
    flags: Flags = {
        **(more or {}),
        "proxy.dataset": ("--dataset", dataset),
        "proxy.image_size": ("--image-size", image_size),
        "proxy.skip_unreadable": ("--skip-unreadable", skip_unreadable),
        "objectives": ("--objective", objective or None),
    }
    return SpaceSettings(flags, set_ or [], constraint or [])
