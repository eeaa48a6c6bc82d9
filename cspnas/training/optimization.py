"""The steps of a training as its recipe asks for them: optimizer, learning rate, averaged weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cspnas.training.recipe import Recipe

_Tensors = tuple[Tensor, ...] | list[Tensor]


def optimizer_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Of all weights of `network`; its learning rate is to be set before each step."""
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), lr=1.0, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay)


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Linear to the peak over the first `warmup` share of all `steps`, then to zero: linearly, or as half a cosine wave."""
    warm = max(1, int(steps * recipe.warmup))
    if step < warm:
        return recipe.learning_rate * ((step + 1) / warm)
    left = (steps - step) / max(1, steps - warm)
    return recipe.learning_rate * (left if recipe.schedule == "linear" else (1 - math.cos(math.pi * left)) / 2)


def averaged(network: nn.Module, recipe: Recipe) -> AveragedModel | None:
    """Exponential means of the weights and of batch norm's statistics, to be updated after each step; None without `ema`.

    After n steps the decay is at most (1 + n) / (10 + n), so that the mean of a short training has left its random weights.
    """
    if not recipe.ema:
        return None

    def update(means: _Tensors, current: _Tensors, steps: Tensor | int) -> None:
        done = int(steps)
        get_ema_multi_avg_fn(min(recipe.ema, (1 + done) / (10 + done)))(means, current, done)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
