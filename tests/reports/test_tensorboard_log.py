"""What TensorBoard itself reads of the curves that were logged."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

from cspnas.errors import InputError
from cspnas.reports.tensorboard_log import TensorBoardLog, checked_log_folder
from cspnas.training.recipe import Recipe
from cspnas.training.train import Epoch

RECIPE = Recipe(epochs=4, learning_rate=0.5, warmup=0.25)
# The network of the third epoch is none that could be evaluated.
EPOCHS = [Epoch(2.0 / number, 0.2 * number, 4.0, None if number == 3 else 1.0) for number in (1, 2, 3, 4)]


def logged(folder: Path, epochs: int, said: list[str] | None = None) -> TensorBoardLog:
    log = TensorBoardLog(folder, RECIPE, 10, 640, (said if said is not None else []).append)
    for epoch in EPOCHS[:epochs]:
        log.epoch(epoch)
    return log


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    read = EventAccumulator(str(folder)).Reload()
    return {tag: [(one.step, round(one.value, 6)) for one in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_each_epoch_has_its_loss_accuracy_rate_and_speed(tmp_path: Path) -> None:
    logged(tmp_path / "runs" / "one", 4)
    assert curves(tmp_path / "runs" / "one") == {
        "loss/train": [(1, 2.0), (2, 1.0), (3, 0.666667), (4, 0.5)],
        "loss/validation": [(1, 1.0), (2, 1.0), (4, 1.0)],
        "accuracy/validation": [(1, 0.2), (2, 0.4), (3, 0.6), (4, 0.8)],
        # Of the last of ten steps: the rate rises for ten steps, then falls to zero in thirty.
        "learning_rate": [(1, 0.5), (2, 0.35), (3, 0.183333), (4, 0.016667)],
        "images_per_second": [(number, 160.0) for number in (1, 2, 3, 4)],
    }


def test_a_training_that_goes_on_has_each_epoch_once(tmp_path: Path) -> None:
    """The second start hears of the epochs in its checkpoint first."""
    logged(tmp_path, 3)
    logged(tmp_path, 4)
    found = curves(tmp_path)
    assert [step for step, _ in found["loss/train"]] == [1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 2


def test_the_end_says_the_settings_and_the_final_accuracies(tmp_path: Path) -> None:
    logged(tmp_path, 4).end(
        {"epochs": 4, "dataset": "cifar10", "image_size": None}, {"test_accuracy": 0.75, "validation_accuracy": None}
    )
    assert curves(tmp_path)["final/test_accuracy"] == [(4, 0.75)]
    content = EventAccumulator(str(tmp_path)).Reload().PluginTagToContent("hparams")
    settings = parse_session_start_info_plugin_data(content["_hparams_/session_start_info"]).hparams
    assert settings["epochs"].number_value == 4
    assert settings["dataset"].string_value == "cifar10"
    assert settings["image_size"].string_value == "None"


def test_a_full_disk_is_said_once_and_the_training_goes_on(tmp_path: Path) -> None:
    said, limits = list[str](), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        logged(tmp_path, 4, said).end({"epochs": 4}, {"test_accuracy": 0.75})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = said
    assert line.endswith("no learning curves are written any more (File too large); the training goes on")
    assert curves(tmp_path)["loss/train"] == [(1, 2.0)]


@pytest.mark.parametrize(
    ("place", "found"),
    [("file", "a file"), ("file/below", "a file"), ("", "no path"), ("a" * 300, "File name too long")],
)
def test_a_folder_that_cannot_be_is_refused(
    place: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"found {found}, expected a folder; choose a folder"):
        checked_log_folder(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
