"""`--format python`: one source file that builds the network with PyTorch alone."""

from __future__ import annotations

import runpy
from pathlib import Path

import torch

from cspnas.export.comparison import compared, expected_outputs, random_images
from cspnas.export.network_to_export import NetworkToExport
from cspnas.export.python_source import python_source
from cspnas.version import __version__

_DOCSTRING = """A network as one file of PyTorch: images (N, {channels}, {height}, {width}) to logits (N, {classes}).

Network {digest}, written by cspnas {version}.

    network = Network()
    network.load_state_dict(safetensors.torch.load_file("best.safetensors"))  # what cspnas train wrote
    network.eval()
"""


class PythonWriter:
    """Source that says every layer; weights are loaded by name."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """The file."""
        text = python_source(source.graph, source.architecture.family, described(source), constants(source))
        return {"": text.encode()}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """Run by Python, with the same weights: its outputs are equal to the bit."""
        network: torch.nn.Module = runpy.run_path(str(path))["Network"]().eval()
        network.load_state_dict(source.module.state_dict())
        batches = random_images(source)
        with torch.inference_mode():
            theirs = torch.cat([network(images) for images in batches])
        classes = path.read_text().count("\nclass ")
        return f"{classes} classes; " + compared(expected_outputs(source, batches), theirs, "the file's own code", 0)


def described(source: NetworkToExport) -> str:
    """The file's docstring."""
    channels, height, width = source.architecture.input_shape
    return _DOCSTRING.format(
        channels=channels,
        height=height,
        width=width,
        classes=source.architecture.classes,
        digest=source.graph.digest()[:12],
        version=__version__,
    )


def constants(source: NetworkToExport) -> dict[str, object]:
    """What a program has to know that runs the network, where it is known."""
    said: dict[str, object] = {"CLASS_NAMES": source.class_names} if source.class_names else {}
    if source.pixel_statistics is not None:
        said["MEAN"], said["STD"] = source.pixel_statistics
    return said
