"""`--format pt2` and `--format torchscript`: the network as torch stores it, which runs without the code that made it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import torch

from cspnas.export.comparison import compared, expected_outputs, random_images
from cspnas.export.network_to_export import NetworkToExport
from cspnas.training.module import fold


class Pt2Writer:
    """The traced operations and the weights, norms folded, for batches of any size; what is known is in its extra files."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """The archive."""
        image = torch.zeros(2, *source.architecture.input_shape)
        with torch.no_grad():
            program = torch.export.export(
                fold(source.module), (image,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
            )
        stored = io.BytesIO()
        torch.export.save(program, stored, extra_files=source.metadata())
        return {"": stored.getvalue()}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """Loaded by torch, which knows nothing of ours."""
        network: Any = torch.export.load(path).module()
        batches = random_images(source)
        with torch.no_grad():
            theirs = torch.cat([network(images) for images in batches])
        return compared(expected_outputs(source, batches), theirs, "torch.export")


class TorchScriptWriter:
    """What `torch.jit.load` reads, in Python, C++ and on phones: traced, norms folded, for batches of any size."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """The archive."""
        image = torch.zeros(2, *source.architecture.input_shape)
        stored = io.BytesIO()
        with torch.no_grad(), warnings.catch_warnings():
            # torch.export is torch's own choice; programs of before read this one.
            warnings.simplefilter("ignore")
            traced = torch.jit.trace(fold(source.module), image)
            torch.jit.save(traced, stored, _extra_files=source.metadata())
        return {"": stored.getvalue()}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """Loaded by torch, which knows nothing of ours."""
        batches = random_images(source)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network: Any = torch.jit.load(path)
            theirs = torch.cat([network(images) for images in batches])
        return compared(expected_outputs(source, batches), theirs, "TorchScript")
