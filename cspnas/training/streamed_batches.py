"""Batches of a data set that is larger than a GPU's memory: a thread reads them ahead of the training."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from cspnas.data.datasets import DataSet, Split
from cspnas.training.batches import Batch, InMemoryBatches, free_on
from cspnas.training.residence import fits_beside

_T = TypeVar("_T")
# Batches that are read and wait: one for the training, one for a reading that takes longer than others.
AHEAD = 2


class StreamedBatches(InMemoryBatches):
    """A data set whose pixels stay in memory, or in their prepared file; the batches are those of `InMemoryBatches`.

    Of a GPU they go through pinned memory, from which they are copied while it computes.
    """

    def _place(self, split: Split) -> Split:
        return split

    def leaves_room(self, training: int) -> bool:
        """Always: there is nothing to take away."""
        return True

    def _deliver(self, batches: Iterator[Batch]) -> Generator[Batch]:
        for images, labels in prefetched(map(self._pinned, batches)):
            yield images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)

    def _pinned(self, batch: Batch) -> Batch:
        return batch if self.device.type != "cuda" else (batch[0].pin_memory(), batch[1].pin_memory())


def prefetched(items: Iterator[_T], ahead: int = AHEAD) -> Generator[_T]:
    """The same `items`, none of them None, made by a thread that is up to `ahead` of their reader and ends with it.

    What the making raises, the reader gets in its place.
    """
    with ThreadPoolExecutor(1, "prefetch") as thread:
        waiting = deque(thread.submit(next, items, None) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not None:
                waiting.append(thread.submit(next, items, None))
                yield item
        finally:
            thread.shutdown(wait=False, cancel_futures=True)


def batches_of(
    data: DataSet, device: torch.device, training: int, free: Callable[[torch.device], int] = free_on
) -> type[InMemoryBatches]:
    """The class for a data set on `device`, beside trainings of so many predicted bytes.

    On a GPU the images stay where they fit. On the CPU those of a prepared file are mapped, so that they always do.
    """
    images = data.train.images.nbytes + data.validation.images.nbytes
    resident = device.type != "cuda" or fits_beside(images, training, free(device))
    return InMemoryBatches if resident else StreamedBatches
