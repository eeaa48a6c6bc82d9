"""The per-layer report against hooks, torch's flop counter, tracked storages, closed forms, brute force and hand counts."""

from __future__ import annotations

import json
import random
import re
import sys
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_architectures import random_architecture
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cspnas.cli import app as cli
from cspnas.documents.architecture_file import architecture_yaml, find_architecture, read_architecture
from cspnas.network.architecture import Architecture, Csp, Downsample, Stage, Stem, pieces
from cspnas.network.cost import cost_of
from cspnas.network.graph import Graph, GraphBuilder
from cspnas.network.layer_costs import Layer, PartCosts, gradient_paths, layers_of, parts_of, whole
from cspnas.network.wiring import wire, wire_piece
from cspnas.reports.layer_table import purposes
from cspnas.space.stage_resolution import plain_network
from cspnas.training.measured_memory import LiveStorages
from cspnas.training.module import NetworkModule, fold

RESIDUAL = Stage(2, None, 6, 16, width=8, downsample=Downsample(12), csp=Csp("both", 4, 8, 5, "project"))
FAMILIES = {
    "darknet": Architecture("darknet", (3, 32, 32), 10, Stem(8), (RESIDUAL, replace(RESIDUAL, depth=3)), "leaky_relu"),
    "resnext": Architecture(
        "resnext",
        (3, 32, 32),
        10,
        Stem(8, kernel=7, stride=2, hidden=(4, 6), pool=3),
        (
            replace(RESIDUAL, groups=2, csp=Csp("last", 4, 8, 12, "expand", linear=True)),
            Stage(2, None, 6, 24, width=24, downsample=Downsample(20, kind="average")),
        ),
        "gelu",
        head="conv",
    ),
    "taps": Architecture("resnet", (3, 16, 16), 7, Stem(8), (replace(RESIDUAL, csp=Csp("first", 4, 8, taps="all")),)),
    "peleenet": Architecture(
        "peleenet",
        (3, 64, 64),
        10,
        Stem(8, kind="pelee"),
        (Stage(2, 6, 5, 20, True, Csp("both", 4, 4, 16), pool_first=True), Stage(3, 4, 8, 32)),
        "silu",
    ),
    "norm before": Architecture(
        "densenet", (3, 32, 32), 10, Stem(8), (Stage(3, 4, 8, 20, True, Csp("both", 4, 4, 16)),), norm="before"
    ),
}
NAMES = [*FAMILIES, *(f"dense {seed}" for seed in range(8))]


@cache
def architecture_of(name: str) -> Architecture:
    if name in FAMILIES:
        return FAMILIES[name]
    return random_architecture(random.Random(int(name.split()[1])))


@cache
def rows_of(name: str) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers_of(wire(architecture_of(name)))}


def row_at(rows: dict[str, Layer], operation: str) -> Layer:
    """The row that an operation is in: its own, or its unit's."""
    return rows[operation] if operation in rows else rows[operation.rpartition(".")[0]]


def on_meta(graph: Graph) -> tuple[NetworkModule, Tensor]:
    with torch.device("meta"):
        return NetworkModule(graph).eval(), torch.empty(1, *graph.operations[0].shape)


# Each figure of each layer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_in_one_row_and_a_row_has_at_most_one_convolution(name: str) -> None:
    graph, rows = wire(architecture_of(name)), rows_of(name)
    placed = [row_at(rows, op.name).name for op in graph.operations[1:]]
    assert sorted(set(placed), key=placed.index) == list(rows)
    for row in rows:
        kinds = [op.kind for op, place in zip(graph.operations[1:], placed, strict=True) if place == row]
        if len(kinds) > 1:
            assert set(kinds) <= {"conv", "norm", "act"}
            assert kinds.count("conv") <= 1


@pytest.mark.parametrize("name", NAMES)
def test_macs_are_half_of_what_torch_counts_in_each_module(name: str) -> None:
    network, image = on_meta(wire(architecture_of(name)))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    counted = {
        row_at(rows_of(name), module.removeprefix("NetworkModule.")).name: sum(flops.values())
        for module, flops in counter.get_flop_counts().items()
        if module not in ("Global", "NetworkModule") and flops
    }
    assert counted == {row.name: 2 * row.macs for row in rows_of(name).values() if row.macs}


