"""The networks that CSPNet's authors published are points of spaces, to the digest of their reference files."""

from __future__ import annotations

from typing import Any

import pytest

from cspnas.documents.architecture_file import read_architecture, shipped_architectures
from cspnas.network.architecture import Architecture, Stem
from cspnas.network.wiring import wire
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices

DARKNET = [
    {"depth": 1, "width": 64, "stride": 2, "expand_ratio": 2.0, "bottleneck_ratio": 0.5},
    *({"depth": depth, "width": width} for depth, width in ((2, 128), (8, 256), (8, 512), (4, 1024))),
]
# Part 1 is twice as wide as part 2, which no gene of half the width gives.
FIRST = {"split_ratio": 0.667, "block_ratio": 2.0, "shortcut": "common", "depth": 3}
LATER: list[dict[str, Any]] = [{"depth": 3, "cross_linear": True}, {"depth": 5, "cross_linear": True}, {"depth": 2}]
RESNEXT = [
    {"width": 256, "expand_ratio": 0.75, **FIRST},
    *({"width": width, **genes} for width, genes in zip((512, 1024, 2048), LATER, strict=True)),
]
RESNET = [
    {"width": 128, "expand_ratio": 1.5, **FIRST},
    *({"width": width, "expand_ratio": 2.0, **genes} for width, genes in zip((256, 512, 1024), LATER, strict=True)),
]
PELEENET = [
    {"depth": depth, "growth_rate": 32, "bottleneck_ratio": ratio, "compression": 1.0}
    for depth, ratio in zip((3, 4, 8, 6), (0.5, 1.0, 2.0, 2.0), strict=True)
]
CSPPELEENET = [
    {**genes, "depth": depth, "split": "project", "pool": "before"}
    for genes, depth in zip(PELEENET, (2, 4, 8, 4), strict=True)
]
# The last stage has none.
CSPPELEENET[-1].pop("pool")
OF_ALL: dict[str, dict[str, Any]] = {
    "darknet": {"bottleneck_ratio": 1.0, "split": "project"},
    "resnext": {"bottleneck_ratio": 1.0, "split": "project", "groups": 32, "down_growth": False, "down_grouped": True},
    "resnet": {"bottleneck_ratio": 0.5, "split": "project", "down_growth": False},
    "peleenet": {},
}
STAGES = {
    "csdarknet53": DARKNET,
    "csresnext50": RESNEXT,
    "csresnet50": RESNET,
    "peleenet": PELEENET,
    "csppeleenet": CSPPELEENET,
}
STEMS = {
    "csdarknet53": Stem(32),
    "csresnext50": Stem(64, 7, 2, pool=2),
    "csresnet50": Stem(64, 7, 2, pool=2),
    "peleenet": Stem(32, kind="pelee"),
    "csppeleenet": Stem(32, kind="pelee", fuse=False),
}


def reference(name: str) -> Architecture:
    return read_architecture(shipped_architectures()[name]).architecture


@pytest.mark.parametrize("name", STAGES)
def test_the_genes_give_the_published_network_to_the_digest(name: str) -> None:
    published = reference(name)
    common = {**OF_ALL[published.family], "csp": name != "peleenet"}
    stages = [{key: (value,) for key, value in {**common, **genes}.items()} for genes in STAGES[name]]
    space = SearchSpace(
        published.family,
        published.input_shape,
        1000,
        (STEMS[name],),
        ("leaky_relu",),
        tuple(StageChoices(**genes) for genes in stages),
    )
    made = space.decode({})
    assert made == published
    assert wire(made).digest() == wire(published).digest()
