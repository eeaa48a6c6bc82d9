"""How long one training may take before its worker counts as hung."""

from __future__ import annotations

# imports, data, a busy machine.
FLOOR_SECONDS = 600.0
# floating-point operations a second: a hundredth of what one core did in training.
SLOWEST = 0.25e9
# A training step over an inference, in operations.
BACKWARD = 3


def training_seconds(timeout: float, flops: float, images: int, epochs: int) -> float:
    """`timeout` where it is set, else generous for `epochs` over `images` of a network with `flops` an image."""
    return timeout or FLOOR_SECONDS + BACKWARD * flops * images * epochs / SLOWEST
