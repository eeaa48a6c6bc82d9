"""Training a proxy: one straight page from data and network to accuracy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from cspnas.errors import FailureKind, TrainingError
from cspnas.training.augmentation import augment, mix
from cspnas.training.batches import Batch, Batches
from cspnas.training.optimization import averaged, learning_rate, optimizer_of
from cspnas.training.processes import ONE_PROCESS, Processes
from cspnas.training.recipe import Recipe

# Times the loss of a uniform guess.
DIVERGED = 1000
# Images.
VALIDATED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Epoch:
    """Means over one epoch; `accuracy` is on validation, a fraction; `seconds` of training and validation.

    `validation_loss` is the mean cross-entropy without label smoothing; None where it is not finite.
    """

    loss: float
    accuracy: float
    seconds: float
    validation_loss: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """`correct`: one boolean per validation image after the last epoch, in the data set's order."""

    curve: tuple[Epoch, ...]
    correct: np.ndarray

    @property
    def accuracy(self) -> float:
        """Last epoch's validation accuracy, never the best epoch's: the best of many is biased upward."""
        return float(self.correct.mean())


@dataclass(slots=True)
class TrainingState:
    """A training between two steps: `step` of this epoch are done, `losses` is their sum, `seconds` what they took.

    `averaged`: the averaged weights, if the recipe asks for them; they are what is evaluated, and the result.
    `order` is the epoch's order of images, None before its first step. The last epoch's validation comes after its steps.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    averaged: AveragedModel | None = None
    epoch: int = 0
    step: int = 0
    losses: float = 0.0
    seconds: float = 0.0
    order: Tensor | None = None
    curve: list[Epoch] = field(default_factory=list)


class CheckpointHook(Protocol):
    """What keeps a training's standing."""

    def restore(self, standing: TrainingState) -> None:
        """Put a training that has not begun where the kept one was, if one was kept."""

    def keep(self, standing: TrainingState, *, ends: bool) -> None:
        """A step is done. Raises KeyboardInterrupt where the training `ends` here."""

    def interrupted(self) -> bool:
        """Whether the training is to end."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same in a training; the arguments of `train_network`."""

    data: Batches
    recipe: Recipe
    micro_batch: int | None
    keeper: CheckpointHook | None
    on_batch: Callable[[TrainingState], None]
    processes: Processes
    # The network, or what runs it together with other processes.
    parallel: nn.Module

    @property
    def interrupted(self) -> bool:
        """Whether this process is asked to end."""
        return self.keeper is not None and self.keeper.interrupted()


