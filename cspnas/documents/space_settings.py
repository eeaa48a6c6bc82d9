"""What flags say of a space file's keys, for every command that reads one: `--set`, `--dataset`, `--constraint` ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cspnas.documents.space_file import apply_set, read_space
from cspnas.io.steps import Step, silent
from cspnas.objectives.objectives import Constraint, check_objectives, parse_constraint
from cspnas.study.settings import Study


@dataclass(frozen=True, slots=True)
class SpaceSettings:
    """`flags`: dotted key to (flag, value, None where it was not given); `sets`: each KEY=VALUE of `--set`."""

    flags: dict[str, tuple[str, Any]]
    sets: Sequence[str] = ()
    constraints: Sequence[str] = ()

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

    def _overrides(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Values by dotted key, and the flag that set each."""
        overrides: dict[str, Any] = dict(apply_set(text) for text in self.sets)
        sources = {key: f"--set {key}" for key in overrides}
        for key, (flag, value) in self.flags.items():
            if value is not None:
                overrides[key], sources[key] = value, flag
        return overrides, sources


def merged(from_file: tuple[Constraint, ...], flags: list[Constraint]) -> tuple[Constraint, ...]:
    """A flag's constraint takes the place of the file's on the same cost and side."""
    replaced = {(c.name, c.sign) for c in flags}
    return (*(c for c in from_file if (c.name, c.sign) not in replaced), *flags)


def data_flags(dataset: str | None, image_size: int | None, skip_unreadable: bool | None) -> dict[str, tuple[str, Any]]:
    """The flags of a command that say which images a space is of, by the keys that they replace."""
    return {
        "proxy.dataset": ("--dataset", dataset),
        "proxy.image_size": ("--image-size", image_size),
        "proxy.skip_unreadable": ("--skip-unreadable", skip_unreadable),
    }