@pytest.mark.parametrize("name", NAMES)
def test_params_and_traffic_are_what_the_modules_hold_and_hooks_see(name: str) -> None:
    network, image = on_meta(wire(architecture_of(name)))
    rows = rows_of(name)
    params, traffic = dict.fromkeys(rows, 0), dict.fromkeys(rows, 0)
    for place, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            params[row_at(rows, place).name] += sum(p.numel() for p in module.parameters())
        if isinstance(module, nn.Conv2d):

            def hook(
                _: nn.Module, read: tuple[Tensor, ...], written: Tensor, row: str = row_at(rows, place).name
            ) -> None:
                traffic[row] += read[0].numel() + written.numel()

            module.register_forward_hook(hook)
    network(image)
    assert params == {row.name: row.params for row in rows.values()}
    assert traffic == {row.name: 0 if "pool" in row.kind else row.traffic for row in rows.values()}


def run_of(network: NetworkModule, step: Any) -> Any:
    """What a step of an unchanged network runs."""
    return network.layer(".".join(step.layer)) if step.layer else step.in_place


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_the_traffic_of_pools_are_those_of_the_running_network(name: str) -> None:
    graph = wire(architecture_of(name))
    network, image = on_meta(graph)
    values = {0: image}
    shapes: dict[str, tuple[int, ...]] = {}
    for step in network._steps:
        read = [values[index].clone() for index in step.inputs]
        values[step.result] = run_of(network, step)(*read)
        row = row_at(rows_of(name), graph.operations[step.result].name)
        shapes[row.name] = tuple(values[step.result].shape[1:])
        if graph.operations[step.result].kind == "pool":
            assert row.traffic == read[0].numel() + values[step.result].numel()
    assert shapes == {row.name: row.shape for row in rows_of(name).values()}


@pytest.mark.parametrize("name", NAMES)
def test_live_memory_is_what_the_tracker_sees_while_each_layer_of_the_folded_network_runs(name: str) -> None:
    with torch.device("meta"):
        folded = fold(NetworkModule(wire(architecture_of(name))))
        image = torch.empty(1, *architecture_of(name).input_shape)
    tracker = LiveStorages(folded.parameters())
    values, seen = {0: image}, dict.fromkeys(rows_of(name), 0)
    with torch.inference_mode(), tracker:
        tracker.hold(image)
        for step in folded._steps:
            tracker.peak = 0
            values[step.result] = run_of(folded, step)(*[values[index] for index in step.inputs])
            if tracker.peak:  # a view dispatches nothing that is tracked on some kinds
                row = row_at(rows_of(name), folded.graph.operations[step.result].name).name
                seen[row] = max(seen[row], tracker.peak)
            for index in step.drops:
                del values[index]
    assert seen == {row.name: row.live_memory for row in rows_of(name).values()}


# Sums ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_add_up_to_the_network_and_its_cost(name: str) -> None:
    architecture = architecture_of(name)
    parts, cost = parts_of(architecture), cost_of(wire(architecture))
    network = whole(parts)
    stages = [f"stage{number}" for number in range(1, len(architecture.stages) + 1)]
    assert [part.name for part in parts] == ["stem", *stages, "head"]
    assert [row for part in parts for row in part.layers] == list(rows_of(name).values())
    assert (network.macs, network.params, network.traffic) == (cost.macs, cost.params, cost.traffic)
    assert network.peak.live_memory == cost.peak_memory
    assert network.evenness == cost.evenness
    macs = [Fraction(row.macs) for row in rows_of(name).values() if row.macs]
    assert network.evenness == pytest.approx(float(sum(macs) / len(macs) / max(macs)), rel=1e-15)
    assert network.gradient_paths == gradient_paths(wire(architecture))


# The same network as in test_cost.py, counted by hand there: 64 elements a map.
BY_HAND = Architecture("densenet", (1, 8, 8), 3, Stem(4), (Stage(2, 2, 4, 4, True, Csp("both", 2, 2, 6)),))


