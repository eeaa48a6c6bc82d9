"""What `--format onnx` writes computes the same in onnxruntime, and says what a program has to know that runs it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from exports import DATA, export, reference, source_of
from onnx import numpy_helper
from random_architectures import run_without_reuse, wide_architecture
from small_networks import architecture as small_architecture

from cspnas.cli.export import ExportOptions, export_network
from cspnas.documents.architecture_file import architecture_yaml
from cspnas.errors import CspnasError, InputError
from cspnas.export import onnx_file
from cspnas.export.choice import Choice
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.cost import cost_of
from cspnas.network.deployment import ORDERS
from cspnas.network.liveness import fold_norms
from cspnas.network.ordering import ordered
from cspnas.network.wiring import wire

SMALL_REFERENCES = ("csppeleenet", "peleenet")


def outputs(path: Path, images: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(onnx_file.session_of(path).run(None, {"image": images.numpy()})[0])


def test_outputs_are_those_of_the_network_whatever_its_parts(tmp_path: Path) -> None:
    """Against a reading of the graph that shares nothing with the module, nor with the writer."""
    for seed in range(15):
        source = source_of(wide_architecture(random.Random(seed)))
        export(source, "onnx", tmp_path / f"{seed}.onnx")
        images = torch.randn(3, *source.architecture.input_shape)
        common = any(op.kind == "add" and op["common"] for op in source.graph.operations)
        slope = source.architecture.negative_slope
        with torch.no_grad():
            # That reading has Darknet's slope and plain sums alone.
            plain = not common and slope == 0.1
            expected = run_without_reuse(source.graph, source.module, images) if plain else source.module(images)
        torch.testing.assert_close(outputs(tmp_path / f"{seed}.onnx", images), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SMALL_REFERENCES)
def test_a_reference_network_holds_the_weights_that_its_cost_says(name: str, tmp_path: Path) -> None:
    source = source_of(reference(name))
    said = export(source, "onnx", tmp_path / "x.onnx")
    assert "onnxruntime gives the same outputs on 16 images" in said
    stored = [numpy_helper.to_array(t) for t in onnx.load(tmp_path / "x.onnx").graph.initializer]
    floats = sum(array.nbytes for array in stored if array.dtype == np.float32)
    assert floats == cost_of(source.graph).weight_bytes


def test_pixels_are_normalised_inside_where_it_is_wanted(tmp_path: Path) -> None:
    source = source_of(reference("csppeleenet"), normalise=True, **DATA)
    export(source, "onnx", tmp_path / "x.onnx")
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(DATA[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        expected = source.module((pixels / 255 - mean) / std)
    torch.testing.assert_close(outputs(tmp_path / "x.onnx", pixels), expected, rtol=1e-4, atol=1e-3)


def test_the_metadata_say_classes_and_input_whatever_the_classes_are_called(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", 'a "quoted"\nname']
    source = source_of(small_architecture(), class_names=names, mean=[0.5], std=[0.3])
    export(source, "onnx", tmp_path / "x.onnx")
    said = {entry.key: entry.value for entry in onnx.load(tmp_path / "x.onnx").metadata_props}
    assert json.loads(said["class_names"]) == names
    assert json.loads(said["input"]) == {
        "layout": "NCHW",
        "channels": 1,
        "height": 8,
        "width": 8,
        "values": "(pixels / 255 - mean) / std",
        "mean": [0.5],
        "std": [0.3],
    }
    assert said["digest"] == source.graph.digest()


def test_a_file_with_other_weights_fails_the_check(tmp_path: Path) -> None:
    source = source_of(small_architecture())
    export(source, "onnx", tmp_path / "x.onnx")
    with torch.no_grad():
        source.module.layer("stem.conv").weight[0] += 0.1
    with pytest.raises(CspnasError, match="onnxruntime computes other outputs"):
        onnx_file.OnnxWriter().checked(tmp_path / "x.onnx", source)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"mean": [0.5, 0.5], "std": [0.3]}, "data.mean"),
        ({"mean": [0.5], "std": [0]}, "data.std"),
        ({"mean": [0.5], "std": [float("nan")]}, "data.std"),
        ({"mean": "0.5", "std": [1]}, "data.mean"),
        ({"mean": [0.5], "std": [1], "class_names": ["one"]}, "data.class_names"),
        ({"mean": [0.5], "std": [1], "class_names": [1, 2]}, "data.class_names"),
        ({"class_names": ["a", "b"]}, "data.mean and data.std"),
    ],
)
def test_what_the_file_says_of_its_images_is_checked(data: dict[str, object], where: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=where):
        export(source_of(small_architecture(), normalise=True, **data), "onnx", tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_nodes_come_in_the_order_of_the_deployment(tmp_path: Path) -> None:
    network = Architecture("resnet", (3, 8, 8), 10, Stem(22), (Stage(1, None, 1, 14, width=14),))
    names = {}
    for order in ORDERS:
        file = tmp_path / f"{order}.yaml"
        file.write_text(architecture_yaml(network, {"deployment": {"order": order}}))
        export_network(str(file), Choice(), file.with_suffix(".onnx"), ExportOptions("onnx"))
        names[order] = [node.name for node in onnx.load(file.with_suffix(".onnx")).graph.node]
        folded = [op.name for op in fold_norms(ordered(wire(network), order)).operations]
        assert [name for name in names[order] if name in folded[:-1]] == folded[1:-1]
    assert names["best"] != names["written"]
