"""What `cspnas export` refuses in one line, with nothing written, and what it prints of what it wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from commands import commands
from safetensors.torch import save_file
from small_networks import architecture

import cspnas
from cspnas.documents.architecture_file import architecture_yaml


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network `net.yaml` and weights: its own, another network's, and a file that is none."""
    folder = tmp_path_factory.mktemp("export")
    data = {"class_names": ["<script>", "b"], "mean": [0.5], "std": [0.25]}
    (folder / "net.yaml").write_text(architecture_yaml(architecture(), {"data": data}))
    own = cspnas.build(architecture(), seed=3)
    torch.nn.init.normal_(own.layer("head.linear").weight)
    save_file(own.state_dict(), folder / "own.safetensors")
    save_file(cspnas.build(architecture(), classes=3).state_dict(), folder / "three.safetensors")
    (folder / "cut.safetensors").write_bytes((folder / "own.safetensors").read_bytes()[:99])
    (folder / "there.onnx").write_text("there")
    return folder


@pytest.fixture
def run(folder: Path) -> Iterator[object]:
    with commands(folder) as start:

        def run(line: str) -> tuple[int, str, str]:
            command = start("export", *line.split())
            out, err = command.communicate(120)
            return command.returncode, out, err

        yield run


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("net.yaml --format onxn -o x", "did you mean onnx?"),
        ("net.yaml --format onnx -o there.onnx", "found a file that exists"),
        ("net.yaml --format onnx -o own.safetensors --weights own.safetensors --force", "the file that is read"),
        ("net.yaml -o net.yaml --force", "the file that is read"),
        ("net.yaml --weights own.safetensors -o x", "--weights with --format yaml"),
        ("net.yaml --normalise -o x", "--normalise with --format yaml"),
        ("net.yaml --format onnx --weights none.safetensors -o x", "none.safetensors: found No such file"),
        ("net.yaml --format onnx --weights cut.safetensors -o x", "expected a safetensors file"),
        ("net.yaml --format onnx --weights net.yaml -o x", "expected a safetensors file"),
        ("net.yaml --format onnx --weights . -o x", "expected a safetensors file"),
        (
            "net.yaml --format onnx --weights three.safetensors -o x",
            "found head.linear.bias: (3,), expected (2,), as in the network (2 of 44 tensors differ)",
        ),
        ("net.yaml --format onnx --int8 -o x", "--int8 without --weights"),
        ("net.yaml --format python --int8 --weights own.safetensors -o x", "--int8 with --format python"),
        ("net.yaml --format pt2 --normalise -o x", "expected --format onnx"),
        ("csppeleenet --format darknet -o x.cfg", "a Darknet file cannot express it"),
        ("csresnext50 --format darknet -o x.weights", "found ending .weights"),
        ("csppeleenet --format yolo -o x", "choose another --format"),
        ("net.yaml --pick knee --format onnx -o x", "found a choice, expected a study"),
        ("csresnext5 --format onnx -o x", "no study 'csresnext5'"),
        ("csppeleenet --normalise --format onnx -o x", "no mean and std"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(run: object, folder: Path, line: str, said: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    code, out, err = run(line)  # type: ignore[operator]
    *steps, last = err.splitlines()
    assert (code, out) == (2, ""), err
    assert said in last
    assert not any("Traceback" in step for step in steps)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_file_and_its_weights_become_another_programs_network(run: object, folder: Path) -> None:
    code, out, err = run("net.yaml --format onnx --weights own.safetensors --normalise -o net.onnx")  # type: ignore[operator]
    assert code == 0, err
    first, check = out.splitlines()
    assert first.startswith("net.onnx: network ")
    assert "nodes, initializers of" in check
    assert "onnxruntime gives the same outputs on 16 images" in check
    import onnx

    said = {entry.key: entry.value for entry in onnx.load(folder / "net.onnx").metadata_props}
    assert (json.loads(said["class_names"]), said["weights"]) == (["<script>", "b"], "trained")


def test_a_network_without_weights_says_that_it_is_untrained(run: object, folder: Path) -> None:
    code, out, _ = run("net.yaml --format onnx -o untrained.onnx")  # type: ignore[operator]
    assert code == 0
    assert "untrained weights" in out
