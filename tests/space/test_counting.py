"""The number of networks in a space against the list of all of them, however large the space is."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import FUSIONS, Stem
from cspnas.network.wiring import wire
from cspnas.space import counting
from cspnas.space.counting import census
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices


def _some(values: tuple, most: int) -> st.SearchStrategy[tuple]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(tuple)


STAGES = st.builds(
    StageChoices,
    depth=_some((1, 2), 2),
    growth_rate=_some((3, 4, 8), 2),
    csp=_some((True, False), 2),
    split_ratio=_some((0.25, 0.3, 0.5, 0.75), 3),
    fusion=_some(FUSIONS, 3),
    bottleneck_ratio=_some((1.0, 1.1, 2.0), 2),
    compression=_some((0.25, 0.5, 0.55), 2),
)


def _space(stages: list[StageChoices]) -> SearchSpace:
    return SearchSpace("densenet", (1, 28, 28), 10, (Stem(8),), ("relu",), tuple(stages))


def _listed(space: SearchSpace) -> int:
    """The distinct networks among all genotypes."""
    found = set()
    for genotype in space.enumerate():
        try:
            architecture = space.decode(genotype)
            wire(architecture)
        except ArchitectureError:
            continue
        found.add(architecture)
    return len(found)


@given(st.lists(STAGES, min_size=1, max_size=2).map(_space))
@settings(deadline=None, max_examples=20)
def test_the_count_is_that_of_the_distinct_networks(space: SearchSpace) -> None:
    counted = census(space)
    assert counted.exact and counted.architectures == _listed(space)


def test_every_way_to_choose_is_in_one_variant() -> None:
    stage = StageChoices(
        (1,),
        (4,),
        csp=(True, False),
        split_ratio=(0.3, 0.5),
        fusion=FUSIONS,
        pool=("after", "before"),
        compression=(1,),
    )
    ways = [tuple(zip(v, values, strict=True)) for v in stage.variants for values in product(*v.values())]
    assert len(set(ways)) == len(ways) == stage.size == 2 + 2 * (2 + 1 + 2)


def test_a_space_of_any_size_is_estimated_from_a_bounded_number_of_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one channel, all ratios round to the same bottleneck: two depths are left of each stage."""
    ratios = tuple(1 + place / 100 for place in range(49))
    stage = StageChoices((1, 2), (1,), csp=(False,), bottleneck_ratio=ratios, compression=(1.0,))
    space = _space([stage] * 3)
    assert space.size == (2 * 49) ** 3
    assert census(space).architectures == 2**3
    monkeypatch.setattr(counting, "COUNTED", 10)
    estimate = census(space)
    assert not estimate.exact and estimate.architectures == 2**3


def test_a_number_of_networks_may_be_larger_than_any_float(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting._Stages, "fits", lambda self, stem: True)
    monkeypatch.setattr(counting, "COUNTED", 0)
    monkeypatch.setattr(counting, "RESOLVED", 2_000)
    stage = StageChoices(tuple(range(1, 200)), tuple(range(1, 200)), csp=(False,), compression=(0.5,))
    estimate = census(_space([stage] * 80))
    assert estimate.draws and 0.9 < estimate.architectures / 199**160 <= 1
