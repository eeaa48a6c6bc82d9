"""The search space against its own enumeration, and the digest against every single gene."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspnas.documents.space_file import read_space, shipped_spaces
from cspnas.errors import ArchitectureError
from cspnas.network.architecture import FUSIONS, Stem
from cspnas.network.wiring import wire
from cspnas.space.search_space import Genotype, SearchSpace
from cspnas.space.stage_choices import StageChoices


def _subsets(values: tuple, most: int = 2) -> st.SearchStrategy[tuple]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(tuple)


stages = st.builds(
    StageChoices,
    depth=_subsets((1, 2)),
    growth_rate=_subsets((4, 6, 8)),
    csp=_subsets((True, False)),
    split_ratio=_subsets((0.25, 0.5, 0.75)),
    fusion=_subsets(FUSIONS, 3),
    bottleneck_ratio=st.just((1.0,)),
    compression=_subsets((0.5, 1.0)),
)


def _space(choices: list[StageChoices]) -> SearchSpace:
    return SearchSpace("densenet", (1, 28, 28), 10, (Stem(8),), ("relu",), tuple(choices))


spaces = st.lists(stages, min_size=1, max_size=2).map(_space)


def _key(genotype: Genotype) -> tuple:
    return tuple(sorted(genotype.items()))


def _has_effect(name: str, genotype: Genotype, space: SearchSpace) -> bool:
    """From first principles: everything but ratio and fusion always; those where the stage is CSP."""
    stage, field = name.split(".")
    choices = space.stages[int(stage.removeprefix("stage")) - 1]
    return field not in ("split_ratio", "fusion") or genotype.get(f"{stage}.csp", choices.csp[0])


@given(spaces)
@settings(deadline=None, max_examples=40)
def test_size_is_the_number_of_enumerated_genotypes_and_all_are_distinct(space: SearchSpace) -> None:
    listed = list(space.enumerate())
    assert space.size == len(listed) == len({_key(genotype) for genotype in listed})


@given(spaces)
@settings(deadline=None, max_examples=40)
def test_distinct_genotypes_are_distinct_choices_of_the_fields_that_have_an_effect(space: SearchSpace) -> None:
    """The same count by brute force: all fields of all stages, those without an effect blanked."""
    brute = 1
    for stage in space.stages:
        seen = set()
        rows: list[tuple] = [()]
        for field in fields(stage):
            rows = [(*row, value) for row in rows for value in getattr(stage, field.name) or (None,)]
        names = [field.name for field in fields(stage)]
        for row in rows:
            values = dict(zip(names, row, strict=True))
            if not values["csp"]:
                values["split_ratio"] = values["fusion"] = None
            seen.add(tuple(values.items()))
        brute *= len(seen)
    assert space.size == brute


@given(spaces, st.integers(0, 1000))
@settings(deadline=None, max_examples=60)
def test_a_sample_has_exactly_the_genes_with_an_effect(space: SearchSpace, seed: int) -> None:
    genotype = space.sample(Random(seed))
    expected = [gene.name for gene in space.genes() if _has_effect(gene.name, genotype, space)]
    assert list(genotype) == expected
    assert all(genotype[gene.name] in gene.choices for gene in space.genes() if gene.name in genotype)
    assert _key(genotype) in {_key(listed) for listed in space.enumerate()}


def test_a_sample_reaches_every_genotype_of_a_small_space() -> None:
    space = _space([StageChoices((1,), (4,), (True, False), (0.25, 0.5), FUSIONS, (1.0,), (1.0,), ("slice",))])
    drawn = {_key(space.sample(Random(seed))) for seed in range(400)}
    assert len(drawn) == space.size == 7


@given(spaces, st.integers(0, 1000))
@settings(deadline=None, max_examples=40)
def test_neighbours_differ_in_one_gene_and_its_dependants(space: SearchSpace, seed: int) -> None:
    genotype = space.sample(Random(seed))
    valid = {_key(listed) for listed in space.enumerate()}
    found = [_key(neighbour) for neighbour in space.neighbours(genotype)]
    assert len(found) == len(set(found)) and _key(genotype) not in found and set(found) <= valid
    for neighbour in map(dict, found):
        changed = [name for name in {*genotype, *neighbour} if genotype.get(name) != neighbour.get(name)]
        switches = [name for name in changed if name.endswith(".csp")]
        if switches:
            stage = switches[0].removesuffix("csp")
            assert len(switches) == 1
            assert set(changed) <= {f"{stage}csp", f"{stage}split_ratio", f"{stage}fusion"}
        else:
            assert len(changed) == 1


@given(spaces)
@settings(deadline=None, max_examples=15)
def test_each_genotype_is_a_neighbour_of_its_neighbours(space: SearchSpace) -> None:
    listed = list(space.enumerate())[:60]
    around = {_key(genotype): {_key(n) for n in space.neighbours(genotype)} for genotype in listed}
    for one, beside_one in around.items():
        for other, beside_other in around.items():
            assert (other in beside_one) == (one in beside_other)


@pytest.mark.parametrize("stage", [1, 2])
def test_a_decoding_error_names_its_stage(stage: int) -> None:
    fine = StageChoices((1,), (4,), (True,), (0.5,), ("both",), (1.0,), (0.5,), ("slice",))
    starved = replace(fine, compression=(0.01,))
    choices = [fine, fine]
    choices[stage - 1] = starved
    with pytest.raises(ArchitectureError, match=f"^stage{stage}: .*leaves no channel"):
        _space(choices).decode({})
    choices[stage - 1] = replace(fine, split_ratio=(0.001,))
    with pytest.raises(ArchitectureError, match=f"^stage{stage}: "):
        _space(choices).decode({})


def test_every_gene_of_the_shipped_space_changes_the_network_on_its_own() -> None:
    """A gene without an effect would make two genotypes train the same network."""
    space = read_space(shipped_spaces()["densenet"]).space
    middle = {gene.name: gene.choices[len(gene.choices) // 2] for gene in space.genes()}
    middle |= {gene.name: True for gene in space.genes() if gene.name.endswith(".csp")}
    digest = wire(space.decode(middle)).digest()
    assert len(space.genes()) == 15
    for gene in space.genes():
        digests = {wire(space.decode({**middle, gene.name: choice})).digest() for choice in gene.choices}
        assert len(digests) == len(gene.choices), gene.name
        assert digest in digests


def test_inactive_genes_change_no_network() -> None:
    space = read_space(shipped_spaces()["densenet"]).space
    plain = {**space.sample(Random(1)), "stage1.csp": False}
    one = wire(space.decode({**plain, "stage1.split_ratio": 0.25, "stage1.fusion": "first"})).digest()
    assert one == wire(space.decode(space.active(plain))).digest()


def test_the_densenet_space_draws_the_networks_that_it_always_drew() -> None:
    """Recorded results stand under these digests, and a search's draws decide them: sha256 of 100 draws and all genes."""
    space = read_space(shipped_spaces()["densenet"]).space
    random, drawn = Random(0), []
    for _ in range(100):
        genotype = space.sample(random)
        drawn.append([genotype, wire(space.decode(genotype)).digest()])
    text = json.dumps([[[gene.name, gene.choices] for gene in space.genes()], drawn])
    assert space.size == 4_320_000
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "e4e7936f0faadbc306866f3bfc032c9248f97a5b5e805aa65e80e6589727ea4f"
    )


