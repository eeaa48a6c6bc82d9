"""cspnas searches the Cross Stage Partial design space for efficient convolutional backbones.

The functions below are all that most programs need; the command line calls the same ones. Each has a `help()` of its own.
They raise the errors of `cspnas.errors`, whose text is one line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cspnas.version import __version__

if TYPE_CHECKING:
    from cspnas.api.networks import build, cost
    from cspnas.api.searches import search
    from cspnas.api.spaces import load_space
    from cspnas.api.studies import open_study
    from cspnas.api.trainings import train

__all__ = ["__version__", "build", "cost", "load_space", "open_study", "search", "train"]

# Imported when first asked for: `import cspnas` loads neither torch nor Optuna.
_HOMES = {
    "build": "cspnas.api.networks",
    "cost": "cspnas.api.networks",
    "load_space": "cspnas.api.spaces",
    "open_study": "cspnas.api.studies",
    "search": "cspnas.api.searches",
    "train": "cspnas.api.trainings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
