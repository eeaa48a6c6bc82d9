"""The learning rate against its closed form, averaged weights against their definition, digests against older ones."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict

import pytest
import torch
from small_networks import architecture, data

from cspnas.network.wiring import wire
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.optimization import learning_rate
from cspnas.training.recipe import NAMED_RECIPES, TRAINING_VERSION, Recipe, recipe_digest
from cspnas.training.train import TrainingState, train_network


@pytest.mark.parametrize("steps", [1, 2, 5, 99, 100, 1563])
def test_the_default_schedule_rises_over_a_fifth_of_the_steps_and_falls_linearly(steps: int) -> None:
    warm = max(1, steps // 5)
    for step in range(steps):
        expected = 0.3 * min((step + 1) / warm, (steps - step) / max(1, steps - warm))
        assert learning_rate(step, steps, Recipe(learning_rate=0.3)) == expected


def test_a_cosine_falls_as_half_a_wave_after_its_warm_up() -> None:
    recipe = Recipe(learning_rate=2.0, schedule="cosine", warmup=0.1)
    rates = [learning_rate(step, 200, recipe) for step in range(200)]
    assert rates[:20] == [2.0 * (step + 1) / 20 for step in range(20)]
    assert rates[20:] == pytest.approx([1 + math.cos(math.pi * step / 180) for step in range(180)])


def test_averaged_weights_are_what_their_definition_makes_of_every_step() -> None:
    class Seen:
        """The weights after each step."""

        weights: list[torch.Tensor]

        def __init__(self) -> None:
            self.weights = []

        def restore(self, standing: TrainingState) -> None:
            """Nothing is kept."""

        def keep(self, standing: TrainingState, *, ends: bool) -> None:
            """Copies the weights of the stem."""
            self.weights.append(standing.network.state_dict()["stem.conv.weight"].clone())

        def interrupted(self) -> None:
            """Never."""

    seen, network = Seen(), NetworkModule(wire(architecture()))
    initialise(network, 1)
    train_network(network, data(), Recipe(epochs=2, batch_size=50, ema=0.8, precision="float32"), 1, keeper=seen)
    expected = seen.weights[0]
    for step, weights in enumerate(seen.weights[1:], start=1):
        decay = min(0.8, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weights
    assert len(seen.weights) == 8
    torch.testing.assert_close(network.state_dict()["stem.conv.weight"], expected)


def test_a_bound_of_the_gradients_bounds_each_step() -> None:
    """Without momentum's past, the first step is the learning rate times the gradient and its look ahead."""
    recipe = Recipe(epochs=1, batch_size=200, clip_norm=0.01, weight_decay=0.0, precision="float32", learning_rate=1.0)
    network = NetworkModule(wire(architecture()))
    initialise(network, 1)
    before = torch.cat([p.detach().flatten().clone() for p in network.parameters()])
    train_network(network, data(), recipe, 1)
    after = torch.cat([p.detach().flatten() for p in network.parameters()])
    assert float((after - before).norm()) == pytest.approx(0.01 * 1.9, rel=1e-3)


def test_keys_that_are_off_change_no_digest_of_a_recipe() -> None:
    """The digest that a recipe of nine keys has had from the first."""
    first = ("dataset", "epochs", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "flip", "shift")
    document = {key: value for key, value in asdict(Recipe()).items() if key in (*first, "precision")}
    known = {**document, "data_checksum": "c", "training_version": TRAINING_VERSION}
    expected = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()
    assert recipe_digest(Recipe(), "c") == recipe_digest(document, "c") == expected
    assert recipe_digest(Recipe(mixup=0.2), "c") != expected


def test_named_recipes_are_made_of_known_keys() -> None:
    for changes in NAMED_RECIPES.values():
        assert Recipe(**changes) != Recipe()
