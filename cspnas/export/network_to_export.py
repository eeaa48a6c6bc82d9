"""What every export format is given: a network, its weights, and what its file says of the images that it reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.errors import InputError
from cspnas.network.architecture import Architecture
from cspnas.network.graph import Graph
from cspnas.network.wiring import wire

if TYPE_CHECKING:
    from torch import Tensor

    from cspnas.training.module import NetworkModule

# Training images that the ranges of values are measured on.
CALIBRATION_IMAGES = 256


# Tensors have no truth value for ==.
@dataclass(frozen=True, slots=True, eq=False)
class QuantisationData:
    """`training` images tell the ranges of values; accuracy is that on `images` with their `labels`, the data set's `part`.
    Images are uint8 (N, C, H, W).
    """

    training: Tensor
    images: Tensor
    labels: Tensor
    part: str


@dataclass(frozen=True)
class NetworkToExport:
    """`document`: an architecture file's other parts (costs, measured, data, recipe). `network` is in inference mode,
    None for a format that needs none; `weights`: the file that its weights are from, None: untrained. `origin` names it
    in errors. `normalise`: the exported network reads pixels from 0 to 255 and normalises them itself.
    `quantisation`: what it is brought to 8 bits with, None: it stays in float32.
    """

    architecture: Architecture
    document: Mapping[str, Any]
    network: NetworkModule | None
    weights: Path | None
    origin: str
    normalise: bool = False
    quantisation: QuantisationData | None = None

    @cached_property
    def graph(self) -> Graph:
        """With its norms."""
        return wire(self.architecture)

    @property
    def module(self) -> NetworkModule:
        """The network of a format that carries weights."""
        assert self.network is not None
        return self.network

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """By output; empty where the file says none. Raises InputError for names that are none, or not one a class."""
        names = self._of_data("class_names")
        if names is None:
            return ()
        classes = self.architecture.classes
        if not isinstance(names, list) or len(names) != classes or not all(isinstance(name, str) for name in names):
            raise InputError("other class names", expected=f"{classes} texts", where=f"{self.origin}: data.class_names")
        return tuple(names)

    @cached_property
    def pixel_statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Mean and standard deviation of the training pixels from 0 to 1, by channel; None where the file says none.

        Raises InputError for what cannot be these.
        """
        mean, std = self._of_data("mean"), self._of_data("std")
        if mean is None and std is None:
            return None
        channels = self.architecture.input_shape[0]
        for key, values, least in (("mean", mean, -1e6), ("std", std, 1e-6)):
            numbers = isinstance(values, list) and all(type(value) in (int, float) for value in values)
            if not numbers or len(values) != channels or not all(isfinite(v) and v >= least for v in values):
                expected = f"{channels} numbers" + (" above 0" if key == "std" else "")
                raise InputError(f"{values!r:.60}", expected=expected, where=f"{self.origin}: data.{key}")
        return tuple(mean), tuple(std)

    def statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """`pixel_statistics` where they are needed. Raises InputError where the file says none."""
        if self.pixel_statistics is None:
            raise InputError(
                "no mean and std of the training pixels",
                expected="data.mean and data.std",
                where=self.origin,
                hint="leave out --normalise, or export a network of a study",
            )
        return self.pixel_statistics

    def normalised_pixels(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W) as the network reads them, float32."""
        import torch

        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in self.statistics())
        return (images / 255 - mean) / std

    def metadata(self) -> dict[str, str]:
        """What a program that runs the exported network has to know, as texts by key."""
        from cspnas.version import __version__

        channels, height, width = self.architecture.input_shape
        reads = {"layout": "NCHW", "channels": channels, "height": height, "width": width}
        reads["values"] = "pixels from 0 to 255" if self.normalise else "(pixels / 255 - mean) / std"
        if self.pixel_statistics is not None:
            reads["mean"], reads["std"] = map(list, self.pixel_statistics)
        return {
            "cspnas": __version__,
            "digest": self.graph.digest(),
            "classes": str(self.architecture.classes),
            "class_names": json.dumps(self.class_names),
            "input": json.dumps(reads),
            "weights": "trained" if self.weights else "untrained",
        }

    def _of_data(self, key: str) -> Any:
        return (self.document.get("data") or {}).get(key)