def train_network(
    network: nn.Module,
    data: Batches,
    recipe: Recipe,
    seed: int,
    progress: Callable[[Epoch], None] = lambda epoch: None,
    *,
    on_batch: Callable[[TrainingState], None] = lambda standing: None,
    micro_batch: int | None = None,
    keeper: CheckpointHook | None = None,
    processes: Processes = ONE_PROCESS,
) -> TrainingResult:
    """Train `network` in place; the same seed on the same machine gives the same weights.

    `micro_batch`: gradients are summed over parts of a batch of at most so many images, which takes less memory. The step
    is a whole batch's still; batch norm sees a part at a time. `keeper`: goes on where the training that it knows stood,
    to the same weights and curve, and hears of every step, as `on_batch` does. `processes`: this one and those beside it,
    which call this function with the same arguments at the same time, and get the same result.

    Raises TrainingError `diverged` at the first loss that is not finite, and after an epoch whose mean loss is more than
    `DIVERGED` times that of a uniform guess, log(classes): what is that far off ends at chance level if it goes on.
    """
    # On the CPU, so that every device sees the same order.
    generator = torch.Generator().manual_seed(seed)
    network.to(data.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    standing = TrainingState(network, optimizer_of(network, recipe), generator, averaged(network, recipe))
    run = _Run(data, recipe, micro_batch, keeper, on_batch, processes, processes.parallel(network))
    if keeper is not None:
        keeper.restore(standing)
    for known in standing.curve:
        progress(known)
    correct = np.zeros(0, bool)
    while standing.epoch < recipe.epochs:
        start = time.monotonic() - standing.seconds
        _epoch(standing, run, start)
        loss = standing.losses / steps_of(data, recipe)
        _check_loss(loss, data.classes, standing.epoch + 1)
        correct, validation_loss = _validate(standing, run)
        standing.curve.append(Epoch(loss, float(correct.mean()), time.monotonic() - start, validation_loss))
        standing.epoch, standing.step, standing.order = standing.epoch + 1, 0, None
        standing.losses, standing.seconds = 0.0, 0.0
        progress(standing.curve[-1])
    if standing.averaged is not None:
        network.load_state_dict(standing.averaged.module.state_dict())
    return TrainingResult(tuple(standing.curve), correct)


def _validate(standing: TrainingState, run: _Run) -> tuple[np.ndarray, float | None]:
    """Whether each validation image is classified correctly, and the mean loss.

    It may take longer than whoever interrupts it waits.
    """
    data, together, size = run.data, run.processes, run.micro_batch or VALIDATED_AT_ONCE
    cut = False

    def until_interrupted() -> Iterator[Batch]:
        nonlocal cut
        for batch in data.validation(size, together.rank, together.count):
            if run.interrupted:
                cut = True
                return
            yield batch

    own, own_losses = _evaluated(standing.averaged or standing.network, until_interrupted(), run.recipe)
    correct, losses, ends = together.gather(own, own_losses, data.validation_count, size, cut, data.device)
    if ends and run.keeper is not None:
        run.keeper.keep(standing, ends=True)
    return correct, losses / data.validation_count if math.isfinite(losses) else None


def steps_of(data: Batches, recipe: Recipe) -> int:
    """Steps in an epoch. A last image alone joins the batch before it: batch norm has no deviation of one value."""
    whole, rest = divmod(data.count, recipe.batch_size)
    return whole + (rest > 1 or whole == 0)


def _batches(order: Tensor, recipe: Recipe) -> list[Tensor]:
    """The batches of an epoch, as `steps_of` counts them."""
    batches = list(order.split(recipe.batch_size))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _epoch(standing: TrainingState, run: _Run, start: float) -> None:
    """The steps of an epoch that are not done yet; the sum of their losses grows. `start`: when it began, monotonic."""
    standing.network.train()
    data, recipe, steps = run.data, run.recipe, steps_of(run.data, run.recipe)
    if standing.order is None:
        standing.order = torch.randperm(data.count, generator=standing.generator)
    whole = _batches(standing.order, recipe)[standing.step :]
    with closing(data.training([run.processes.share(batch) for batch in whole])) as batches:
        for batch, size in zip(batches, map(len, whole), strict=True):
            rate = learning_rate(standing.epoch * steps + standing.step, recipe.epochs * steps, recipe)
            standing.optimizer.param_groups[0]["lr"] = rate
            ends = _step(standing, run, batch, size)
            standing.step, standing.seconds = standing.step + 1, time.monotonic() - start
            if run.keeper is not None:
                run.keeper.keep(standing, ends=ends)
            run.on_batch(standing)


def _step(standing: TrainingState, run: _Run, batch: Batch, size: int) -> bool:
    """One step on `batch`, this process's part of one of `size` images. Whether the training is to end."""
    (images, labels), recipe, together = batch, run.recipe, run.processes
    generator = together.own_generator(standing.generator, standing.step)
    images, truth = mix(augment(images, recipe, generator), labels, recipe, generator, run.data.classes)
    standing.optimizer.zero_grad(set_to_none=True)
    parts, weight = _parts(len(labels), run.micro_batch), together.weight(len(labels), size)
    loss = _gradients(run.parallel, images, truth, recipe, parts, weight)
    loss, ends = together.agree(standing.network, loss, run.interrupted)
    if not math.isfinite(loss):
        place = f"epoch {standing.epoch + 1}, step {standing.step + 1}"
        raise TrainingError(FailureKind.DIVERGED, f"loss {loss} in {place}")
    standing.losses += loss
    if recipe.clip_norm:
        nn.utils.clip_grad_norm_(standing.network.parameters(), recipe.clip_norm)
    standing.optimizer.step()
    if standing.averaged is not None:
        standing.averaged.update_parameters(standing.network)
    return ends


def _parts(count: int, micro_batch: int | None) -> int:
    """How many parts a batch of `count` images is trained in; none of a single image unless the batch is."""
    return 1 if micro_batch is None else max(1, min(-(-count // micro_batch), count // 2))


def _gradients(
    network: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, parts: int, weight: float = 1.0
) -> float:
    """Add the gradients of the mean loss times `weight`, a part of the images at a time; that loss."""
    total = 0.0
    for some, truth in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            logits = network(some)
        loss = F.cross_entropy(logits.float(), truth, label_smoothing=recipe.label_smoothing)
        if parts > 1 or weight != 1:
            loss = loss * (weight * len(truth) / len(labels))
        total += loss.item()
        loss.backward()
    return total


def _check_loss(loss: float, classes: int, epoch: int) -> None:
    bound = DIVERGED * math.log(max(classes, 2))
    if not loss <= bound:
        raise TrainingError(FailureKind.DIVERGED, f"mean loss {loss:.3g} in epoch {epoch}, more than {bound:.4g}")


def predict_correct(network: nn.Module, batches: Iterable[Batch], recipe: Recipe) -> np.ndarray:
    """Whether each image is classified correctly; booleans in the batches' order."""
    return _evaluated(network, batches, recipe)[0]


@torch.inference_mode()
def _evaluated(network: nn.Module, batches: Iterable[Batch], recipe: Recipe) -> tuple[np.ndarray, float]:
    """Whether each image is classified correctly, and the sum of the images' losses."""
    network.eval()
    parts, losses = [], []
    for images, labels in batches:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            logits = network(images)
        parts.append(logits.argmax(1).eq(labels))
        losses.append(F.cross_entropy(logits.float(), labels, reduction="sum"))
    if not parts:
        return np.zeros(0, bool), 0.0
    return torch.cat(parts).cpu().numpy(), float(torch.stack(losses).sum())


def faster_precision(device: torch.device) -> str:
    """`bfloat16` where a convolution's forward and backward are measured at least 1.1 times faster than in float32."""
    # What else the machine does must not decide: a process's own time, where the work is its own.
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    layer = nn.Conv2d(32, 32, 3, padding=1).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    images = torch.randn(64, 32, 14, 14, device=device).contiguous(memory_format=torch.channels_last)

    def seconds(enabled: bool) -> float:
        start = clock()
        with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
            loss = F.batch_norm(layer(images), None, None, training=True).relu().float().square().mean()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock() - start

    # By turns, and the fastest of each.
    plain, half = zip(*[(seconds(enabled=False), seconds(enabled=True)) for _ in range(12)], strict=True)
    return "bfloat16" if min(plain) > 1.1 * min(half) else "float32"