def test_one_network_by_hand() -> None:
    """Live channels of 64 elements: the image (1) and what else stands there; a slice takes nothing."""
    rows = [
        # name, kind, shape, macs, params, channels alive (of 64 elements, 4 bytes), traffic
        ("stem", "conv 3x3 norm relu", (4, 8, 8), 2304, 36 + 8, 1 + 4, 64 + 256),
        ("stage1.part1", "slice", (2, 8, 8), 0, 0, 1 + 4, 0),
        ("stage1.part2", "slice", (2, 8, 8), 0, 0, 1 + 4, 0),
        ("stage1.block.layer1.reduce", "conv 1x1 norm relu", (4, 8, 8), 512, 8 + 8, 1 + 4 + 4, 128 + 256),
        ("stage1.block.layer1.grow", "conv 3x3 norm relu", (2, 8, 8), 4608, 72 + 4, 1 + 4 + 4 + 2, 256 + 128),
        ("stage1.block.layer1.concat", "concat", (4, 8, 8), 0, 0, 1 + 4 + 2 + 4, 0),
        ("stage1.block.layer2.reduce", "conv 1x1 norm relu", (4, 8, 8), 1024, 16 + 8, 1 + 4 + 4 + 4, 256 + 256),
        ("stage1.block.layer2.grow", "conv 3x3 norm relu", (2, 8, 8), 4608, 72 + 4, 1 + 4 + 4 + 4 + 2, 256 + 128),
        ("stage1.block.layer2.concat", "concat", (6, 8, 8), 0, 0, 1 + 4 + 4 + 2 + 6, 0),
        ("stage1.transition1", "conv 1x1 norm relu", (6, 8, 8), 2304, 36 + 12, 1 + 4 + 6 + 6, 384 + 384),
        ("stage1.fusion", "concat", (8, 8, 8), 0, 0, 1 + 4 + 6 + 8, 0),
        ("stage1.transition", "conv 1x1 norm relu", (4, 8, 8), 2048, 32 + 8, 1 + 8 + 4, 512 + 256),
        ("stage1.pool", "avg pool 2x2/2", (4, 4, 4), 0, 0, 1 + 4 + 1, 256 + 64),
        ("head.pool", "global avg pool", (4, 1, 1), 0, 0, 1 + 1 + 4 / 64, 64 + 4),
        ("head.flatten", "flatten", (4,), 0, 0, 1 + 4 / 64, 0),
        ("head.linear", "linear", (3,), 12, 15, 1 + 4 / 64 + 3 / 64, 0),
    ]
    expected = [Layer(*row[:5], int(256 * row[5]), row[6]) for row in rows]
    parts = parts_of(BY_HAND)
    network = whole(parts)
    assert list(network.layers) == expected
    assert network.peak.name == "stage1.fusion"
    assert network.busiest.name == "stage1.block.layer1.grow"
    assert network.evenness == 17420 / (8 * 4608)
    assert [part.evenness for part in parts] == [1.0, 15104 / (6 * 4608), 1.0]
    assert [part.gradient_paths for part in parts] == [1, 2**2 + 1, 1]


def test_evenness_is_1_where_all_layers_compute_the_same_and_falls_with_one_wide_layer() -> None:
    graph = GraphBuilder((4, 5, 5))
    for number in range(3):
        graph.add("conv", f"layer{number}", number, out_channels=4)
    assert cost_of(graph.graph()).evenness == 1.0
    graph.add("conv", "wide", 3, out_channels=12)
    assert cost_of(graph.graph()).evenness == (1 + 1 + 1 + 3) / 4 / 3
    assert cost_of(GraphBuilder((4, 5, 5)).graph()).evenness == 1.0  # nothing that computes
    assert PartCosts("nothing", tuple(layers_of(GraphBuilder((4, 5, 5)).graph())), 1).evenness is None


# Gradient paths -----------------------------------------------------------------------------------------------------


def walked_paths(graph: Graph) -> int:
    """The paths, walked one by one from the output back."""

    def walk(index: int) -> int:
        return 1 if index == 0 else sum(walk(source) for source in graph.operations[index].inputs)

    return walk(graph.output)


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=12))
@settings(deadline=None, max_examples=100)
def test_gradient_paths_are_those_that_a_walk_finds(choices: list[tuple[int, int]]) -> None:
    graph = GraphBuilder((2, 4, 4))
    for number, (first, second) in enumerate(choices):
        sources = first % (number + 1), second % (number + 1)
        if graph.channels(sources[0]) == graph.channels(sources[1]):
            graph.add("add", f"op{number}", *sources)
        else:
            graph.add("concat", f"op{number}", *sources)
    assert gradient_paths(graph.graph()) == walked_paths(graph.graph())


def stage_paths(family: str, stage: Stage) -> int:
    architecture = Architecture(family, (8, 8, 8), 2, Stem(8), (stage,))
    return gradient_paths(wire_piece(architecture, pieces(architecture)[1], (8, 8, 8)))


