"""Whether a checkpoint can have been written by the training that reads it: a right checksum says only who wrote it last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

# torch ends the process where it cannot start as many as it is told.
MOST_THREADS = 1024


def check_progress(about: Any, epochs: int, steps: int) -> None:
    """Raises ValueError, TypeError or KeyError for numbers that no training of so many epochs and steps can have reached."""
    for name, least, most in (("epoch", 0, epochs - 1), ("step", 1, steps), ("threads", 1, MOST_THREADS)):
        if type(about[name]) is not int or not least <= about[name] <= most:
            raise ValueError(f"{name} {about[name]!r:.40}, expected {least} to {most}")
    if len(about["curve"]) != about["epoch"]:
        raise ValueError(f"{len(about['curve'])} epochs in its curve, expected {about['epoch']}")
    curve = [
        value for epoch in about["curve"] for name, value in epoch.items() if (name, value) != ("validation_loss", None)
    ]
    numbers = [about["losses"], about["seconds"], *curve]
    if not all(type(number) in (int, float) and isfinite(number) for number in numbers):
        raise ValueError("a loss, an accuracy or a time that is no number")


def check_tensors(
    tensors: Mapping[str, Tensor], weights: Mapping[str, Tensor], optimizer: torch.optim.Optimizer, images: int
) -> None:
    """Raises ValueError, TypeError, KeyError or RuntimeError for tensors that do not fit the training's own.

    `weights` are those of the network that is to go on, by their names in the checkpoint.
    """
    for name, own in weights.items():
        _check_like(name, tensors[name], own)
    _check_optimizer(tensors, optimizer.param_groups[0]["params"])
    order = tensors["order"]
    if order.dtype != torch.int64 or not torch.equal(order.flatten().sort().values, torch.arange(images)):
        raise ValueError("an order that is none of its images")
    # Raises RuntimeError for a state that is none.
    torch.Generator().set_state(tensors["generator"])


def _check_optimizer(tensors: Mapping[str, Tensor], parameters: list[nn.Parameter]) -> None:
    """Every parameter has the same state: tensors like itself, or counts of steps."""
    names: dict[int, set[str]] = defaultdict(set)
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            names[int(number)].add(name)
            if name != "step":
                _check_like(key, value, parameters[int(number)])
            elif value.shape != ():
                raise ValueError(f"{key} of shape {tuple(value.shape)}, expected ()")
    if set(names) != set(range(len(parameters))) or len({*map(frozenset, names.values())}) != 1:
        raise ValueError("an optimizer of other parameters")


def _check_like(name: str, found: Tensor, own: Tensor) -> None:
    if (found.shape, found.dtype) != (own.shape, own.dtype):
        raise ValueError(f"{name} of {found.dtype} {tuple(found.shape)}, expected {own.dtype} {tuple(own.shape)}")
