"""A training that is cut short anywhere and goes on ends in the same bits; a checkpoint that is not its own is not used."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from small_networks import architecture, data

import cspnas
from cspnas.io.atomic_write import remove, temporary_name
from cspnas.network.wiring import wire
from cspnas.training import checkpoint
from cspnas.training.checkpoint import Checkpointer, CheckpointKey, _checksum, checkpoint_key
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.recipe import Recipe
from cspnas.training.train import Epoch, TrainingResult, TrainingState, train_network

RECIPE = Recipe(epochs=3, batch_size=20, precision="float32", shift=1)  # 10 steps an epoch
DIGEST = wire(architecture()).digest()


class CutError(BaseException):
    """The end of a process."""


class CutAt(Checkpointer):
    """Keeps at every step, and is killed after the `left`-th."""

    left = 0

    def keep(self, standing: TrainingState, *, ends: bool) -> None:
        super().keep(standing, ends=ends)
        self.left -= 1
        if not self.left:
            raise CutError


def run(
    keeper: Checkpointer | None, micro_batch: int | None = None
) -> tuple[dict[str, torch.Tensor], TrainingResult, list[Epoch]]:
    network, heard = NetworkModule(wire(architecture())), list[Epoch]()
    initialise(network, 5)
    trained = train_network(network, data(), RECIPE, 5, heard.append, micro_batch=micro_batch, keeper=keeper)
    return network.state_dict(), trained, heard


def key(seed: int = 5, micro_batch: int | None = None) -> CheckpointKey:
    return checkpoint_key(DIGEST, data(), RECIPE, seed, micro_batch)


def said(path: Path, **options: int) -> tuple[Checkpointer, list[str]]:
    lines: list[str] = []
    return Checkpointer(path, key(**options), lines.append, seconds=0), lines


def cut(path: Path, steps: int, micro_batch: int | None = None) -> None:
    keeper = CutAt(path, key(micro_batch=micro_batch), lambda text: None, seconds=0)
    keeper.left = steps
    with pytest.raises(CutError):
        run(keeper, micro_batch)


def assert_same(one: tuple[dict[str, torch.Tensor], TrainingResult, list[Epoch]], other: object) -> None:
    (weights, trained, heard), (weights2, trained2, heard2) = one, other  # type: ignore[misc]
    assert weights.keys() == weights2.keys()
    assert all(torch.equal(weights[name], weights2[name]) for name in weights)
    curve, curve2 = ([(epoch.loss, epoch.accuracy) for epoch in t.curve] for t in (trained, trained2))
    assert curve == curve2 and np.array_equal(trained.correct, trained2.correct)
    assert len(heard) == len(heard2) == 3


@pytest.mark.parametrize("micro_batch", [None, 7])
@pytest.mark.parametrize("steps", [1, 9, 10, 11, 17, 30])
def test_cut_at_any_step_it_ends_in_the_same_bits(tmp_path: Path, steps: int, micro_batch: int | None) -> None:
    """In the first and the last step of an epoch, in the middle, and after the last step of all."""
    path = tmp_path / "folder" / "a.safetensors"
    cut(path, steps, micro_batch)
    lines: list[str] = []
    keeper = Checkpointer(path, key(micro_batch=micro_batch), lines.append, seconds=0)
    assert keeper.threads == torch.get_num_threads()
    resumed = run(keeper, micro_batch)
    assert lines == [f"{path}: going on from epoch {(steps - 1) // 10 + 1}, step {(steps - 1) % 10 + 1}"]
    assert_same(run(None, micro_batch), resumed)
    remove(path)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_cut_with_every_key_of_the_recipe_it_ends_in_the_same_bits(
    tmp_path: Path, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(
        RECIPE,
        optimizer=optimizer,
        learning_rate=0.01,
        schedule="cosine",
        ema=0.9,
        clip_norm=1.0,
        crop_scale=0.5,
        rotate=10.0,
        color_jitter=0.2,
        rand_augment=3,
        random_erasing=0.5,
        mixup=0.2,
        cutmix=1.0,
    )
    monkeypatch.setattr(sys.modules[__name__], "RECIPE", recipe)
    cut(tmp_path / "a", 13)
    keeper, lines = said(tmp_path / "a")
    assert_same(run(None), run(keeper))
    assert lines == [f"{tmp_path / 'a'}: going on from epoch 2, step 3"]


def test_cut_again_and_again(tmp_path: Path) -> None:
    for _ in range(4):
        cut(tmp_path / "a", 6)
    keeper, lines = said(tmp_path / "a")
    assert_same(run(None), run(keeper))
    assert lines == [f"{tmp_path / 'a'}: going on from epoch 3, step 4"]


def test_it_is_written_when_it_is_time_and_not_before(tmp_path: Path) -> None:
    now = [0.0]
    keeper = Checkpointer(tmp_path / "a", key(), lambda text: None, seconds=60, clock=lambda: now[0])
    writes = []
    real = keeper._write
    keeper._write = lambda standing: (writes.append(now[0]), real(standing))  # type: ignore[method-assign,assignment,func-returns-value]
    keep = keeper.keep
    keeper.keep = lambda standing, ends: (now.__setitem__(0, now[0] + 25), keep(standing, ends=ends))  # type: ignore[method-assign,assignment,func-returns-value]
    run(keeper)
    assert writes[:3] == [75, 150, 225] and len(writes) == 10  # 30 steps of 25 s
    assert checkpoint.EVERY_SECONDS == 60


def test_a_damaged_checkpoint_is_said_and_the_training_starts_anew(tmp_path: Path, rng: random.Random) -> None:
    """CutError short at any byte or with any bit flipped: never used, and never an error."""
    path = tmp_path / "a"
    cut(path, 13)
    whole = path.read_bytes()
    for number in range(120):
        bits = bytearray(whole)
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
        path.write_bytes(whole[: rng.randrange(len(whole))] if number % 3 == 0 else bytes(bits))
        keeper, lines = said(path)
        # A flipped bit between the parts, or in the whitespace at the header's end, is no damage to anything in it.
        if lines:
            assert (
                re.search(r"the checkpoint is (damaged|another training's) \(.+(anew)$", lines[0])
                and keeper.threads is None
            )
        else:
            assert keeper.threads == torch.get_num_threads() and bytes(bits)[8:].find(b"  ") >= 0
    path.write_bytes(whole[:-1])
    keeper, lines = said(path)
    assert "is damaged" in lines[0]
    assert_same(run(None), run(keeper))


def test_another_trainings_checkpoint_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    cut(path, 13)
    for options, name in (({"seed": 6}, "seed"), ({"micro_batch": 4}, "micro_batch")):
        assert said(path, **options)[1] == [
            f"{path}: the checkpoint is another training's ({name} differ); starting anew"
        ]
    monkeypatch.setattr(checkpoint, "_code_digest", lambda: "other code")
    assert "(code differ)" in said(path)[1][0]


def test_a_disk_that_is_full_costs_the_checkpoint_and_not_the_training(tmp_path: Path) -> None:
    keeper, lines = said(tmp_path / "a")
    whole, limits = run(None), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        assert_same(whole, run(keeper))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(lines) == 30
    assert set(lines) == {f"{tmp_path / 'a'}: no checkpoint was written (File too large); the training goes on"}


def test_a_killed_train_command_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """Real processes: SIGKILL at a random time, a checkpoint ten times a second; then SIGTERM, on which one is written at
    once. The weights are equal to the bit. A link in the place of the checkpoint's temporary name is not followed.
    """
    from cspnas.documents.architecture_file import architecture_yaml
    from cspnas.network.architecture import Architecture, Stage, Stem

    small = Architecture("densenet", (1, 28, 28), 10, Stem(4, 3, 4), (Stage(1, 4, 4, 8),))
    (tmp_path / "a.yaml").write_text(architecture_yaml(small, {"recipe": {"precision": "float32"}}))
    common = [sys.executable, "-m", "cspnas", "train", "a.yaml", "--epochs", "1", "--device", "cpu", "-o"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = {"cwd": tmp_path, "env": environment, "text": True, "stderr": subprocess.PIPE, "stdout": subprocess.PIPE}
    subprocess.run([*common, "whole.safetensors"], check=True, **options)  # type: ignore[call-overload]
    kept = tmp_path / "killed.safetensors.checkpoint"
    (tmp_path / "precious").write_text("of the user's")
    temporary_name(kept).symlink_to(tmp_path / "precious")
    victim = subprocess.Popen([*common, "killed.safetensors", "--checkpoint", "0.1"], **options)  # type: ignore[call-overload]
    deadline = time.monotonic() + 60
    while not kept.exists():
        assert time.monotonic() < deadline and victim.poll() is None
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.3))
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    before = kept.stat().st_mtime_ns
    victim = subprocess.Popen([*common, "killed.safetensors", "--checkpoint", "3600"], **options)  # type: ignore[call-overload]
    assert any("going on from epoch " in line for line in victim.stderr)
    victim.send_signal(signal.SIGTERM)
    _, errors = victim.communicate()
    assert victim.returncode == 143 and kept.stat().st_mtime_ns > before
    assert errors == f"interrupted: the training is kept in {kept.name}, and the same command goes on with it\n"
    assert not (tmp_path / "killed.safetensors").exists()
    last = subprocess.run([*common, "killed.safetensors"], check=True, **options)  # type: ignore[call-overload]
    assert "killed.safetensors.checkpoint: going on from epoch " in last.stderr
    one, other = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "killed"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert not kept.exists() and not list(tmp_path.glob("*.new"))
    assert (tmp_path / "precious").read_text() == "of the user's"


@pytest.mark.parametrize("begun", ["float32", "bfloat16"])
def test_a_training_goes_on_in_the_precision_that_it_began_with(
    begun: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which one is faster is measured, and on a busy machine a second measurement may say otherwise."""
    from cspnas.documents.architecture_file import architecture_yaml
    from cspnas.network.architecture import Architecture, Stage, Stem

    small = Architecture("densenet", (1, 28, 28), 10, Stem(4, 3, 4), (Stage(1, 4, 4, 8),))
    path = tmp_path / "a.yaml"
    path.write_text(architecture_yaml(small))
    monkeypatch.setattr("cspnas.training.train.faster_precision", lambda device: begun)

    class CutError(Exception):
        """Ends a training after its first epoch."""

    def cut(epoch: Epoch) -> None:
        raise CutError

    kept, notes = tmp_path / "kept", list[str]()
    with pytest.raises(CutError):
        cspnas.train(path, epochs=2, device="cpu", checkpoint=kept, checkpoint_seconds=0.0, on_epoch=cut)
    other = {"float32": "bfloat16", "bfloat16": "float32"}[begun]
    monkeypatch.setattr("cspnas.training.train.faster_precision", lambda device: other)
    done = cspnas.train(path, epochs=2, device="cpu", checkpoint=kept, on_note=notes.append)
    assert any("going on from epoch" in note for note in notes)
    assert done.report["recipe"]["precision"] == begun