DEPTHS = [1, 2, 3, 6, 40]


@pytest.mark.parametrize("depth", DEPTHS)
def test_dense_layers_double_the_paths_and_two_way_ones_treble_them(depth: int) -> None:
    """A layer's input goes on beside what the layer adds to it: twice as many paths each; PeleeNet's layer adds two."""
    assert stage_paths("densenet", Stage(depth, 2, 4, 8)) == 2**depth
    assert stage_paths("peleenet", Stage(depth, 2, 4, 8)) == 3**depth
    assert stage_paths("peleenet", Stage(depth, 1, 4, 8)) == 2**depth  # growth 1 leaves the second way no channel


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("family", ["resnet", "resnext", "darknet"])
def test_shortcuts_double_the_paths_whether_projected_or_not(family: str, depth: int) -> None:
    assert stage_paths(family, Stage(depth, None, 4, 8, width=8)) == 2**depth
    assert stage_paths(family, Stage(depth, None, 4, 12, width=12, downsample=Downsample(12))) == 2**depth
    assert stage_paths(family, Stage(depth, None, 4, 12, width=12, shortcut="common")) == 2**depth


@pytest.mark.parametrize("depth", DEPTHS)
def test_csp_adds_the_one_path_around_the_block(depth: int) -> None:
    wide = 4 + 2 * depth
    for csp in (Csp("first", 4, 4), Csp("last", 4, 4, 4), Csp("both", 4, 4, wide), Csp("both", 4, 4, wide, "expand")):
        assert stage_paths("densenet", Stage(depth, 2, 4, 8, csp=csp)) == 2**depth + 1
        assert stage_paths("peleenet", Stage(depth, 2, 4, 8, csp=csp)) == 3**depth + 1
    for split in ("slice", "project", "expand"):
        csp = Csp("both", 4, 4, 4, split)  # type: ignore[arg-type]
        assert stage_paths("darknet", Stage(depth, None, 4, 8, width=4, csp=csp)) == 2**depth + 1


@pytest.mark.parametrize("depth", DEPTHS)
def test_taps_add_every_blocks_own_paths(depth: int) -> None:
    """Part 2 and each block's output meet in the concat: 1 + 2 + 4 + ... + 2^m, and part 1."""
    csp = Csp("first", 4, 4, taps="all")
    assert stage_paths("resnet", Stage(depth, None, 4, 8, width=4, csp=csp)) == 2 ** (depth + 1)


def test_the_paths_of_a_network_are_the_product_of_its_parts() -> None:
    parts = parts_of(FAMILIES["peleenet"])
    assert [part.gradient_paths for part in parts] == [2, 3**2 + 1, 3**3, 1]
    assert whole(parts).gradient_paths == 2 * 10 * 27


# The paper's memory traffic (CIO) of a partial dense block ------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["first", "last", "both"])
@pytest.mark.parametrize("gamma", [Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)])
@pytest.mark.parametrize(("c", "d", "m", "b"), [(16, 8, 4, 8), (32, 4, 1, 16), (8, 12, 7, 3)])
def test_traffic_of_a_partial_dense_block_is_the_papers(
    fusion: str, gamma: Fraction, c: int, d: int, m: int, b: int
) -> None:
    """(1 - gamma) c m + (m^2 + m) d / 2 an element of the map, and 2 b m for bottlenecks that the paper leaves out."""
    around, through, out = int(gamma * c), int((1 - gamma) * c), c + m * d
    t1 = {"first": None, "last": out - around, "both": through + m * d}[fusion]
    stage = Stage(m, d, b, out, csp=Csp(fusion, around, through, t1))  # type: ignore[arg-type]
    parts = parts_of(Architecture("densenet", (3, 6, 6), 2, Stem(c), (stage,)))
    block = sum(layer.traffic for layer in parts[1].layers if ".block." in layer.name)
    assert block == 36 * ((1 - gamma) * c * m + Fraction(m * m + m, 2) * d + 2 * b * m)


def test_csp_halves_the_traffic_of_the_base_channels_only() -> None:
    """At gamma 1/2 the difference to the plain block is c m / 2 a map element: the paper's saving."""
    csp = Stage(5, 4, 8, 44, csp=Csp("both", 12, 12, 32))
    network = Architecture("densenet", (3, 6, 6), 2, Stem(24), (csp,))
    block = [
        sum(layer.traffic for layer in parts_of(one)[1].layers if ".block." in layer.name)
        for one in (network, plain_network(network))
    ]
    assert block[1] - block[0] == 36 * 24 * 5 // 2


