"""cspnas searches the Cross Stage Partial design space for efficient convolutional backbones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cspnas.version import __version__

if TYPE_CHECKING:
    from cspnas.network import Network

__all__ = ["__version__", "build"]


def build(architecture: str | Path, *, seed: int = 0) -> Network:
    """The `torch.nn.Module` of an architecture, freshly initialised: (N, C, H, W) -> (N, classes).

    `architecture` is a file, or the name of a reference that comes with the package (`csdarknet53`). Raises InputError
    (one line: file, line and key) for a file that does not describe a network, TrainingError (out of memory) for one that is
    larger than this machine's memory.
    """
    import torch

    from cspnas.capacity import check_fits
    from cspnas.document import find_architecture, read_architecture
    from cspnas.families import wire
    from cspnas.network import Network, initialise

    graph = wire(read_architecture(find_architecture(str(architecture))).architecture)
    check_fits(graph, 0, torch.device("cpu"))
    network = Network(graph)
    initialise(network, seed)
    return network
