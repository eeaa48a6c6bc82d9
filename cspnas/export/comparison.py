"""Whether a network that left computes what it computed here."""

from __future__ import annotations

import torch
from torch import Tensor

from cspnas.errors import CspnasError
from cspnas.export.network_to_export import NetworkToExport

CHECKED_IMAGES = 16
TOLERANCE = 1e-4
# Images at a time: one alone, for what holds at one batch may not hold at another, and few enough for any memory.
CHECKED_BATCHES = (1, 5, 5, 5)


def random_images(source: NetworkToExport) -> list[Tensor]:
    """Random images in batches, (N, C, H, W): float32, normalised, or uint8 pixels where the network normalises itself."""
    generator, shape = torch.Generator().manual_seed(0), (CHECKED_IMAGES, *source.architecture.input_shape)
    if source.normalise:
        return list(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8).split(CHECKED_BATCHES))
    return list(torch.randn(shape, generator=generator).split(CHECKED_BATCHES))


def expected_outputs(source: NetworkToExport, batches: list[Tensor]) -> Tensor:
    """What the network here gives for these images."""
    with torch.inference_mode():
        read = map(source.normalised_pixels, batches) if source.normalise else batches
        return torch.cat([source.module(images) for images in read])


def compared(ours: Tensor, theirs: Tensor, reader: str, tolerance: float = TOLERANCE) -> str:
    """A line that says how far apart the outputs are. Raises CspnasError where that is beyond `tolerance`, as a share of the
    greatest output: those of an untrained network may be very small.
    """
    difference, scale = float((ours - theirs).abs().max()), float(ours.abs().max())
    # What is no number is no difference either.
    if ours.shape != theirs.shape or not difference <= tolerance * scale:
        raise CspnasError(
            f"{reader} computes other outputs from the written file: they differ by {difference:.2g} where the greatest is "
            f"{scale:.2g}; nothing was written; the weights may be damaged: train the network again"
        )
    if difference == 0:
        return f"{reader} gives the same outputs to the bit on {len(ours)} images"
    return f"{reader} gives the same outputs on {len(ours)} images, to {difference:.1g} (greatest output {scale:.2g})"