# The command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    path = tmp_path / "by_hand.yaml"
    path.write_text(architecture_yaml(BY_HAND))
    return path


def printed(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "argv", ["cspnas", "cost", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    output = capsys.readouterr()
    assert end.value.code == 0, output.err
    return output.out


def test_layers_as_json_hold_what_each_layer_costs(
    by_hand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = json.loads(printed([str(by_hand), "--layers", "--json"], capsys, monkeypatch))
    network = whole(parts_of(BY_HAND))
    assert [row["layer"] for row in document["layers"]] == [layer.name for layer in network.layers]
    for row, layer in zip(document["layers"], network.layers, strict=True):
        assert tuple(row["output_shape"]) == layer.shape
        assert (row["macs"], row["params"]) == (layer.macs, layer.params)
        assert (row["live_memory_bytes"], row["traffic_elements"]) == (layer.live_memory, layer.traffic)
        assert row["share_of_macs"] == layer.macs / 17420
    assert [row["layer"] for row in document["layers"] if row["peak"]] == ["stage1.fusion"]
    assert [row["layer"] for row in document["layers"] if row["busiest"]] == ["stage1.block.layer1.grow"]
    assert [row["gradient_paths"] for row in document["parts"]] == [1, 5, 1]
    assert sum(row["share_of_macs"] for row in document["parts"]) == pytest.approx(1)
    assert document["evenness"] == 17420 / (8 * 4608)
    assert document["gradient_paths"] == 5


def test_layers_as_a_table(by_hand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed([str(by_hand), "--layers"], capsys, monkeypatch)
    lines = [line.split() for line in text.splitlines()]
    assert ["fusion", "concat", "8x8x8", "4.75KiB", "peak"] in lines
    grow = "block.layer1.grow conv 3x3 norm relu 2x8x8 4.608k 26.5% 76 2.75KiB 384 busiest"
    assert grow.split() in lines
    stage = "stage1 evenness 54.6%, 5 paths 15.1k 86.7% 280 4.75KiB 3.52k"
    assert stage.split() in lines
    assert text.count("peak\n") == text.count("busiest\n") == 1
    assert len(lines) < 16 + 30


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 118, 160])
@pytest.mark.parametrize("name", ["csresnext50", "cspdensenet121"])
def test_no_figure_is_cut_in_a_narrow_terminal(
    name: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pipe gets is the oracle: every layer's line has its name, output, parameters, memory and marks in full."""
    pipe = printed([name, "--layers"], capsys, monkeypatch).splitlines()
    monkeypatch.setenv("FORCE_COLOR", "1")  # to rich, a terminal
    monkeypatch.setenv("COLUMNS", str(columns))
    text = re.sub(r"\x1b\[[0-9;]*m", "", printed([name, "--layers"], capsys, monkeypatch))
    lines = [line.rstrip() for line in text.splitlines()]
    if columns >= 80:
        assert max(map(len, lines[1:])) <= columns  # the first has the file's path
    found = [line.split() for line in lines]
    count = 0
    for line in pipe:
        if re.match(r" +\S+ .*iB", line) and "bytes" not in line:
            words = line.split()
            shape = next(word for word in words[1:] if re.fullmatch(r"\d+(x\d+x\d+)?", word))
            kept = [words[0], *[word for word in words[words.index(shape) :] if "%" not in word]]
            assert any(row in (kept, words) for row in found), kept
            count += 1
    assert count > 50
    for part in parts_of(read_architecture(find_architecture(name)).architecture):
        assert f"evenness {100 * (part.evenness or 0):.1f}%" in text
    assert sum(line.endswith("peak") for line in lines) == sum(line.endswith("busiest") for line in lines) == 1


def test_a_network_of_many_layers_fits_a_pipe_of_120_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(24, 32, 128, 512, True, Csp("both", 128, 128, 128 + 24 * 32, "project"))
    stages = (stage, replace(stage, csp=Csp("both", 256, 256, 256 + 24 * 32)), replace(stage, csp=None, pool=False))
    large = Architecture("peleenet", (3, 224, 224), 1000, Stem(256, kind="pelee"), stages, "leaky_relu")
    path = tmp_path / "large.yaml"
    path.write_text(architecture_yaml(large))
    text = printed([str(path), "--layers", "--against", "plain"], capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= 120
    rows = whole(parts_of(large)).layers
    assert len(rows) > 400
    assert sum(line.startswith("  ") for line in text.splitlines()) >= len(rows)
    assert "4.51e34" in text  # 2 (3^24 + 1) (3^24 + 1) 3^24 paths, more than a float counts one by one


def test_against_plain_as_json(
    by_hand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain by hand: block on all 4 channels (4, 6 in), transition 8 -> 4; no transition on the side, no fusion."""
    document = json.loads(printed([str(by_hand), "--against", "plain", "--json"], capsys, monkeypatch))
    assert "layers" not in document
    network = document["against_plain"]["network"]
    plain_macs = 2304 + 64 * (4 * 4 + 4 * 2 * 9 + 6 * 4 + 4 * 2 * 9 + 8 * 4) + 12
    assert network["csp"]["macs"] == 17420
    assert network["plain"]["macs"] == plain_macs
    assert network["change"]["macs"] == pytest.approx(17420 / plain_macs - 1)
    assert network["plain"]["evenness"] == plain_macs / (7 * 4608)
    assert network["change"]["evenness_difference"] == 17420 / (8 * 4608) - plain_macs / (7 * 4608)
    plain_traffic = (64 + 256) + (256 + 256) + (256 + 128) + (384 + 256) + (256 + 128) + (512 + 256) + 320 + 68
    assert network["plain"]["traffic_elements"] == plain_traffic
    assert network["change"]["traffic"] == pytest.approx(3908 / plain_traffic - 1)
    # the last concat: image, features so far, what the layer adds, the result
    assert network["plain"]["peak_memory_bytes"] == (1 + 6 + 2 + 8) * 256
    assert network["plain"]["peak_layer"] == "stage1.block.layer2.concat"
    assert network["change"]["peak_memory"] == pytest.approx(19 / 17 - 1)
    assert (network["csp"]["gradient_paths"], network["plain"]["gradient_paths"]) == (5, 4)
    assert network["change"]["gradient_paths_difference"] == 1
    (stage,) = document["against_plain"]["stages"]
    assert stage["plain"]["macs"] == plain_macs - 2304 - 12


def test_against_plain_as_text(
    by_hand: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed([str(by_hand), "--against", "plain"], capsys, monkeypatch)
    ours, plain = whole(parts_of(BY_HAND)), whole(parts_of(plain_network(BY_HAND)))
    assert (ours.macs, plain.macs) == (17420, 16140)
    computation, bottleneck, memory = purposes(ours, plain)
    assert "MACs 16.14k -> 17.42k (+7.9%)" in computation
    assert "gradient paths 4 -> 5" in computation
    assert "evenness 50.04% -> 47.25%" in bottleneck
    assert "peak memory 4.25KiB -> 4.75KiB (+11.8%)" in memory
    assert " ".join(text.split()).endswith(" ".join(f"{computation} {bottleneck} {memory}".split()))


def test_the_authors_csdarknet53_made_plain_is_their_darknet53() -> None:
    csp, plain = (read_architecture(find_architecture(name)).architecture for name in ("csdarknet53", "darknet53"))
    assert wire(plain_network(csp)).digest() == wire(plain).digest()


def test_against_plain_needs_a_csp_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plain.yaml"
    path.write_text(architecture_yaml(plain_network(BY_HAND)))
    monkeypatch.setattr(sys, "argv", ["cspnas", "cost", str(path), "--against", "plain"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2


@pytest.mark.parametrize("name", [name for name in NAMES if any(s.csp for s in architecture_of(name).stages)])
def test_against_a_plain_network_only_the_stages_differ(name: str) -> None:
    ours, plain = parts_of(architecture_of(name)), parts_of(plain_network(architecture_of(name)))
    assert [part.name for part in ours] == [part.name for part in plain]
    for part, other in zip(ours, plain, strict=True):
        assert prod(part.layers[-1].shape) == prod(other.layers[-1].shape)  # equal widths
    assert [layer.macs for layer in ours[0].layers] == [layer.macs for layer in plain[0].layers]
    assert [layer.macs for layer in ours[-1].layers] == [layer.macs for layer in plain[-1].layers]
