"""How long a network's training will take on a device, from a few steps on images of noise."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor

from cspnas.network.architecture import Architecture
from cspnas.network.cost import STEP_OVER_INFERENCE, cost_of
from cspnas.network.graph import Graph
from cspnas.network.wiring import wire
from cspnas.training.batches import Batch
from cspnas.training.latency import one_thread
from cspnas.training.memory_check import check_fits
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.recipe import Recipe
from cspnas.training.train import TrainingState, faster_precision, train_network

# At most; the first one also makes what later ones use again.
MOST_STEPS = 8
# Floating-point operations of one step at most, by fewer images: some tenths of a second of one core.
STEP_FLOPS = 1.5e9
LEAST_STEPS = 3
# Seconds of a processor for measuring, after which the networks that are left are reckoned from those before, by their FLOPs.
LONG_MEASURING = 2.0
# Seconds of steps after which no further one is made, of a few, and at all.
ENOUGH, LONG = 0.4, 2.0


class _EnoughError(Exception):
    """Steps were timed."""


class _Stopwatch:
    """Times the steps of a training, then ends it. On a CPU what other programs take of it meanwhile does not count."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: list[float] = []
        self._clock = time.process_time if device.type == "cpu" else time.perf_counter
        self._last = self._clock()

    def restore(self, standing: TrainingState) -> None:
        """It begins."""
        self._last = self._clock()

    def keep(self, standing: TrainingState, *, ends: bool = False) -> None:
        """A step is done."""
        now = self._clock()
        self.seconds.append(now - self._last)
        self._last = now
        spent, steps = sum(self.seconds), len(self.seconds)
        if steps == MOST_STEPS or (steps >= LEAST_STEPS and spent > ENOUGH) or spent > LONG:
            raise _EnoughError

    def interrupted(self) -> bool:
        """Never."""
        return False


class _Noise:
    """Images of noise, as `Batches`: what an image shows changes no time."""

    checksum = ""
    validation_count = 0

    def __init__(self, graph: Graph, batch_size: int, device: torch.device) -> None:
        channels, height, width = graph.operations[0].shape
        self.device, self.shape = device, (channels, height, width)
        self.classes = graph.operations[graph.output].shape[0]
        self.count = MOST_STEPS * batch_size

    def training(self, batches: Sequence[Tensor]) -> Generator[Batch]:
        """As `Batches.training`."""
        batch_size = len(batches[0])
        images = torch.randn(batch_size, *self.shape, device=self.device)
        labels = torch.arange(batch_size, device=self.device) % self.classes
        for _ in batches:
            yield images.contiguous(memory_format=torch.channels_last), labels

    def validation(self, batch_size: int, first: int = 0, every: int = 1) -> Generator[Batch]:
        """None: the training ends before."""
        yield from ()


def seconds_an_image(graph: Graph, recipe: Recipe, device: torch.device) -> float:
    """Seconds for each image of a training step, as a search's worker has them.

    Raises TrainingError for a network that does not fit or cannot be trained.
    """
    batch_size = max(2, min(recipe.batch_size, int(STEP_FLOPS / (STEP_OVER_INFERENCE * cost_of(graph).flops))))
    check_fits(graph, batch_size, device)
    network, watch = NetworkModule(graph), _Stopwatch(device)
    initialise(network, 0)
    with one_thread(device), suppress(_EnoughError):
        precision = faster_precision(device) if recipe.precision == "auto" else recipe.precision
        timed = replace(recipe, batch_size=batch_size, precision=precision)
        train_network(network, _Noise(graph, batch_size, device), timed, 0, keeper=watch)
    return min(watch.seconds[1:] or watch.seconds) / batch_size


def seconds_of_each(networks: Sequence[Architecture], recipe: Recipe, device: torch.device) -> list[float]:
    """`seconds_an_image` of each of these networks, the smallest first; errors are the same."""
    found: list[float] = []
    start, graphs = time.process_time(), [wire(network) for network in networks]
    flops = [cost_of(graph).flops for graph in graphs]
    for number, graph in enumerate(graphs):
        if found and time.process_time() - start > LONG_MEASURING:
            found.append(found[-1] * flops[number] / flops[number - 1])
        else:
            found.append(seconds_an_image(graph, recipe, device))
    return found
