"""An architecture says nothing that has no effect, and nothing that its layers contradict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cspnas.documents.architecture_file import architecture_yaml, read_architecture
from cspnas.documents.space_file import read_space
from cspnas.errors import ArchitectureError, InputError
from cspnas.network.architecture import Architecture, Csp, Downsample, Stage, Stem
from cspnas.network.wiring import wire

DENSE = Stage(2, 4, 8, 12)
CSP_DENSE = replace(DENSE, csp=Csp("both", 4, 4, 12))
RESIDUAL = Stage(2, None, 4, 8, width=8)
CSP_RESIDUAL = Stage(2, None, 4, 12, width=6, csp=Csp("both", 6, 6, 6, "project"))


def network(stage: Stage, **changes: Any) -> Architecture:
    """One stage on 8 channels at 16x16."""
    family = "darknet" if stage.growth_rate is None else "densenet"
    return replace(Architecture(family, (3, 16, 16), 5, Stem(8), (stage,)), **changes)


@pytest.mark.parametrize("stage", [DENSE, CSP_DENSE, RESIDUAL, CSP_RESIDUAL])
def test_the_stages_that_are_changed_below_are_good(stage: Stage) -> None:
    wire(network(stage))


@pytest.mark.parametrize(
    ("stage", "change", "message"),
    [
        (DENSE, {"groups": 2}, "groups 2 in a dense stage"),
        (DENSE, {"stride": 2}, "stride 2 in a dense stage"),
        (DENSE, {"shortcut": "common"}, "shortcut common in a dense stage"),
        (DENSE, {"pool_first": True}, "pool_first True in a stage without a pool"),
        (DENSE, {"transition": False}, "out 12 of a stage that gives 16 channels"),
        (DENSE, {"transition": False, "out": 16, "pool": True, "pool_first": True}, "ends in no transition"),
        (DENSE, {"width": 8}, "growth_rate in family densenet"),
        (CSP_DENSE, {"transition": False}, "transition False in a CSP stage"),
        (CSP_DENSE, {"csp": replace(CSP_DENSE.csp, linear=True)}, "linear True of parts that are sliced"),
        (CSP_DENSE, {"csp": replace(CSP_DENSE.csp, taps="all")}, "taps all in a dense stage"),
        (CSP_DENSE, {"pool": True, "pool_first": True, "out": 10, "csp": Csp("last", 4, 4, 6)}, "no transition"),
        (RESIDUAL, {"transition": False}, "transition False in a darknet stage"),
        (RESIDUAL, {"shortcut": "common"}, "shortcut common in a stage whose blocks all keep their shape"),
        (CSP_RESIDUAL, {"shortcut": "common"}, "shortcut common in a stage whose blocks all keep their shape"),
        (RESIDUAL, {"out": 9}, "out 9 of a stage that gives 8 channels"),
        (RESIDUAL, {"bottleneck": 9}, "a bottleneck of 9 in blocks 8 wide"),
        (CSP_RESIDUAL, {"stride": 2}, "stride 2 in the block of a CSP stage"),
        (CSP_RESIDUAL, {"csp": replace(CSP_RESIDUAL.csp, part1=0)}, "part1 0 and part2 6"),
    ],
)
def test_stage_that_is_refused(stage: Stage, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchitectureError, match=r"^stage1[.:]") as caught:
        wire(network(replace(stage, **change)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem": Stem(8, fuse=False)}, "stem.fuse: fuse False in a stem of kind conv"),
        ({"stem": Stem(8, stride=2, kind="pelee")}, "stem.stride: stride 2 in a stem of kind pelee"),
        ({"stem": Stem(8, hidden=(4,), kind="pelee")}, "stem.hidden: hidden (4,) in a stem of kind pelee"),
        ({"negative_slope": 0.01}, "negative_slope: negative_slope 0.01 with activation relu"),
    ],
)
def test_stem_or_slope_that_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        wire(network(DENSE, **change))
    assert message in str(caught.value)


def test_the_place_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "network.yaml"
    text = architecture_yaml(network(DENSE, activation="leaky_relu", negative_slope=0.01))
    path.write_text(text.replace("leaky_relu", "silu"))
    with pytest.raises(InputError, match=r"network.yaml:\d+ negative_slope: .*leave .* out$"):
        read_architecture(path)
    path.write_text(text.replace("- depth: 2\n", "- depth: 2\n  groups: 2\n"))
    with pytest.raises(InputError, match=r"network.yaml:\d+ stages.0.groups \(stage1.groups\): groups 2"):
        read_architecture(path)


@pytest.mark.parametrize(
    "architecture",
    [
        network(DENSE, stem=Stem(4, kind="pelee", fuse=False), activation="leaky_relu", negative_slope=0.01),
        network(replace(DENSE, out=16, transition=False), stem=Stem(8, 7, 2, hidden=(4, 6), pool=3), norm="before"),
        network(replace(CSP_DENSE, pool=True, pool_first=True)),
        network(replace(RESIDUAL, pool=True, stride=2, shortcut="common", width=16, out=16), head="conv"),
        network(replace(RESIDUAL, groups=2, downsample=Downsample(8, 2, "average", 4)), family="resnext"),
        network(replace(CSP_RESIDUAL, csp=Csp("last", 6, 6, 6, "expand", linear=True, taps="all"))),
    ],
)
def test_every_field_reads_back(tmp_path: Path, architecture: Architecture) -> None:
    path = tmp_path / "network.yaml"
    path.write_text(architecture_yaml(architecture, {"digest": wire(architecture).digest()}))
    assert read_architecture(path).architecture == architecture


def test_a_network_of_very_many_layers_is_refused_before_it_is_wired(tmp_path: Path) -> None:
    """Of a file and of a space in one line with the place; as many layers as are allowed are costed."""
    stage = {"growth_rate": 1, "bottleneck": 1, "depth": 256, "out": 264, "pool": False}
    chained = [stage | {"out": 8 + 256 * number} for number in range(1, 6)]
    document = {"cspnas": "architecture/1", "family": "densenet", "input_shape": [3, 8, 8], "classes": 10}
    document |= {"stem": {"channels": 8}, "stages": chained}
    path = tmp_path / "deep.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(
        InputError, match=r"deep.yaml:\d+ stages: .*1,280 layers or blocks in 5 stages, expected at most 1,024"
    ):
        read_architecture(path)
    path.write_text(yaml.safe_dump(document | {"stages": chained[:4]}))
    assert sum(stage.depth for stage in read_architecture(path).architecture.stages) == 1024
    path.write_text(yaml.safe_dump({"family": "densenet", "stages": [{"growth_rate": 2, "depth": [1, 256]}] * 5}))
    with pytest.raises(InputError, match=r"deep.yaml:\d+ stages: .*1,280 layers"):
        read_space(path)
