"""The names in an architecture that did not come through a checked file."""

from __future__ import annotations

from typing import get_args

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import FUSIONS, SPLITS, Architecture, NormOrder, Piece, Stage, Stem, Taps, pieces
from cspnas.network.families import family_of
from cspnas.network.operations import check_name


def check_names(architecture: Architecture) -> None:
    """Raises ArchitectureError for a name that is no choice of its field, and for a stage without layers.

    Activations and widths are checked where they are wired.
    """
    for piece in pieces(architecture):
        check_piece(architecture, piece)


def check_piece(architecture: Architecture, piece: Piece) -> None:
    """`check_names` of one stage, or with the stem of the whole network's names."""
    if isinstance(piece.part, Stem):
        family_of(architecture.family)
        check_name("norm", architecture.norm, get_args(NormOrder))
        check_name("head", architecture.head, ("linear", "conv"))
        check_name("stem", architecture.stem.kind, ("conv", "pelee"))
    elif isinstance(piece.part, Stage):
        try:
            _check_stage(piece.part)
        except ArchitectureError as error:
            raise ArchitectureError(error.found, expected=error.expected, where=piece.name) from None


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
