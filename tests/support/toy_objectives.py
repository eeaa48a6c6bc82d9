"""Two objectives from outside the package: one is exact, the other is measured after each training."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)

from cspnas.objectives.objectives import OBJECTIVES, Objective
from cspnas.training.measurement import Trained


def validation_loss(trained: Trained) -> float:
    """Mean cross entropy on the validation images, in nats."""
    total, count = 0.0, 0
    with torch.inference_mode():
        for images, labels in trained.data.validation(100):
            total += float(F.cross_entropy(trained.network(images), labels, reduction="sum"))
            count += len(labels)
    return total / count


WEIGHTS = Objective("weights", "weights (bytes)", "bytes", False, lambda cost, batch: cost.weight_bytes)
LOSS = Objective(
    "loss", "validation loss (nats)", "nats", False, span=(1e-4, 100.0), measure="toy_objectives:validation_loss"
)
FLOPS = OBJECTIVES["flops"]
