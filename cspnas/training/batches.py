"""What a network is trained on: batches of normalised images, wherever the pixels lie."""

from __future__ import annotations

import mmap
from collections.abc import Generator, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from cspnas.data.datasets import DataSet, Split
from cspnas.training.residence import fits_beside

# A page that is read brings its neighbours: of images in random order, six times their bytes were mapped.
RELEASED_BYTES = 1 << 24
# Images float32 (N, C, H, W), channels_last; labels int64 (N,).
Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    """A data set as a training sees it; whatever it gives lies on `device`.

    `shape` is (C, H, W) of an image, `count` and `validation_count` the number of training and of validation images,
    `checksum` that of the data set. The same images in the same order give the same batches, to the bit.
    """

    device: torch.device
    shape: tuple[int, int, int]
    classes: int
    count: int
    validation_count: int
    checksum: str

    def training(self, batches: Sequence[Tensor]) -> Generator[Batch]:
        """A batch of the training images that each of `batches` numbers, (N,) on the CPU, in its order."""

    def validation(self, batch_size: int, first: int = 0, every: int = 1) -> Generator[Batch]:
        """The validation images in the data set's order; of their batches each `every`-th from number `first` on."""


def free_on(device: torch.device) -> int:
    """Bytes that are free on a GPU, those that this process's allocator holds in reserve counted in."""
    reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0] + reserved)


class InMemoryBatches:
    """A data set whose pixels live on the device as uint8; on the CPU those of a prepared file stay in the file.

    The system keeps what is read of a file as long as it has room. This process lets it go every `RELEASED_BYTES`, so that
    a data set may be larger than memory.
    """

    def __init__(self, data: DataSet, device: torch.device) -> None:
        self.device, self.shape, self.classes, self.checksum = device, data.input_shape, data.classes, data.checksum
        self.count, self.validation_count = len(data.train.labels), len(data.validation.labels)
        self._mean = torch.tensor(data.mean, device=device).view(1, -1, 1, 1) * 255
        self._scale = torch.tensor(data.std, device=device).view(1, -1, 1, 1).mul(255).reciprocal()
        self._train, self._validation = self._place(data.train), self._place(data.validation)
        self._mapping, self._read_bytes = data.file.mapping if data.file else None, 0

    def training(self, batches: Sequence[Tensor]) -> Generator[Batch]:
        """As `Batches.training`."""
        return self._normalised(self._chosen(batches))

    def validation(self, batch_size: int, first: int = 0, every: int = 1) -> Generator[Batch]:
        """As `Batches.validation`."""
        return self._normalised(self._in_order(self._validation, batch_size, first, every))

    def of(self, split: Split, batch_size: int) -> Generator[Batch]:
        """All images of another part of the data set, in its order, normalised as the training part is."""
        return self._normalised(self._in_order(self._place(split), batch_size))

    def leaves_room(self, training: int) -> bool:
        """Whether a training of so many predicted bytes fits beside the images where they are now."""
        return self.device.type != "cuda" or fits_beside(0, training, free_on(self.device))

    def _chosen(self, batches: Sequence[Tensor]) -> Iterator[Batch]:
        sizes = [len(batch) for batch in batches]
        for chosen in torch.cat(list(batches)).to(self._train.labels.device).split(sizes) if sizes else ():
            images = self._train.images[chosen]
            self._release(images.nbytes)
            yield images, self._train.labels[chosen]

    def _in_order(self, split: Split, batch_size: int, first: int = 0, every: int = 1) -> Iterator[Batch]:
        images_of, labels_of = (whole.split(batch_size)[first::every] for whole in (split.images, split.labels))
        for images, labels in zip(images_of, labels_of, strict=True):
            yield images, labels
            self._release(images.nbytes)

    def _normalised(self, batches: Iterator[Batch]) -> Generator[Batch]:
        """uint8 (N, C, H, W) -> float32, zero mean and unit deviation per channel of the training part."""
        for images, labels in self._deliver(batches):
            normal = (images.float() - self._mean) * self._scale
            yield normal.contiguous(memory_format=torch.channels_last), labels

    def _deliver(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same on the device."""
        return batches

    def _release(self, read_bytes: int) -> None:
        self._read_bytes += read_bytes
        if self._mapping is not None and self._read_bytes > RELEASED_BYTES:
            self._mapping.madvise(mmap.MADV_DONTNEED)
            self._read_bytes = 0

    def _place(self, split: Split) -> Split:
        return Split(split.images.to(self.device), split.labels.to(self.device))
