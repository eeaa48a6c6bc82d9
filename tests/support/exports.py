"""Networks to export: their weights and statistics random, so that what is forgotten or swapped shows in the outputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from random_architectures import randomise

from cspnas.documents.architecture_file import find_architecture, read_architecture
from cspnas.export.formats import EXPORT_FORMATS, write_format
from cspnas.export.network_to_export import NetworkToExport
from cspnas.network.architecture import Architecture
from cspnas.network.wiring import wire
from cspnas.training.module import NetworkModule

DATA = {"mean": [0.3, 0.4, 0.5], "std": [0.2, 0.25, 0.3]}


def reference(name: str, size: int = 32) -> Architecture:
    """A reference network on small images, with few classes."""
    architecture = read_architecture(find_architecture(name)).architecture
    return replace(architecture, input_shape=(3, size, size), classes=7)


def source_of(architecture: Architecture, *, normalise: bool = False, **data: Any) -> NetworkToExport:
    """A network as `cspnas export` has it, with random weights; each output depends on the image."""
    torch.manual_seed(0)
    network = NetworkModule(wire(architecture))
    randomise(network)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(4, *architecture.input_shape))
    document = {"data": data} if data else {}
    return NetworkToExport(architecture, document, network.eval(), Path("w.safetensors"), "a.yaml", normalise)


def export(source: NetworkToExport, form: str, path: Path) -> str:
    """Write it to `path`; what the check said."""
    return write_format(EXPORT_FORMATS[form], source, path, force=False)
