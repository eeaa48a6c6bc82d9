"""Processes that train one network together end where one alone does, and go on and end together."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_networks import SHAPE, architecture, dataset
from together import run_together
from torch import nn

from cspnas.data.datasets import Split
from cspnas.errors import InputError, TrainingError
from cspnas.network.wiring import wire
from cspnas.training.batches import InMemoryBatches
from cspnas.training.checkpoint import Checkpointer, checkpoint_key
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.processes import Processes, connected, launched
from cspnas.training.recipe import Recipe
from cspnas.training.train import TrainingState, train_network

CPU = torch.device("cpu")
# Four batches of 47, which no number of processes divides, and a last one of three images, too few for two processes.
IMAGES = 191
PLAIN = Recipe(epochs=2, batch_size=47, flip=False, precision="float32", clip_norm=0.5, ema=0.8, learning_rate=0.05)
ALL = replace(PLAIN, flip=True, shift=1, mixup=0.2, random_erasing=0.25, rotate=10)
Trained = tuple[dict[str, NDArray[np.float32]], list[float], list[float | None], np.ndarray]


def batches() -> InMemoryBatches:
    whole = dataset()
    return InMemoryBatches(replace(whole, train=Split(whole.train.images[:IMAGES], whole.train.labels[:IMAGES])), CPU)


def without_norm() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(SHAPE[0], 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2))


def with_norm() -> nn.Module:
    network = NetworkModule(wire(architecture()))
    initialise(network, 3)
    return network


def train(kind: str, recipe: Recipe, keeper: Checkpointer | None = None) -> Trained:
    network, together = {"plain": without_norm, "norm": with_norm}[kind](), launched()
    with connected(together, CPU):
        trained = train_network(network, batches(), recipe, 3, keeper=keeper, processes=together)
    weights = {name: tensor.detach().numpy() for name, tensor in network.state_dict().items()}
    return weights, [one.loss for one in trained.curve], [one.validation_loss for one in trained.curve], trained.correct


def test_two_processes_have_the_curve_and_the_weights_of_one() -> None:
    """To float noise where no batch norm sees other images: clipping, averaged weights and uneven parts included."""
    weights, losses, validation_losses, correct = train("plain", PLAIN)
    for found in run_together(2, train, "plain", PLAIN):
        assert found[1] == pytest.approx(losses, rel=1e-5)
        assert found[2] == pytest.approx(validation_losses, rel=1e-5) and np.array_equal(found[3], correct)
        for name, tensor in weights.items():
            np.testing.assert_allclose(found[0][name], tensor, rtol=1e-4, atol=1e-6)


def test_three_processes_hold_one_network_and_learn_as_one_does() -> None:
    """Batch norm sees a third of a batch, and each process changes its images by random numbers of its own."""
    _, losses, _, _ = train("norm", ALL)
    one, *others = run_together(3, train, "norm", ALL)
    for other in others:
        assert all(np.array_equal(one[0][name], other[0][name]) for name in one[0])
        assert one[1] == other[1] and np.array_equal(one[3], other[3])
    assert one[1] == pytest.approx(losses, rel=0.2)


def kept_training(path: Path, cut_after: int | None, who: int) -> Trained | int:
    """Kept at every step; process `who` is asked to end after `cut_after` steps, and both end: the steps that were done."""
    together, steps = launched(), 0

    class Counting(Checkpointer):
        """Counts the steps."""

        def keep(self, standing: TrainingState, *, ends: bool) -> None:
            nonlocal steps
            steps += 1
            super().keep(standing, ends=ends)

    key = checkpoint_key("network", batches(), ALL, 3, None)
    keeper = Counting(path, key, lambda text: None, seconds=0, writes=together.first)
    keeper.interrupted = lambda: together.rank == who and cut_after is not None and steps + 1 >= cut_after
    try:
        return train("norm", ALL, keeper)
    except KeyboardInterrupt:
        return steps


def test_one_that_is_asked_to_end_ends_all_after_the_same_step_and_they_go_on_to_the_same_bits(tmp_path: Path) -> None:
    assert run_together(2, kept_training, tmp_path / "kept", 7, 1) == [7, 7]
    shutil.copy(tmp_path / "kept", tmp_path / "of one")
    whole = run_together(2, train, "norm", ALL)[0]
    again = run_together(2, kept_training, tmp_path / "kept", None, 1)[0]
    assert all(np.array_equal(whole[0][name], again[0][name]) for name in whole[0])
    assert whole[1] == again[1]
    alone = kept_training(tmp_path / "of one", None, 1)
    assert isinstance(alone, tuple) and alone[1] == pytest.approx(whole[1], rel=0.2) and alone[1] != whole[1]


def diverge() -> str:
    network, together = without_norm(), launched()
    with torch.no_grad():
        network[3].bias[0] = float("inf")  # type: ignore[index]
    try:
        with connected(together, CPU):
            train_network(network, batches(), PLAIN, 3, processes=together)
    except TrainingError as error:
        return str(error)
    return ""


def test_a_loss_that_is_no_number_ends_all_processes_alike() -> None:
    assert set(run_together(2, diverge)) == {"loss nan in epoch 1, step 1"}


@given(images=st.integers(1, 40), count=st.integers(1, 8))
def test_the_parts_of_a_batch_are_its_images_and_their_weights_those_of_its_mean(images: int, count: int) -> None:
    batch, values = torch.arange(images), torch.randn(images, dtype=torch.float64)
    parts = [Processes(rank, count).share(batch) for rank in range(count)]
    assert all(len(part) >= min(2, images) for part in parts)
    if images >= 2 * count:
        assert torch.equal(torch.cat(parts), batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    weighted = [Processes(0, count).weight(len(part), images) * float(values[part].mean()) for part in parts]
    assert sum(weighted) / count == pytest.approx(float(values.mean()))


def test_more_processes_than_a_batch_or_the_gpus_have_room_for_are_refused() -> None:
    Processes(1, 4).check_batch(8, "a.yaml")
    with pytest.raises(InputError, match="found batch_size 7 for 4 processes, expected at least 8"):
        Processes(1, 4).check_batch(7, "a.yaml")
    assert Processes(1, 4, 1, 2).choose_gpu([3, 5]) == 5
    with pytest.raises(InputError, match="found 3 processes on this machine, expected at most 2"):
        Processes(1, 3, 1, 3).choose_gpu([0, 1])
