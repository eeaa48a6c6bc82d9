"""The networks that CSPNet's authors published are points of spaces, to the digest of their reference files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cspnas.documents.architecture_file import read_architecture, read_known, shipped_architectures
from cspnas.documents.space_file import read_space, shipped_spaces
from cspnas.errors import InputError
from cspnas.network.architecture import Architecture, Stem
from cspnas.network.wiring import wire
from cspnas.space.genotype_of import genotype_of
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices
from cspnas.study.candidates import admitted, candidate

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


LIES_IN = {
    "csdarknet53": "csp_imagenet_darknet",
    "csresnext50": "csp_imagenet_resnext",
    "csresnet50": "csp_imagenet_resnext",
    "peleenet": "csp_mobile",
    "csppeleenet": "csp_mobile",
}


@pytest.mark.parametrize("name", LIES_IN)
def test_a_shipped_space_holds_the_published_network_and_admits_it(name: str) -> None:
    study = read_space(shipped_spaces()[LIES_IN[name]])
    drawn = candidate(study, genotype_of(study.space, reference(name), name))
    assert drawn.digest == wire(reference(name)).digest()
    assert admitted(study, drawn.costs)
    choices = {gene.name: gene.choices for gene in study.space.genes()}
    assert all(value in choices[gene] for gene, value in drawn.genotype.items())


def test_another_slope_of_the_activation_is_no_point_of_a_space() -> None:
    """timm's form of the network differs in nothing else."""
    space = read_space(shipped_spaces()["csp_imagenet_darknet"]).space
    with pytest.raises(InputError, match=r"found negative_slope 0[.]01, expected one of 0[.]1"):
        genotype_of(space, replace(reference("csdarknet53"), negative_slope=0.01), "it")


def test_a_reference_by_its_name_takes_the_images_of_the_space_and_a_file_keeps_its_own() -> None:
    overrides = {"input.shape": [3, 128, 128], "input.classes": 20}
    space = read_space(shipped_spaces()["csp_mobile"], overrides).space
    known = read_known("csppeleenet", space)
    assert (known.input_shape, known.classes) == ((3, 128, 128), 20)
    assert space.decode(genotype_of(space, known, "it")) == known
    assert read_known(str(shipped_architectures()["csppeleenet"]), space).classes == 1000


def test_where_no_ratio_gives_a_width_the_nearest_is_named() -> None:
    """Stage 2 of CSPDarkNet-53 with blocks of 48 channels, which the space has not: 32 or 64."""
    space, published = read_space(shipped_spaces()["csp_imagenet_darknet"]).space, reference("csdarknet53")
    stages = list(published.stages)
    stages[1] = replace(stages[1], bottleneck=48)
    expected = (
        "^it: found stage2 with bottleneck 48, expected (32|64) .*split_ratio 0.5.*bottleneck_ratio (0.5|1).* nearest"
    )
    with pytest.raises(InputError, match=expected):
        genotype_of(space, replace(published, stages=tuple(stages)), "it")
