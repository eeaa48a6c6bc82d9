"""What is measured of a network after its training, by functions that a unit of work names."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from cspnas.training.batches import Batches
from cspnas.training.module import NetworkModule
from cspnas.training.train import TrainingResult


@dataclass(frozen=True, slots=True)
class Trained:
    """What a measured objective is computed from: the network, trained, on its `device`; the `data` that it was
    trained and validated on; the curve and the predictions of its `training`.
    """

    network: NetworkModule
    device: torch.device
    data: Batches
    training: TrainingResult


def measured(measures: Mapping[str, str], trained: Trained) -> dict[str, float]:
    """The value of each of `measures`: name to MODULE:FUNCTION, which leaves the network as it was."""
    return {name: float(pkgutil.resolve_name(function)(trained)) for name, function in measures.items()}