RESIDUAL = StageChoices(
    depth=(1,),
    width=(8,),
    split=("project", "slice"),
    groups=(1, 2),
    stride=(2,),
    down_growth=(True, False),
    down_grouped=(False, True),
    expand_ratio=(1.0, 1.5),
    block_ratio=(1.0, 2.0),
    cross_linear=(False, True),
    shortcut=("project", "common"),
)


def test_genes_of_residual_stages_exist_only_where_they_have_an_effect() -> None:
    """Counted by hand. Groups and the downsampling: 1 + 2 ways, twice. A plain stage has a shortcut to fit where its
    convolution keeps the width: 3 * (1 + 2). A CSP stage: 3 * 2 * (1 slice + 4 project) * (1 + 2 for a wider block).
    """
    space = SearchSpace("resnet", (3, 8, 8), 10, (Stem(4),), ("relu",), (RESIDUAL,))
    listed = list(space.enumerate())
    assert space.size == len(listed) == len({_key(genotype) for genotype in listed}) == 9 + 90
    assert len({wire(space.decode(genotype)).digest() for genotype in listed}) == 99


def test_a_study_of_a_space_without_newer_keys_has_the_settings_that_it_always_had() -> None:
    """A key that is at its default and was not there when a study was made would keep it from going on."""
    settings = read_space(shipped_spaces()["resnet"]).identity()
    assert {key.split(".")[2] for key in settings if key.startswith("stages.")} == {
        *("depth", "growth_rate", "csp", "split_ratio", "fusion", "bottleneck_ratio", "compression", "split", "taps"),
        *("pool", "width", "groups"),
    }
    stated = read_space(shipped_spaces()["resnet"], {"stages.0.expand_ratio": 2}).identity()
    assert [key for key in stated if stated[key] != settings.get(key)] == ["stages.0.expand_ratio"]
