"""A training reads batches, and does not know where their pixels lie."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import architecture, dataset
from torch import Tensor

from cspnas.data.datasets import DataSet, Split
from cspnas.network.wiring import wire
from cspnas.training.batches import Batch, Batches, InMemoryBatches
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.recipe import Recipe
from cspnas.training.train import train_network

CPU = torch.device("cpu")


class OnDisk:
    """Training images in a memory-mapped file, a batch of them read at a time."""

    def __init__(self, data: DataSet, path: Path) -> None:
        self.inner = InMemoryBatches(data, CPU)
        self.device, self.shape, self.classes, self.checksum = CPU, data.input_shape, data.classes, data.checksum
        self.count, self.labels = len(data.train.labels), data.train.labels
        self.validation_count = len(data.validation.labels)
        np.save(path, data.train.images.numpy())
        self.images = np.load(path, mmap_mode="r")

    def training(self, batches: Sequence[Tensor]) -> Generator[Batch]:
        for chosen in batches:
            read = torch.from_numpy(self.images[chosen.numpy()])
            yield from self.inner.of(Split(read, self.labels[chosen]), len(chosen))

    def validation(self, batch_size: int, first: int = 0, every: int = 1) -> Generator[Batch]:
        return self.inner.validation(batch_size, first, every)


def losses(data: Batches) -> list[float]:
    network = NetworkModule(wire(architecture()))
    initialise(network, 3)
    return [epoch.loss for epoch in train_network(network, data, Recipe(epochs=2, batch_size=48, shift=1), 3).curve]


def test_images_on_disk_train_to_the_losses_of_the_same_images_in_memory(tmp_path: Path) -> None:
    assert losses(OnDisk(dataset(), tmp_path / "images.npy")) == losses(InMemoryBatches(dataset(), CPU))


def test_batches_hold_the_images_that_are_asked_for_in_that_order() -> None:
    data, order = InMemoryBatches(dataset(), CPU), torch.randperm(200)
    found = list(data.training(order.split(48)))
    assert [len(labels) for _, labels in found] == [48, 48, 48, 48, 8]
    assert torch.equal(torch.cat([labels for _, labels in found]), dataset().train.labels[order])
    assert list(data.training([])) == []


def test_processes_share_the_batches_of_validation() -> None:
    data = InMemoryBatches(dataset(), CPU)
    whole = [labels.tolist() for _, labels in data.validation(30)]
    assert [len(labels) for labels in whole] == [30, 30, 30, 10]
    assert [labels.tolist() for _, labels in data.validation(30, 1, 3)] == [whole[1]]
    assert [labels.tolist() for _, labels in data.validation(30, 0, 3)] == [whole[0], whole[3]]


def test_training_pixels_have_zero_mean_and_unit_deviation() -> None:
    """The set's `mean` and `std` are those of its training pixels."""
    pixels = dataset().train.images.double() / 255
    data = DataSet(*(getattr(dataset(), name) for name in ("name", "train", "validation")), (float(pixels.mean()),),
                   (float(pixels.std(correction=0)),), ("rows", "columns"), "0")  # fmt: skip
    images = torch.cat(
        [images for images, _ in InMemoryBatches(data, CPU).training(torch.arange(200).split(64))]
    ).double()
    assert abs(float(images.mean())) < 1e-5
    assert abs(float(images.std(correction=0)) - 1) < 1e-5


@pytest.mark.parametrize(("count", "sizes"), [(65, [32, 33]), (66, [32, 32, 2]), (64, [32, 32]), (33, [33]), (7, [7])])
def test_a_last_image_alone_joins_the_batch_before_it(count: int, sizes: list[int]) -> None:
    """A last map of 1 x 1 gives batch norm one value a channel of one image: every network would end there."""
    whole = dataset()
    small = replace(whole, train=Split(whole.train.images[:count], whole.train.labels[:count]))
    seen = list[int]()
    network = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.BatchNorm2d(small.input_shape[0]),
        torch.nn.Flatten(),
        torch.nn.LazyLinear(10),
    )
    network(torch.zeros(2, *small.input_shape))
    network.register_forward_pre_hook(
        lambda module, arguments: seen.append(len(arguments[0])) if module.training else None
    )
    train_network(network, InMemoryBatches(small, CPU), Recipe(epochs=2, batch_size=32), 3)
    assert seen == 2 * sizes
