"""An architecture is found again among the genotypes of its space."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from cspnas.documents.space_file import read_space, shipped_spaces
from cspnas.errors import ArchitectureError, InputError
from cspnas.space.genotype_of import genotype_of


@pytest.mark.parametrize("name", shipped_spaces())
def test_the_genotype_of_a_network_gives_this_network(name: str) -> None:
    space, random = read_space(shipped_spaces()[name]).space, Random(3)
    for _ in range(20):
        genotype = space.sample(random)
        try:
            architecture = space.decode(genotype)
        except ArchitectureError:
            continue
        found = genotype_of(space, architecture, "it")
        assert space.decode(found) == architecture
        assert list(found) == list(space.active(found))


def test_what_differs_is_named() -> None:
    space = read_space(shipped_spaces()["densenet"]).space
    architecture = space.decode(space.sample(Random(0)))
    stage = architecture.stages[1]
    for changed, named in (
        (replace(architecture, classes=7), "classes 7"),
        (replace(architecture, activation="mish"), "activation mish"),
        (replace(architecture, stages=architecture.stages[:1]), "number of stages 1"),
        (
            replace(architecture, stages=(architecture.stages[0], replace(stage, depth=77), *architecture.stages[2:])),
            "depth 77",
        ),
        (
            replace(architecture, stages=(architecture.stages[0], replace(stage, out=999), *architecture.stages[2:])),
            "out 999",
        ),
    ):
        with pytest.raises(InputError, match=f"^it: found .*{named}.* expected .*, as the space has it"):
            genotype_of(space, changed, "it")
