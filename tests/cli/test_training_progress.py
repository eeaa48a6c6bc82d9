"""What a person reads while a network trains: figures worked out by hand, and a real terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from commands import draw_images
from terminals import terminal

from cspnas.cli.training_progress import TrainingDisplay, TrainingFigures
from cspnas.documents.architecture_file import architecture_yaml
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.training.train import Epoch, TrainingState


def standing(epoch: int, step: int, losses: float, seconds: float) -> TrainingState:
    network = torch.nn.Linear(1, 1)
    state = TrainingState(network, torch.optim.SGD(network.parameters()), torch.Generator())
    state.epoch, state.step, state.losses, state.seconds = epoch, step, losses, seconds
    return state


def test_speed_and_time_left_come_from_what_was_done() -> None:
    figures = TrainingFigures(epochs=4, images=1000, batch_size=100)
    # 200 of 1,000 images in 4 s: 20 s an epoch, of which 3.8 are left.
    assert figures.batch(standing(0, 2, 3.0, 4.0)) == (0.2, "epoch 1/4 at 20%: loss 1.5000, 50 images/s, 1.3 min left")
    line = figures.epoch(Epoch(1.25, 0.5, 25.0))
    assert line == "epoch 1/4: loss 1.2500, validation 50.00%, 25.0 s, 40 images/s, 1.2 min left"
    # The whole of the last epoch, validation too, says how long one takes: 2.5 of 25 s.
    assert figures.batch(standing(1, 5, 5.0, 10.0))[1].endswith("loss 1.0000, 50 images/s, 1.0 min left")
    for _ in range(2):
        figures.epoch(Epoch(1.0, 0.5, 25.0))
    assert figures.epoch(Epoch(1.0, 0.5, 25.0)).endswith("40 images/s")


def test_a_last_batch_that_is_smaller_counts_its_own_images() -> None:
    figures = TrainingFigures(epochs=1, images=250, batch_size=100)
    assert figures.batch(standing(0, 3, 3.0, 5.0)) == (1.0, "epoch 1/1 at 100%: loss 1.0000, 50 images/s")


def test_a_long_epoch_says_how_far_it_is_every_half_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    display = TrainingDisplay(TrainingFigures(epochs=1, images=1000, batch_size=10), None)
    for step in range(1, 100):
        now[0] = float(step)
        display.batch(standing(0, step, step * 2.0, now[0]))
    display.epoch(Epoch(2.0, 0.5, 100.0))
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        *("epoch 1/1 at 30%", "epoch 1/1 at 60%", "epoch 1/1 at 90%"),
        "epoch 1/1",
    ]


def test_on_a_terminal_each_epoch_leaves_its_line_and_the_bar_goes(tmp_path: Path) -> None:
    draw_images(tmp_path / "images", 60, 8)
    network = Architecture("densenet", (1, 8, 8), 2, Stem(4), (Stage(1, 2, 2, 4, False),))
    recipe = {"dataset": "folder:images", "epochs": 3, "batch_size": 4, "precision": "float32"}
    (tmp_path / "best.yaml").write_text(architecture_yaml(network, {"recipe": recipe}))
    with terminal(tmp_path, 100, "-m", "cspnas", "train", "best.yaml", "--device", "cpu") as seen:
        assert not seen.watch(lambda: False)
        assert seen.code == 0
        lines = [line for line in seen.lines if line.startswith("epoch ")]
    assert [line.split(":")[0] for line in lines] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert all(re.search(r"loss \d\.\d{4}, validation \d+\.\d\d%, \d+\.\d s, [\d,]+ images/s", line) for line in lines)
    assert not any("━" in line for line in seen.lines)
