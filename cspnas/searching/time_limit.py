"""How long one training may take before its worker counts as hung."""

from __future__ import annotations

from cspnas.network.cost import STEP_OVER_INFERENCE

# imports, data, a busy machine.
FLOOR_SECONDS = 600.0
# floating-point operations a second: a hundredth of what one core did in training.
SLOWEST = 0.25e9


def training_seconds(timeout: float, flops: float, images: int, epochs: int) -> float:
    """`timeout` where it is set, else generous for `epochs` over `images` of a network with `flops` an image."""
    return timeout or FLOOR_SECONDS + STEP_OVER_INFERENCE * flops * images * epochs / SLOWEST
