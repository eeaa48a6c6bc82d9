"""How long one training may take before its worker counts as hung."""

from __future__ import annotations

FLOOR_SECONDS = 600.0  # imports, data, a busy machine
SLOWEST = 0.25e9  # floating-point operations a second: a hundredth of what one core did in training
BACKWARD = 3  # a training step over an inference, in operations


def training_seconds(timeout: float, flops: float, images: int, epochs: int) -> float:
    """`timeout` where it is set, else generous for `epochs` over `images` of a network with `flops` an image."""
    return timeout or FLOOR_SECONDS + BACKWARD * flops * images * epochs / SLOWEST
