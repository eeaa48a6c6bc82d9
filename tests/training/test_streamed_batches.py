"""Images that are read ahead by a thread are the same batches, and the thread ends with whoever reads them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import architecture, dataset

from cspnas.data.datasets import DataSet, load
from cspnas.network.wiring import wire
from cspnas.training.batches import Batches, InMemoryBatches
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.recipe import Recipe
from cspnas.training.residence import fits_beside
from cspnas.training.streamed_batches import StreamedBatches, batches_of, prefetched
from cspnas.training.train import TrainingState, train_network

CPU = torch.device("cpu")
GIB = 1 << 30


def prefetching() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


@pytest.fixture(params=["memory", "file"])
def images(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataSet:
    if request.param == "memory":
        return dataset()
    monkeypatch.setenv("CSPNAS_DATA", str(tmp_path / "cache"))
    pixels = np.random.default_rng(0).integers(0, 256, (300, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", train_images=pixels[:200], train_labels=np.arange(200) % 2,
             validation_images=pixels[200:], validation_labels=np.arange(100) % 2)  # fmt: skip
    return load(f"npz:{tmp_path / 'a.npz'}")


def test_streamed_batches_are_those_of_memory_to_the_bit(images: DataSet) -> None:
    resident, streamed = InMemoryBatches(images, CPU), StreamedBatches(images, CPU)
    order = torch.randperm(200).split(48)
    for one, other in (
        (resident.training(order), streamed.training(order)),
        (resident.validation(30, 1, 2), streamed.validation(30, 1, 2)),
        (resident.of(images.validation, 70), streamed.of(images.validation, 70)),
    ):
        pairs = list(zip(one, other, strict=True))
        assert pairs
        for (pixels, labels), (others, other_labels) in pairs:
            assert torch.equal(pixels, others) and torch.equal(labels, other_labels)
            assert others.is_contiguous(memory_format=torch.channels_last)
    assert resident.checksum == streamed.checksum
    assert list(streamed.training([])) == []
    assert not prefetching()


def test_a_training_on_streamed_batches_ends_in_the_same_bits(images: DataSet) -> None:
    def trained(data: Batches) -> tuple[dict[str, torch.Tensor], list[tuple[float, float]]]:
        network = NetworkModule(wire(architecture()))
        initialise(network, 3)
        curve = train_network(network, data, Recipe(epochs=2, batch_size=48, shift=1, mixup=0.2), 3).curve
        return network.state_dict(), [(epoch.loss, epoch.accuracy) for epoch in curve]

    weights, curve = trained(InMemoryBatches(images, CPU))
    others, other_curve = trained(StreamedBatches(images, CPU))
    assert curve == other_curve
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def test_the_thread_is_at_most_two_batches_ahead() -> None:
    made = list[int]()

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    reader = prefetched(items())
    assert next(reader) == 0 and next(reader) == 1
    # Two were read, and two may wait.
    assert len(made) <= 4
    assert list(reader) == list(range(2, 10)) and not prefetching()


def test_the_thread_ends_with_a_reader_that_stops_early() -> None:
    reader = prefetched(iter(range(1000)))
    assert next(reader) == 0 and len(prefetching()) == 1
    reader.close()
    assert not prefetching()


def test_what_the_reading_raises_reaches_the_reader() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    reader = prefetched(items())
    assert next(reader) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(reader)
    assert not prefetching()


def test_a_training_that_fails_leaves_no_thread() -> None:
    class FullError(Exception):
        """Somebody's."""

    def fail(standing: TrainingState) -> None:
        raise FullError

    network = NetworkModule(wire(architecture()))
    with pytest.raises(FullError):
        train_network(network, StreamedBatches(dataset(), CPU), Recipe(epochs=1, batch_size=8), 0, on_batch=fail)
    assert not prefetching()


def test_images_stay_on_a_gpu_where_they_fit_beside_a_training() -> None:
    """Of 10 GiB 9 count, and a training of 4 GiB takes 5: there is room for 4 GiB of images."""
    assert fits_beside(4 * GIB, 4 * GIB, 10 * GIB)
    assert not fits_beside(4 * GIB + 1, 4 * GIB, 10 * GIB)


def test_a_gpu_streams_what_it_has_no_room_for_and_the_cpu_maps_it() -> None:
    data, gpu = dataset(), torch.device("cuda")
    # 300 images of 64 bytes: 19,200 bytes, beside a training of 1000.
    assert batches_of(data, gpu, 1000, lambda device: 22_723) is InMemoryBatches
    assert batches_of(data, gpu, 1000, lambda device: 22_721) is StreamedBatches
    assert batches_of(data, CPU, 1000) is InMemoryBatches
