"""Every gene of every family, changed alone: graph, cost and output change, or the networks are equal."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from cspnas.network.architecture import Stem
from cspnas.network.cost import cost_of
from cspnas.network.families import FAMILIES
from cspnas.network.graph import Graph
from cspnas.network.wiring import wire
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices
from cspnas.training.module import NetworkModule, initialise

STEMS = (
    Stem(8, 3, 2),
    Stem(8, 7, 2, pool=3),
    Stem(8, kind="pelee"),
    Stem(8, 3, 2, hidden=(4, 4)),
)
COMMON: dict[str, Any] = {
    "depth": (2, 3),
    "csp": (True, False),
    "split_ratio": (0.25, 0.5, 0.75),
    "fusion": ("both", "first", "last"),
    "bottleneck_ratio": (0.5, 1.0),
    "split": ("project", "slice", "expand"),
}
DENSE = StageChoices(**COMMON, growth_rate=(6, 9), compression=(0.5, 0.75), pool=("after", "before"))
# The first choices are those with which every other gene has an effect.
RESIDUAL_GENES: dict[str, Any] = {
    "width": (16, 24),
    "groups": (2, 1),
    "taps": ("last", "all"),
    "stride": (2, 1),
    "down_growth": (True, False),
    "down_grouped": (False, True),
    "expand_ratio": (1.0, 1.5),
    "block_ratio": (2.0, 1.0),
    "cross_linear": (False, True),
    "shortcut": ("project", "common"),
}
RESIDUAL = StageChoices(**COMMON, **RESIDUAL_GENES)
# Wider than the stage before it, so that it matters which width comes to its split.
WIDER = replace(RESIDUAL, width=(32, 16))


@cache
def space_of(family: str) -> SearchSpace:
    """Two stages in which everything that the family knows is a gene."""
    stages = (DENSE, replace(DENSE, pool=("after",))) if FAMILIES[family].kind == "dense" else (RESIDUAL, WIDER)
    return SearchSpace(
        family, (3, 32, 32), 5, STEMS, ("relu", "leaky_relu", "silu", "mish", "hardswish"), stages, ("after", "before")
    )


def first_choices(family: str) -> dict[str, Any]:
    return {gene.name: gene.choices[0] for gene in space_of(family).genes()}


def output(graph: Graph) -> torch.Tensor:
    """Of one image, with the weights that seed 0 gives, training statistics not used."""
    network = NetworkModule(graph).eval()
    initialise(network, 0)
    with torch.inference_mode():
        return network(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)))


CASES = [
    (family, gene.name, choice)
    for family in FAMILIES
    for gene in space_of(family).genes()
    for choice in gene.choices[1:]
]


def test_the_spaces_have_every_gene() -> None:
    genes = {gene.field for family in FAMILIES for gene in space_of(family).genes()}
    assert genes == {
        *COMMON,
        "growth_rate",
        "compression",
        "pool",
        *RESIDUAL_GENES,
        "stem",
        "activation",
        "norm",
    }


@pytest.mark.parametrize(("family", "name", "choice"), CASES)
def test_a_gene_changed_alone_is_another_network(family: str, name: str, choice: Any) -> None:
    space, base = space_of(family), first_choices(family)
    before = wire(space.decode(space.active(base)))
    after = wire(space.decode(space.active({**base, name: choice})))
    assert before.digest() != after.digest()
    assert not torch.equal(output(before), output(after))
    assert (cost_of(before) == cost_of(after)) == (choice == "leaky_relu")  # autograd keeps its result, as relu's


@pytest.mark.parametrize("names", [("relu", "leaky_relu"), ("silu", "mish", "hardswish")])
@pytest.mark.parametrize("family", FAMILIES)
def test_activations_that_treat_memory_alike_cost_the_same_and_give_other_outputs(
    family: str, names: tuple[str, ...]
) -> None:
    space, base = space_of(family), first_choices(family)
    graphs = [wire(space.decode(space.active({**base, "activation": name}))) for name in names]
    assert len({cost_of(graph) for graph in graphs}) == 1
    assert (
        len({graph.digest() for graph in graphs}) == len({output(graph).sum().item() for graph in graphs}) == len(names)
    )
