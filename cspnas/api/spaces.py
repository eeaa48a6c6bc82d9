"""Search spaces in Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cspnas.documents.space_file import find_space, read_space
from cspnas.errors import InputError
from cspnas.io.steps import Step, silent
from cspnas.study.settings import Study


def load_space(space: str | Path, settings: Mapping[str, Any] | None = None, *, on_step: Step = silent) -> Study:
    """What a space file describes: genes, objectives, constraints, how candidates are trained, the search's budget.

    `space` is a file, or the name of a space that comes with the package (`densenet`). `settings` replaces keys of the file,
    with dots as in `{"proxy.epochs": 1, "stages.0.depth": [1, 2]}`. The result is a frozen value: `dataclasses.replace`
    changes it, `.space` is the space alone. Raises InputError (one line: file, line and key) for what no search can run on.

    >>> space = load_space("densenet", {"search.trials": 12})
    >>> space.trials, space.space.size
    (12, 4446000)
    """
    if not isinstance(settings or {}, Mapping):
        found, expected = f"settings={settings!r}", 'a mapping as in {"proxy.epochs": 1}'
        raise InputError(found, expected=expected, where="cspnas.load_space")
    return _read(space, settings or {}, training=False, on_step=on_step)


def space_to_search(space: Study | str | Path, on_step: Step) -> Study:
    """`space` as a search needs it: with data to train on."""
    return space if isinstance(space, Study) else _read(space, {}, training=True, on_step=on_step)


def _read(space: str | Path, settings: Mapping[str, Any], *, training: bool, on_step: Step) -> Study:
    from functools import partial

    from cspnas.data.registry import folder_form

    sources = {key: f"settings[{key!r}]" for key in settings}
    form = partial(folder_form, step=on_step)
    return read_space(find_space(str(space)), dict(settings), sources, form, training=training)
