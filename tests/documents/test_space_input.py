"""`input` in a space file: costs without data at hand, data that have to agree; and the flags that change a space."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import draw_images

from cspnas.cli import app as cli
from cspnas.data.registry import folder_form
from cspnas.documents.architecture_file import find_architecture, read_architecture
from cspnas.documents.space_file import read_space, space_schema
from cspnas.errors import InputError

SPACE = """\
family: densenet
stem: {channels: 4, kernel: 3, stride: 2}
input:
  shape: [3, 224, 224]
  classes: 1000
stages:
  - {growth_rate: 4, depth: 1, csp: false, bottleneck_ratio: 2, compression: 0.5}
  - {growth_rate: [4, 8], depth: [1, 2]}
"""
WITHOUT = SPACE.replace("input:\n  shape: [3, 224, 224]\n  classes: 1000\n", "")
ONE = """\
family: densenet
stem: {channels: 4, kernel: 3, stride: 2}
input: {shape: [3, 224, 224], classes: 1000}
stages:
  - {growth_rate: 3, depth: 1, csp: false, bottleneck_ratio: 2, compression: 0.5}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the space `big.yaml`."""
    (tmp_path / "big.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `cspnas WORDS`."""
    monkeypatch.setattr(sys, "argv", ["cspnas", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    captured = capsys.readouterr()
    assert isinstance(end.value.code, int)
    return end.value.code, captured.out, captured.err


def test_a_space_with_input_is_described_without_any_data(folder: Path) -> None:
    """No file below the package's data sets, nor torch, which reads them, is touched."""
    code = (
        "import sys\n"
        "def seen(event, arguments):\n"
        "    assert event != 'open' or '/datasets/' not in str(arguments[0]), arguments\n"
        "sys.addaudithook(seen)\n"
        "sys.argv = ['cspnas', 'space', 'big.yaml', '--json']\n"
        "from cspnas.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["input"] == {"shape": [3, 224, 224], "classes": 1000}


def test_its_costs_are_those_of_networks_on_such_images(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A space of one network, counted by hand: stem, 1x1 and 3x3 of the dense layer, transition, classifier."""
    Path("one.yaml").write_text(ONE)
    pixels = 112 * 112
    macs = pixels * (3 * 9 * 4 + 4 * 6 + 6 * 9 * 3 + 7 * 3) + 3 * 1000
    code, out, _ = run(capsys, monkeypatch, "space", "one.yaml", "--json")
    assert code == 0 and json.loads(out)["ranges"]["flops"]["median"] == 2 * macs
    code, out, _ = run(capsys, monkeypatch, "space", "one.yaml")
    assert out.startswith("images of 3 x 224 x 224 in 1,000 classes, no data set named\n")
    assert '"dataset": null' in out


@pytest.mark.parametrize(
    ("key", "value", "place", "expected"),
    [
        ("input", None, ":3 input:", "found nothing, expected the keys shape and classes"),
        ("input", 3, ":3 input:", "found 3"),
        ("input", {"shape": [3, 8, 8], "classes": 10, "size": 8}, ":3 input", "unknown key 'size'"),
        ("input", {"shape": [3, 8, 8]}, ":3 input", "key 'classes' is missing"),
        ("shape", [224, 224], ":4 input.shape:", "found [224, 224], expected a list of 3 entries"),
        ("shape", [3, 8, 8, 8], ":4 input.shape:", "expected a list of 3 entries"),
        ("shape", 224, ":4 input.shape:", "found 224"),
        ("shape", None, ":4 input.shape:", "found nothing"),
        ("shape", [0, 224, 224], ":4 input.shape", "found 0, expected a whole number of at least 1"),
        ("shape", [3, 224, -1], ":4 input.shape", "found -1"),
        ("shape", [3, 224, 224.0], ":4 input.shape", "found 224.0"),
        ("shape", [3, True, 224], ":4 input.shape", "found true"),
        ("shape", ["3", 224, 224], ":4 input.shape", "found '3'"),
        ("shape", [3, 224, 70000], ":4 input.shape", "found 70000, expected a whole number"),
        ("shape", [224, 224, 3], ":4 input.shape:", "channels first: [3, 224, 224]"),
        (
            "shape",
            [3, 2, 2],
            ":4 input.shape:",
            "found images of 2 x 2, expected at least 3 x 3; in stage1 they leave a pool of 2x2",
        ),
        ("classes", 1, ":5 input.classes:", "found 1, expected a whole number of at least 2"),
        ("classes", 10**9, ":5 input.classes:", "at most 10000000"),
        ("classes", True, ":5 input.classes:", "found true"),
        ("classes", 10.0, ":5 input.classes:", "found 10.0"),
        ("classes", "ten", ":5 input.classes:", "found 'ten'"),
        ("classes", None, ":5 input.classes:", "found nothing"),
    ],
)
def test_what_no_image_has_is_refused_in_one_line_with_its_place(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    value: Any,
    place: str,
    expected: str,
) -> None:
    text = yaml.safe_dump(value, default_flow_style=True).replace("\n...", "").strip()
    before = {"input": "input:\n  shape: [3, 224, 224]\n  classes: 1000", "shape": "[3, 224, 224]", "classes": "1000"}
    after = f"input: {text}" if key == "input" else text
    Path("big.yaml").write_text(SPACE.replace(before[key], after))
    code, out, err = run(capsys, monkeypatch, "space", "big.yaml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert place in err and expected in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("--dataset", "cifar10"),
            "big.yaml:4 input.shape: found 3 x 224 x 224, expected 3 x 32 x 32, as data set cifar10",
        ),
        (
            ("--set", "input.shape=[3, 32, 32]", "--dataset", "cifar10"),
            "big.yaml:5 input.classes: found 1000 classes, expected 10, as data set cifar10 has (--dataset)",
        ),
        (
            ("--set", "input.shape=[1, 28, 28]", "--set", "input.classes=11", "--set", "proxy.dataset=fashion-mnist"),
            "--set input.classes: found 11 classes, expected 10, as data set fashion-mnist has (--set proxy.dataset)",
        ),
        (("--dataset", "cifar"), "--dataset: found data set 'cifar'"),
    ],
)
@pytest.mark.parametrize("command", ["space", "search"])
def test_a_known_data_set_has_to_agree(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    words: tuple[str, ...],
    expected: str,
) -> None:
    code, out, err = run(capsys, monkeypatch, command, "big.yaml", *words)
    assert (code, out, err.count("\n")) == (2, "", 1) and expected in err
    assert [path.name for path in folder.iterdir()] == ["big.yaml"]


def test_a_search_asks_for_data_of_that_shape_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(capsys, monkeypatch, "search", "big.yaml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "big.yaml:3 input: " in err and "data of 3 x 224 x 224 in 1000 classes" in err
    assert err.endswith("--dataset folder:PATH\n")
    # The default data set would fit; it is offered, and not taken without being asked for.
    fitting = ("--set", "input.shape=[1,28,28]", "--set", "input.classes=10")
    code, _, err = run(capsys, monkeypatch, "search", "big.yaml", *fitting)
    assert code == 2 and "--dataset fashion-mnist-mini or fashion-mnist or folder:PATH" in err
    assert [path.name for path in folder.iterdir()] == ["big.yaml"]


def test_a_folder_is_opened_by_a_search_alone(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = ("big.yaml", "--dataset", "folder:missing")
    code, out, _ = run(capsys, monkeypatch, "space", *missing, "--sample", "20")
    assert code == 0 and "in 1,000 classes, of data set folder:missing" in out
    code, _, err = run(capsys, monkeypatch, "search", *missing)
    assert code == 2 and "no such folder" in err
    draw_images(folder / "images", 12, 28)
    code, _, err = run(capsys, monkeypatch, "search", "big.yaml", "--dataset", "folder:images")
    assert code == 2 and "big.yaml:4 input.shape: found 3 x 224 x 224, expected 1 x 28 x 28, as data set folder:" in err
    assert not (folder / "studies").exists()


def test_input_that_agrees_leaves_the_study_what_it_was(folder: Path) -> None:
    """So a study goes on when its file gets the key, and when it loses it."""
    draw_images(folder / "images", 12, 28)
    agreeing = {"input": {"shape": [1, 28, 28], "classes": 2}}
    data = {"proxy.dataset": "folder:images"}
    with_input = read_space(Path("big.yaml"), {**data, **agreeing}, None, folder_form, training=True)
    Path("big.yaml").write_text(WITHOUT)
    without = read_space(Path("big.yaml"), data, None, folder_form, training=True)
    assert with_input.identity() == without.identity()
    assert not [key for key in without.identity() if key.startswith("input")]


def test_the_schema_describes_input() -> None:
    """For editors: both keys are asked for, with their bounds and what they mean."""
    document = space_schema()["$defs"]["InputDocument"]
    assert document["required"] == ["shape", "classes"] and document["additionalProperties"] is False
    shape, classes = document["properties"]["shape"], document["properties"]["classes"]
    assert (shape["minItems"], shape["maxItems"], shape["items"]["minimum"]) == (3, 3, 1)
    assert classes["minimum"] == 2 and "channels, height, width" in shape["description"]


# Flags ----------------------------------------------------------------------------------------------------------------

CHANGES = [
    (("--set", "stages.1.growth_rate=[4, 6]"), ("growth_rate: [4, 8]", "growth_rate: [4, 6]")),
    (("--set", "input.classes=10"), ("classes: 1000", "classes: 10")),
    (("--objective", "accuracy", "--objective", "params"), ("family:", "objectives: [accuracy, params]\nfamily:")),
    (("--constraint", "flops <= 30M"), ("family:", "constraints: [flops <= 30M]\nfamily:")),
    (("--dataset", "folder:a"), ("family:", "proxy: {dataset: folder:a}\nfamily:")),
]


@pytest.mark.parametrize(("words", "edit"), CHANGES, ids=lambda value: value[0])
def test_a_flag_describes_the_space_that_the_edited_file_is(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    edit: tuple[str, str],
) -> None:
    _, plain, _ = run(capsys, monkeypatch, "space", "big.yaml")
    code, by_flag, _ = run(capsys, monkeypatch, "space", "big.yaml", *words)
    Path("big.yaml").write_text(SPACE.replace(*edit))
    _, by_hand, _ = run(capsys, monkeypatch, "space", "big.yaml")
    assert code == 0 and by_flag == by_hand != plain


@pytest.mark.parametrize(
    "words",
    [
        ("--set", "proxy.epoch=2"),
        ("--set", "stages.7.depth=2"),
        ("--set", "proxy.epochs"),
        ("--set", "stages.1.growth_rate=0"),
        ("--constraint", "flop<=3M"),
        ("--constraint", "flops<=3MiB"),
        ("--objective", "flops"),
        ("--objective", "flop"),
        ("--dataset", "cifar"),
    ],
)
def test_a_wrong_flag_is_refused_as_a_search_refuses_it(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    Path("big.yaml").write_text(WITHOUT)
    refusals = [run(capsys, monkeypatch, command, "big.yaml", *words) for command in ("space", "search")]
    assert refusals[0] == refusals[1] and refusals[0][0] == 2
    assert refusals[0][2].count("\n") == 1 and refusals[0][2].startswith(f"cspnas: {words[0]}")


@pytest.mark.parametrize("mode", [("--copy",), ("--schema",)])
def test_flags_that_would_change_nothing_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mode: tuple[str, ...]
) -> None:
    code, out, err = run(capsys, monkeypatch, "space", "densenet", *mode, "--set", "proxy.epochs=2")
    assert (code, out, err.count("\n")) == (2, "", 1) and f"--set with {mode[0]}" in err
    assert [path.name for path in folder.iterdir()] == ["big.yaml"]


def test_without_data_or_input_the_default_data_set_counts(folder: Path) -> None:
    Path("big.yaml").write_text(WITHOUT)
    study = read_space(Path("big.yaml"), training=True)
    assert (study.space.input_shape, study.space.classes, study.recipe.dataset) == (
        (1, 28, 28),
        10,
        "fashion-mnist-mini",
    )
    with pytest.raises(InputError, match="name them: --dataset"):
        read_space(Path("big.yaml"), {"input": {"shape": [1, 28, 28], "classes": 10}}, training=True)


STRIDES = WITHOUT.replace("stages:", "stages:\n" + "  - {growth_rate: 4, depth: 1}\n" * 3)


@pytest.mark.parametrize(
    ("more", "flags", "place", "found"),
    [
        (
            "input: {shape: [3, 16, 40], classes: 2}",
            {},
            "deep.yaml:10 input.shape",
            "16 x 40, expected at least 31 x 40",
        ),
        (
            "proxy: {dataset: 'folder:images', image_size: 16}",
            {},
            "deep.yaml:10 proxy.image_size",
            "16 x 16, expected at least 31 x 31",
        ),
        (
            "proxy: {dataset: 'folder:images'}",
            {"proxy.image_size": 8},
            "--image-size",
            "8 x 8, expected at least 31 x 31",
        ),
    ],
)
def test_images_too_small_for_the_strides_are_refused_with_the_least_size(
    folder: Path, more: str, flags: dict[str, Any], place: str, found: str
) -> None:
    draw_images(folder / "images", 4, 20)
    (folder / "deep.yaml").write_text(STRIDES + more)
    sources = dict.fromkeys(flags, "--image-size")
    with pytest.raises(InputError) as caught:
        read_space(Path("deep.yaml"), flags, sources, folder_form)
    assert str(caught.value).startswith(f"{place}: found images of {found}; in stage")
    enough = {"input.shape": [3, 31, 40]} if "input" in more else {"proxy.image_size": 31}
    assert read_space(Path("deep.yaml"), enough, {}, folder_form).space.input_shape[1] == 31


def test_an_architecture_on_images_too_small_is_refused_with_the_least_size(tmp_path: Path) -> None:
    text = find_architecture("resnet50").read_text().replace("[3, 224, 224]", "[3, 16, 16]")
    (tmp_path / "small.yaml").write_text("".join(line + "\n" for line in text.splitlines() if "digest" not in line))
    with pytest.raises(InputError, match=r"input_shape: found images of 16 x 16, expected at least 17 x 17; in stage4"):
        read_architecture(tmp_path / "small.yaml")
