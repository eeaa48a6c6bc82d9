"""The reference networks: each loads, builds, costs what independent counters count, trains, folds, exports; the golden
figures of tests/golden/cspnet.yaml hold to the last digit given.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch.nn.functional import cross_entropy
from training_memory import measured_training_memory
from typer.testing import CliRunner

import cspnas
from cspnas.cli.app import app
from cspnas.documents.architecture_file import (
    architecture_yaml,
    find_architecture,
    read_architecture,
    shipped_architectures,
)
from cspnas.errors import ArchitectureError, InputError
from cspnas.network.architecture import Architecture, Fusion, Stage
from cspnas.network.cost import CostTable, cost_of
from cspnas.network.graph import Graph
from cspnas.network.wiring import enlarged, wire
from cspnas.space.stage_resolution import dense_stage, plain_network
from cspnas.training.cross_checks import cross_check_costs
from cspnas.training.module import NetworkModule, fold, initialise

AUTHORS = ("darknet53", "csdarknet53", "csresnet50", "csresnext50", "resnet50_darknet", "resnext50_darknet")
TORCHVISION = ("densenet121", "densenet201", "resnet50", "resnext50_32x4d")
TIMM = ("cspresnet50", "cspresnext50", "cspdarknet53", "cs3darknet_m")
REFERENCES = (*AUTHORS, *TORCHVISION, *TIMM, "peleenet", "csppeleenet", "cspdensenet121")
GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "cspnet.yaml").read_text())


@cache
def reference(name: str) -> Architecture:
    """The reference network `name`."""
    return read_architecture(find_architecture(name)).architecture


def small(name: str) -> Architecture:
    """The same layers on an image of 64x64, 10 classes."""
    return replace(reference(name), input_shape=(3, 64, 64), classes=10)


def shallow(name: str) -> Architecture:
    """The same wirings with at most 2 layers a stage: depth only repeats them."""
    stages: list[Stage] = []
    for stage in reference(name).stages:
        depth = min(stage.depth, 2)
        narrower = {} if stage.transition else {"out": stages[-1].out + depth * (stage.growth_rate or 0)}
        stages.append(replace(stage, depth=depth, **narrower))
    return replace(small(name), stages=tuple(stages))


def test_all_references_are_shipped() -> None:
    assert sorted(shipped_architectures()) == sorted(REFERENCES)


@pytest.mark.parametrize("name", REFERENCES)
def test_file_says_what_it_is_and_reads_back_the_same(name: str, tmp_path: Path) -> None:
    path = find_architecture(name)
    text, file = path.read_text(), read_architecture(path)
    assert text.startswith("# ")
    assert file.document["source"]
    copy = tmp_path / "copy.yaml"
    copy.write_text(architecture_yaml(file.architecture, {"digest": wire(file.architecture).digest()}))
    assert read_architecture(copy).architecture == file.architecture


@pytest.mark.parametrize("name", REFERENCES)
def test_file_cut_short_is_never_another_network(name: str, tmp_path: Path) -> None:
    """A reference cut at the end of any line, where a list of stages would still read as a shorter one, is refused or is
    the same network (its end is a remark).
    """
    whole, cut = find_architecture(name).read_bytes(), tmp_path / "cut.yaml"
    refused = 0
    for length in (place + 1 for place, byte in enumerate(whole) if byte == ord("\n")):
        cut.write_bytes(whole[:length])
        try:
            assert read_architecture(cut).architecture == reference(name)
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused >= len(reference(name).stages)


@pytest.mark.parametrize("name", REFERENCES)
def test_input_smaller_than_the_strides_is_refused(name: str) -> None:
    """All have five strides of 2: on 32x32 one position is left, on 16x16 the last would step over a single one, which
    padding alone makes possible.
    """
    assert wire(replace(small(name), input_shape=(3, 32, 32))).operations[-1].shape == (10,)
    for height, width in ((16, 16), (1, 1), (32, 16), (16, 64)):
        with pytest.raises(ArchitectureError, match=r"a map at least as large as the (stride|window).*larger input"):
            wire(replace(small(name), input_shape=(3, height, width)))
    larger = enlarged(replace(small(name), input_shape=(3, 16, 16)))
    assert larger is not None
    side = larger.input_shape[1]
    assert larger.input_shape == (3, side, side) and 16 < side <= 32 and wire(larger)
    with pytest.raises(ArchitectureError):
        wire(replace(larger, input_shape=(3, side - 1, side)))


@pytest.mark.parametrize("name", REFERENCES)
def test_costs_are_what_other_counters_count(name: str) -> None:
    architecture = reference(name)
    graph = wire(architecture)
    assert [check for check in cross_check_costs(graph) if not check.agrees] == []
    assert CostTable().cost(architecture) == cost_of(graph)


@pytest.mark.parametrize("name", REFERENCES)
def test_training_memory_is_what_a_step_holds(name: str) -> None:
    graph = wire(shallow(name))
    assert cost_of(graph).training_memory(2) == measured_training_memory(graph, 2)


@pytest.mark.parametrize("name", REFERENCES)
def test_has_a_plain_counterpart(name: str) -> None:
    plain = plain_network(reference(name))
    assert wire(plain).operations[-1].shape == (1000,)
    assert all(stage.csp is None for stage in plain.stages)


@pytest.mark.parametrize("name", REFERENCES)
def test_trains_a_step_and_folds(name: str) -> None:
    """Every weight gets a gradient, a short step against it lowers the loss, and the folded network gives the same logits."""
    network = NetworkModule(wire(small(name)))
    initialise(network, 0)
    images, labels = torch.randn(2, 3, 64, 64), torch.arange(2)
    before = cross_entropy(network(images), labels)
    before.backward()
    gradients = {key: weight.grad for key, weight in network.named_parameters()}
    assert [key for key, gradient in gradients.items() if gradient is None] == []
    steepness = sum(float(gradient.square().sum()) for gradient in gradients.values() if gradient is not None)
    with torch.no_grad():
        for weight in network.parameters():
            # To first order, one per cent off the loss.
            weight.sub_(0.01 * before / steepness * weight.grad)
        assert cross_entropy(network(images), labels) < before
        expected = network.eval()(images)
        torch.testing.assert_close(fold(network)(images), expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["cspdensenet121", "csppeleenet", "cspresnext50", "cs3darknet_m", "csdarknet53"])
def test_exports(name: str) -> None:
    """`torch.export` traces the network, every convolution in it."""
    with torch.device("meta"):
        network = NetworkModule(wire(shallow(name))).eval()
        program = torch.export.export(network, (torch.empty(1, 3, 64, 64),))
    assert sum(node.target is torch.ops.aten.conv2d.default for node in program.graph.nodes) == sum(
        op.kind == "conv" for op in network.graph.operations
    )


def test_a_reference_network_is_built_by_its_name() -> None:
    network = cspnas.build("cs3darknet_m", seed=3)
    again = cspnas.build(find_architecture("cs3darknet_m"), seed=3)
    assert network.graph.operations[0].shape == (3, 256, 256)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))


def test_unknown_name_is_one_line_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"^ARCHITECTURE: .*'csdarknt53'.*did you mean csdarknet53\?$"):
        cspnas.build("csdarknt53")


def test_commands_take_a_reference_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["cost", "csdarknet53", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["params"] == 27_642_184
    monkeypatch.chdir(tmp_path)
    Path("resnet50.safetensors").touch()
    with pytest.raises(
        InputError, match=r"^resnet50.safetensors: found a file that exists"
    ):  # here, not in the package
        CliRunner().invoke(app, ["train", "resnet50"], catch_exceptions=False)


# Golden figures -----------------------------------------------------------------------------------------------------


def figures(graph: Graph) -> dict[str, float]:
    """The figures of the golden file: the classifier counts as the 1x1 convolution that it is in the authors' files."""
    cost = cost_of(graph)
    layers = [op for op in graph.operations if op.kind in ("conv", "linear")]
    linear = [op for op in layers if op.kind == "linear"]
    positions = [op.elements // op.shape[0] for op in layers]
    macs = [op.shape[0] * graph.input_shapes(op)[0][0] // _groups(op) * _filter(op) for op in layers]
    return {
        "weights_m": sum(macs) / 1e6,
        "gflops": cost.flops / 1e9,
        "gmacs": sum(weights * size for weights, size in zip(macs, positions, strict=True)) / 1e9,
        "outputs_m": sum(op.elements for op in layers) / 1e6,
        "traffic_m": (cost.traffic + sum(op.elements + graph.input_shapes(op)[0][0] for op in linear)) / 1e6,
        "peak_m": cost.peak_memory / 4e6,
    }


def _groups(op: Any) -> int:
    return op["groups"] if op.kind == "conv" else 1


def _filter(op: Any) -> int:
    return op["kernel"] ** 2 if op.kind == "conv" else 1


def rounded(value: float, like: str) -> str:
    """`value` with as many decimals as `like` has."""
    return f"{value:.{len(like.partition('.')[2])}f}"


def differences(ours: dict[str, float], golden: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Figure to (ours, golden) where they differ in a digit that is given."""
    shown = {key: (rounded(ours[key], text), text) for key, text in golden.items()}
    return {key: pair for key, pair in shown.items() if pair[0] != pair[1]}


@pytest.mark.parametrize("name", GOLDEN["networks"])
def test_golden_figures_hold_to_the_last_digit(name: str) -> None:
    entry = GOLDEN["networks"][name]
    graph = wire(reference(name))
    assert entry["source"]
    assert cost_of(graph).params == entry.get("params", cost_of(graph).params)
    assert differences(figures(graph), entry.get("figures", {})) == {}


@pytest.mark.parametrize("name", [name for name, entry in GOLDEN["networks"].items() if "published" in entry])
def test_our_figures_are_the_published_ones(name: str) -> None:
    published = GOLDEN["networks"][name]["published"]
    ours = figures(wire(reference(name)))
    assert published["source"]
    assert differences(ours, published["figures"]) == {}
    for key, printed in published.get("within", {}).items():
        assert ours[key] == pytest.approx(float(printed["printed"]), abs=printed["tolerance"])
    for key, printed in published.get("differs", {}).items():
        assert rounded(ours[key], printed["ours"]) == printed["ours"] != printed["printed"]


def test_the_published_figure_of_resnet50_pools_before_it_classifies() -> None:
    """9.74 BFLOPs are printed, the authors' file has 9.999: their difference is where the classifier stands."""
    pooled = replace(reference("resnet50_darknet"), head="linear")
    assert rounded(figures(wire(pooled))["gflops"], "9.74") == "9.74"


def pelee(fusion: Fusion | None, depths: list[int], *, pool_first: bool, split_ratio: float = 0.5) -> Architecture:
    """PeleeNet, or CSPPeleeNet where there is a fusion, with other depths, pool order, fusion or ratio."""
    base = reference("csppeleenet" if fusion else "peleenet")
    channels, stages = base.stem.out_channels, []
    for depth, stage in zip(depths, base.stages, strict=True):
        assert stage.growth_rate is not None
        stages.append(
            dense_stage(
                channels,
                depth=depth,
                growth_rate=stage.growth_rate,
                bottleneck_ratio=stage.bottleneck / stage.growth_rate,
                compression=1,
                pool=stage.pool,
                pool_first=pool_first,
                split_ratio=split_ratio if fusion else None,
                fusion=fusion,
                split_by="project",
            )
        )
        channels = stages[-1].out
    return replace(base, stages=tuple(stages))


def test_genes_give_the_shipped_pelee_networks() -> None:
    assert pelee(None, [3, 4, 8, 6], pool_first=False) == reference("peleenet")
    assert pelee("both", [2, 4, 8, 4], pool_first=True) == reference("csppeleenet")


@pytest.mark.parametrize("row", GOLDEN["pelee_variants"], ids=str)
def test_depth_and_pool_order_of_pelee_networks(row: dict[str, Any]) -> None:
    network = pelee(row["fusion"], row["depth"], pool_first=row["pool"] == "before")
    assert rounded(figures(wire(network))["gflops"], row["gflops"]) == row["gflops"]


@pytest.mark.parametrize("row", GOLDEN["unknown_wiring"], ids=str)
def test_rows_of_unknown_wiring_keep_our_figure_beside_the_printed_one(row: dict[str, Any]) -> None:
    network = pelee(row["fusion"], [2, 4, 8, 4], pool_first=True, split_ratio=row["split_ratio"])
    assert rounded(figures(wire(network))["gflops"], row["ours"]) == row["ours"]
    assert abs(float(row["ours"]) - float(row["printed"])) > 0.002, "no longer unknown: say so"
