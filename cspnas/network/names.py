"""The names in an architecture that did not come through a checked file."""

from __future__ import annotations

from typing import get_args

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import FUSIONS, SPLITS, Architecture, NormOrder, Stage, Taps
from cspnas.network.families import family_of
from cspnas.network.operations import check_name


def check_names(architecture: Architecture) -> None:
    """Raises ArchitectureError for a name that is no choice of its field, and for a stage without layers.

    Activations and widths are checked where they are wired.
    """
    for number in range(len(architecture.stages) + 1):
        check_piece(architecture, number)


def check_piece(architecture: Architecture, number: int) -> None:
    """`check_names` of the whole network's names (0) or of one stage (from 1)."""
    if number == 0:
        family_of(architecture.family)
        check_name("norm", architecture.norm, get_args(NormOrder))
        check_name("head", architecture.head, ("linear", "conv"))
        check_name("stem", architecture.stem.kind, ("conv", "pelee"))
    elif number <= len(architecture.stages):
        try:
            _check_stage(architecture.stages[number - 1])
        except ArchitectureError as error:
            raise ArchitectureError(error.found, expected=error.expected, where=f"stage{number}") from None


def _check_stage(stage: Stage) -> None:
    if stage.depth < 1:
        raise ArchitectureError(f"depth {stage.depth}", expected="at least 1 layer")
    check_name("shortcut", stage.shortcut, ("project", "common"))
    if stage.downsample is not None:
        check_name("downsample", stage.downsample.kind, ("conv", "average"))
    if stage.csp is not None:
        check_name("fusion", stage.csp.fusion, FUSIONS)
        check_name("split", stage.csp.split, SPLITS)
        check_name("taps", stage.csp.taps, get_args(Taps))
