"""Whether a network fits into a device's memory, from its exact cost and before anything of it is allocated."""

from __future__ import annotations

import os

import torch

from cspnas.errors import FailureKind, TrainingError
from cspnas.io.quantities import format_quantity
from cspnas.network.cost import cost_of
from cspnas.network.graph import Graph


def device_memory(device: torch.device) -> int:
    """Bytes in all: of the GPU, or of this machine."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_fits(graph: Graph, batch_size: int, device: torch.device) -> None:
    """Raises TrainingError (out of memory) where a training step of the network needs more than the whole device has."""
    cost, there = cost_of(graph), device_memory(device)
    needed = cost.training_memory(batch_size)
    if needed > there:
        weights = cost.training_memory(0)
        raise TrainingError(
            FailureKind.OUT_OF_MEMORY,
            f"a network of {format_quantity(cost.flops, '')} FLOPs and {format_quantity(cost.params, '')} parameters needs "
            f"{format_quantity(needed, 'bytes')} to train at batch {batch_size} "
            f"({format_quantity(weights, 'bytes')} for weights, gradients and optimiser, "
            f"{format_quantity(needed - weights, 'bytes')} for what the backward pass reads); {device} has "
            f"{format_quantity(there, 'bytes')}",
        )
