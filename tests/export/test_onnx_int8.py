"""What `--format onnx --int8` writes: a network that is as accurate and as small as it says."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from math import prod
from pathlib import Path

import onnx
import pytest
from exports import export, source_of
from onnx import TensorProto, helper, numpy_helper
from random_architectures import wide_architecture
from small_networks import architecture as small_architecture
from small_networks import data, dataset

from cspnas.export.network_to_export import NetworkToExport, QuantisationData
from cspnas.export.onnx_file import OnnxWriter
from cspnas.export.onnx_int8 import Int8Writer
from cspnas.export.onnx_memory import peak_of
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.cost import cost_of
from cspnas.network.deployment import ORDERS, Deployment, Order
from cspnas.network.wiring import wire
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.recipe import Recipe
from cspnas.training.train import train_network


@pytest.fixture(scope="module")
def trained() -> NetworkToExport:
    """A network that tells horizontal stripes from vertical ones."""
    network, found = NetworkModule(wire(small_architecture())), dataset()
    initialise(network, 0)
    train_network(network, data(), Recipe(epochs=3, batch_size=20), 0)
    images = QuantisationData(found.train.images[:40], found.validation.images, found.validation.labels, "test")
    said = {"data": {"mean": [0.5], "std": [0.3]}}
    return NetworkToExport(small_architecture(), said, network.eval(), Path("w"), "a.yaml", quantisation=images)


@pytest.mark.parametrize("normalise", [False, True])
def test_it_is_as_accurate_as_before_and_holds_the_weights_of_its_cost(
    trained: NetworkToExport, normalise: bool, tmp_path: Path
) -> None:
    said = export(replace(trained, normalise=normalise), "onnx", tmp_path / "x.onnx")
    before, after = map(float, re.findall(r"([\d.]+)%", said))
    assert before > 95
    assert after > 90
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(tmp_path / "x.onnx").graph.initializer}
    quantised = {name: array for name, array in stored.items() if name.endswith("_quantized")}
    assert {str(array.dtype) for array in quantised.values()} == {"int8", "int32"}
    folded = cost_of(trained.graph).weight_bytes // 4
    assert sum(array.size for array in quantised.values()) == folded
    assert f"weights_memory {folded:,} bytes" in said


def test_the_memory_of_a_file_is_that_of_the_exact_costs() -> None:
    """Of float32 files, node by node: the plan of memory and the file share nothing but the network."""
    seen = 0
    for seed in range(24):
        architecture = wide_architecture(random.Random(seed))
        # Two nodes in ONNX, or one that cannot overwrite: their plan is another.
        if architecture.activation in ("silu", "gelu") or any(s.shortcut == "common" for s in architecture.stages):
            continue
        seen += 1
        source = source_of(architecture)
        model = onnx.load_from_string(OnnxWriter().contents(source)[""])
        assert peak_of(model) == cost_of(source.graph).peak_memory, seed
    assert seen > 5


def test_the_nodes_stay_in_our_order(trained: NetworkToExport) -> None:
    model = onnx.load_from_string(Int8Writer().contents(trained)[""])
    before = onnx.load_from_string(OnnxWriter().contents(trained)[""])
    names = {node.name for node in model.graph.node}
    ours = [node.name for node in before.graph.node if node.name in names]
    assert [node.name for node in model.graph.node if node.name in set(ours)] == ours


def test_values_that_are_not_brought_to_8_bits_count_four_bytes() -> None:
    """A pool keeps its input alive beside its result: 64 + 16 numbers."""
    value = helper.make_tensor_value_info
    image, result = value("image", TensorProto.FLOAT, ["n", 1, 8, 8]), value("y", TensorProto.FLOAT, ["n", 1, 4, 4])
    pool = helper.make_node("MaxPool", ["image"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
    assert peak_of(helper.make_model(helper.make_graph([pool], "g", [image], [result]))) == 4 * (64 + 16)


@pytest.mark.parametrize("order", ORDERS)
def test_the_peak_of_a_file_is_that_of_a_deployment_in_int8_and_its_order(
    trained: NetworkToExport, order: Order
) -> None:
    """Of a block whose shortcut is better run early; image and logits are what the program gives and gets, in 8 bits too."""
    network = Architecture("resnet", (1, 8, 8), 2, Stem(22), (Stage(1, None, 1, 14, width=14),))
    module = NetworkModule(wire(network), order=order).eval()
    model = onnx.load_from_string(Int8Writer().contents(replace(trained, architecture=network, network=module))[""])
    deployed = cost_of(wire(network), order).deployed(Deployment("int8", order=order))
    assert peak_of(model) == deployed.peak_memory == 64 * (1 + 22 + (14 + 14 if order == "written" else 1 + 14))
    weights = [t for t in model.graph.initializer if t.name.endswith("_quantized")]
    assert sum(prod(t.dims) for t in weights) == deployed.weight_bytes
