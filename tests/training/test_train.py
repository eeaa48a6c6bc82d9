"""Training: repeats exactly, learns, stops when it diverges, keeps what it should."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import architecture, data

from cspnas.errors import TrainingError
from cspnas.network.architecture import Architecture, Stem
from cspnas.network.serialization import architecture_to
from cspnas.network.wiring import wire
from cspnas.space.stage_resolution import dense_stage
from cspnas.training.augmentation import augment
from cspnas.training.evaluation import Evaluator, pack_bits, unpack_bits
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.optimization import learning_rate
from cspnas.training.recipe import Recipe, recipe_digest, training_seed
from cspnas.training.train import Epoch, faster_precision, predict_correct, train_network


def trained(seed: int, recipe: Recipe) -> tuple[NetworkModule, list[float], np.ndarray]:
    network = NetworkModule(wire(architecture()))
    initialise(network, seed)
    result = train_network(network, data(), recipe, seed)
    return network, [epoch.loss for epoch in result.curve], result.correct


def test_one_seed_gives_the_same_weights_and_another_seed_does_not() -> None:
    recipe = Recipe(epochs=2, batch_size=20, shift=1, precision="float32")
    (first, losses, bits), (second, again, same_bits) = trained(3, recipe), trained(3, recipe)
    other, _, _ = trained(4, recipe)
    assert losses == again
    assert np.array_equal(bits, same_bits)
    states = [network.state_dict() for network in (first, second, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["stem.conv.weight"], states[2]["stem.conv.weight"])


def test_it_learns_a_task_that_can_be_learnt_and_reports_the_last_epoch() -> None:
    network, losses, correct = trained(0, Recipe(epochs=4, batch_size=20, flip=False, precision="float32"))
    assert losses[-1] < 0.3 < losses[0]
    assert correct.mean() > 0.95
    assert np.array_equal(correct, predict_correct(network, data().validation(7), Recipe()))


def test_the_validation_loss_is_the_mean_cross_entropy_of_the_last_weights() -> None:
    network = NetworkModule(wire(architecture()))
    initialise(network, 0)
    recipe = Recipe(epochs=1, batch_size=20, label_smoothing=0.2, precision="float32")
    (epoch,) = train_network(network, data(), recipe, 0).curve
    ((images, labels),) = data().validation(1000)
    with torch.no_grad():
        shares = network.eval()(images).double().softmax(1)[torch.arange(len(labels)), labels]
    assert epoch.validation_loss == pytest.approx(-float(shares.log().mean()), rel=1e-5)


def test_a_loss_that_is_not_finite_stops_at_once_as_diverged() -> None:
    seen = []
    network = NetworkModule(wire(architecture()))
    initialise(network, 0)
    with torch.no_grad():
        network.layer("head.linear").weight.fill_(float("inf"))
    with pytest.raises(TrainingError, match="epoch 1, step 1") as caught:
        train_network(network, data(), Recipe(epochs=3, batch_size=20, precision="float32"), 0, seen.append)
    assert caught.value.kind == "diverged"
    assert seen == []


def test_a_loss_that_explodes_but_stays_finite_ends_the_training_as_diverged() -> None:
    """At a learning rate of 256 the losses of the first epoch average about 6e13: every one of them is finite."""
    seen: list[Epoch] = []
    network = NetworkModule(wire(architecture()))
    initialise(network, 0)
    recipe = Recipe(epochs=3, batch_size=20, learning_rate=256, precision="float32")
    with pytest.raises(
        TrainingError, match=r"mean loss \d\S*e\+\d+ in epoch 1, more than 693\.1"
    ) as caught:  # 1000 log 2
        train_network(network, data(), recipe, 0, seen.append)
    assert caught.value.kind == "diverged" and "\n" not in str(caught.value)
    assert seen == []


def test_a_loss_far_above_a_guess_is_no_divergence_while_it_may_still_come_down() -> None:
    _, losses, _ = trained(0, Recipe(epochs=3, batch_size=20, learning_rate=64, precision="float32"))
    assert losses[0] > 20 * math.log(2) and len(losses) == 3


def test_the_learning_rate_rises_to_its_peak_then_falls_to_nothing() -> None:
    recipe = Recipe(learning_rate=0.5)
    rates = [learning_rate(step, 100, recipe) for step in range(100)]
    assert max(rates) == rates[19] == 0.5
    assert rates[:20] == sorted(rates[:20])
    assert rates[19:] == sorted(rates[19:], reverse=True)
    assert 0 < rates[-1] < 0.01


def test_augmentation_moves_and_mirrors_whole_images() -> None:
    """Every augmented image is one of the 2 x 3 x 3 images that mirroring and moving by a pixel can give."""
    image = torch.arange(64, dtype=torch.float32).view(1, 1, 8, 8)
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")
    crops = [padded[:, :, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    mirrored = torch.nn.functional.pad(image.flip(3), (1, 1, 1, 1), mode="replicate")
    crops += [mirrored[:, :, y : y + 8, x : x + 8] for y in range(3) for x in range(3)]
    out = augment(image.repeat(400, 1, 1, 1), Recipe(flip=True, shift=1), torch.Generator().manual_seed(0))
    found = {next(n for n, crop in enumerate(crops) if torch.equal(crop[0], one)) for one in out}
    assert found == set(range(18))


def test_precision_is_resolved_to_one_that_a_recipe_accepts() -> None:
    assert faster_precision(torch.device("cpu")) in ("float32", "bfloat16")


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_correctness_bits_survive_packing(bits: list[bool]) -> None:
    assert unpack_bits(pack_bits(np.array(bits))).tolist() == bits


def test_a_unit_of_work_is_json_in_and_json_out_with_curve_and_bits() -> None:
    stage = dense_stage(2, depth=1, growth_rate=2, bottleneck_ratio=1, compression=1, pool=False)
    network = Architecture("densenet", (1, 28, 28), 10, Stem(2, 7, 4), (stage,))
    recipe = {"epochs": 1, "batch_size": 500, "precision": "float32"}
    work = json.loads(json.dumps({"architecture": architecture_to(network), "recipe": recipe, "seed": 1}))
    result = json.loads(json.dumps(Evaluator("cpu")(work)))
    assert result["failure"] is None
    assert len(result["curve"]) == 1
    assert unpack_bits(result["correct"]).mean() == pytest.approx(result["accuracy"])
    assert len(unpack_bits(result["correct"])) == 4000


def test_a_training_that_fails_is_a_result_with_its_kind() -> None:
    work = {"architecture": architecture_to(architecture()), "recipe": {"dataset": "cifar11"}, "seed": 0}
    assert Evaluator("cpu")(work)["failure"]["kind"] == "bad data"


def test_seeds_and_digests_depend_on_all_that_decides_a_training() -> None:
    assert len({training_seed(s, d, r) for s in (0, 1) for d in ("a", "b") for r in (0, 1)}) == 8
    digests = {recipe_digest(Recipe(), "x"), recipe_digest(Recipe(), "y"), recipe_digest(Recipe(epochs=9), "x")}
    assert len(digests) == 3