def forge(path: Path, about: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Change what a checkpoint holds and give it the checksum of that."""
    with safe_open(path, "pt") as file:
        text = json.dumps(json.loads(file.metadata()["cspnas"]) | about)
        whole = {name: file.get_tensor(name) for name in file.keys()} | tensors  # noqa: SIM118 (no mapping)
    path.write_bytes(save(whole, metadata={"cspnas": text, "sha256": _checksum(text, whole)}))


EPOCH = {"loss": 1.0, "accuracy": 0.5, "seconds": 1.0}


@pytest.mark.parametrize(
    ("about", "tensors"),
    [
        ({"threads": 10**6}, {}),
        ({"threads": None}, {}),
        ({"epoch": 99}, {}),
        ({"epoch": 99, "curve": [EPOCH] * 99}, {}),
        ({"epoch": -1}, {}),
        ({"step": 11}, {}),
        ({"step": 2.0}, {}),
        ({"curve": [EPOCH]}, {}),
        ({"curve": 7}, {}),
        ({"losses": float("nan")}, {}),
        ({"seconds": "long"}, {}),
        ({}, {"order": torch.zeros(200, dtype=torch.int64)}),
        ({}, {"order": torch.arange(7)}),
        ({}, {"generator": torch.zeros(3, dtype=torch.uint8)}),
        ({}, {"network.stem.weight": torch.zeros(1)}),
        ({}, {"optimizer.0.momentum_buffer": torch.zeros(1)}),
        ({}, {"optimizer.999.momentum_buffer": torch.zeros(1)}),
        ({}, {"optimizer.0.other": torch.zeros(())}),
    ],
    ids=str,
)
def test_a_checkpoint_that_this_training_cannot_have_written_is_said_though_its_checksum_is_right(
    tmp_path: Path, about: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> None:
    """It is trained from the start. A tensor of one element would be broadcast."""
    path = tmp_path / "a.safetensors"
    cut(path, 3)
    if "network.stem.weight" in tensors:
        with safe_open(path, "pt") as file:
            tensors = {next(name for name in file.keys() if name.startswith("network.")): torch.zeros(1)}  # noqa: SIM118
    forge(path, about, tensors)
    keeper, lines = said(path)
    assert keeper.threads in (None, torch.get_num_threads())
    resumed = run(keeper)
    assert len(lines) == 1 and re.search(r": the checkpoint is damaged \(.+\); the training starts anew$", lines[0])
    assert len(resumed[1].curve) == 3
