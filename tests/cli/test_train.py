"""`cspnas train`: what would refuse its results is found before the training, and no result is thrown away."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cspnas.cli import app as cli
from cspnas.cli.train import _alone
from cspnas.data import datasets as data
from cspnas.documents.architecture_file import architecture_yaml
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.training import train as training_module

NETWORK = Architecture("densenet", (1, 8, 8), 2, Stem(4), (Stage(1, 2, 2, 4, False),))


def draw(folder: Path, seed: int, parts: tuple[str, ...] = ("train", "validation", "test")) -> None:
    """Noisy 8x8 images of two classes, dark and light."""
    random = np.random.default_rng(seed)
    for part in parts:
        for label, name in enumerate(("dark", "light")):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(6):
                pixels = random.integers(120 * label, 120 * label + 120, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{number}.png")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    draw(Path("images"), 0)
    extra = {
        "data": {"dataset": "folder:images", "checksum": data.load("folder:images").checksum},
        "recipe": {"dataset": "folder:images", "epochs": 1, "batch_size": 4, "precision": "float32"},
    }
    Path("best.yaml").write_text(architecture_yaml(NETWORK, extra))
    return tmp_path


def train(*words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["cspnas", "train", "--device", "cpu", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capsys.readouterr()
    return int(str(end.value.code)), out, err


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("it trains before it has looked")

    monkeypatch.setattr(training_module, "train_network", refuse)


@pytest.mark.usefixtures("folder", "no_training")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["best.yaml", "-o", "none/w.safetensors"], "No such file or directory"),
        (["best.yaml", "-o", "images"], "a folder"),
        (["best.yaml", "-o", "out.json"], "expected another ending than .json"),
        (["best.yaml", "-o", "best.yaml", "--force"], "the file that is read"),
        (["best.json", "--force"], "the file that is read"),
        (["best.yaml", "-o", ""], "no file name"),
        (["best.yaml", "-o", "a" * 300], "File name too long"),
        (["best.yaml", "-o", "new", "--dataset", ""], "data set ''"),
        (["best.yaml", "-o", "new", "--image-size", "4"], "bring the images to its size with --image-size 8"),
        (["best.yaml", "--seed", "9" * 24], "--seed"),
        (["best.yaml", "-o", "new", "--device", "cuda:" + "9" * 5000], "cuda:0,1"),
    ],
)
def test_refused_before_the_training(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("best.json").write_text(Path("best.yaml").read_text())
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    code, out, err = train(*words, capsys=capsys, monkeypatch=monkeypatch)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


@pytest.mark.usefixtures("no_training")
def test_a_test_part_of_no_use_is_found_before_the_training(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "images" / "test" / "light" / "0.png").write_bytes(b"no image")
    code, _, err = train("best.yaml", capsys=capsys, monkeypatch=monkeypatch)
    assert (code, err.count("\n")) == (2, 1)
    assert "0.png" in err


def test_without_a_test_part_the_weights_are_written_and_the_test_accuracy_is_null(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "images" / "test").rename(folder / "elsewhere")
    code, out, err = train("best.yaml", "--tensorboard", "runs/a", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    log = EventAccumulator("runs/a").Reload()
    results = json.loads(Path("best.json").read_text())
    assert [one.value for one in log.Scalars("loss/train")] == [pytest.approx(results["curve"][0]["loss"])]
    assert "final/validation_accuracy" in log.Tags()["scalars"] and "final/test_accuracy" not in log.Tags()["scalars"]
    assert [line for line in err.splitlines() if "no folder test" in line] == [err.splitlines()[0]]
    read = "data set folder:images: 24 images (12 training + 12 validation), 1 x 8 x 8, classes dark, light"
    assert err.splitlines()[1] == read
    assert "no test part" in out
    assert json.loads(Path("best.json").read_text())["test_accuracy"] is None
    assert Path("best.safetensors").stat().st_size


def test_data_that_differ_from_the_searched_ones_are_said_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = train("best.yaml", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert "note:" not in err
    draw(folder / "images", 1)
    code, _, err = train("best.yaml", "--force", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 0
    assert err.count("note: folder:images is not the data") == 1


@pytest.mark.usefixtures("folder")
def test_too_little_memory_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "train_network", lambda *arguments, **options: torch.empty(2**60))
    code, _, err = train("best.yaml", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 1
    assert "out of memory" in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("words", "batch"), [((), 4), (("--batch-size", "1"), 1), (("--batch-size", "64"), 64)])
def test_the_flag_wins_over_the_files_batch_size(
    words: tuple[str, ...], batch: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["cspnas", "cost", "best.yaml", "--json", *words])
    with pytest.raises(SystemExit):
        cli.main()
    assert json.loads(capsys.readouterr().out)["batch_size"] == batch


def test_a_network_of_more_than_a_trillion_flops_is_refused_from_its_cost(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = Path("best.yaml").read_text().replace("input_shape: [1, 8, 8]", "input_shape: [1, 65536, 65536]")
    huge = huge.replace("kernel: 3", "kernel: 7")
    Path("huge.yaml").write_text(re.sub("digest: .*\n", "", huge))
    code, _, err = train("huge.yaml", capsys=capsys, monkeypatch=monkeypatch)
    assert code == 2 and re.search("^.*huge.yaml: found a network of [0-9.]+T FLOPs, expected at most 1T;", err), err


@pytest.mark.usefixtures("folder", "no_training")
@pytest.mark.parametrize("output", ["w.safetensors", "w.weights"])
def test_a_second_training_of_one_output_is_refused_until_the_first_has_ended(
    output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They share the results, w.json, whatever ending the weights have."""
    with _alone(Path("w.safetensors")):
        before = sorted(Path().iterdir())
        code, out, err = train("best.yaml", "-o", output, "--force", capsys=capsys, monkeypatch=monkeypatch)
        assert code == 2 and not out and len(err.splitlines()) == 1
        assert "found a training of the same output (pid " in err and "choose another -o" in err
        assert sorted(Path().iterdir()) == before
    with _alone(Path(output)):
        pass
    assert not list(Path().glob("*.lock"))
