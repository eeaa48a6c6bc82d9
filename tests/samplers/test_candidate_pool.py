"""The batches of candidates that the cost-aware sampler chooses from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from driven import SPACE, Run, Start

from cspnas.samplers import candidate_pool as pools
from cspnas.samplers.candidate_pool import Pool, PoolBatch
from cspnas.searching import exhaustive_draw as untried
from cspnas.study.candidates import admitted, candidate

LARGE = SPACE.replace(
    "  - csp: [true, false]", "  - {growth_rate: [2, 4, 6, 8], depth: [1, 2, 3]}\n  - csp: [true, false]"
)


def keys(batch: PoolBatch) -> list[tuple[Any, ...]]:
    return [tuple(one.genotype.items()) for one in batch.candidates]


@pytest.mark.parametrize("text", [SPACE, LARGE])
def test_a_batch_is_the_same_in_whatever_order_batches_are_asked_for(
    start: Start, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    """A restarted search asks in another order, and is to propose the same. LARGE is drawn at random, SPACE dealt out."""
    monkeypatch.setattr(pools, "SIZE", 20)
    study = start(text, sampler="cost-aware").study
    first, second = Pool(study), Pool(study)
    assert first.batches == second.batches > 2
    up = [keys(first.batch(number)) for number in range(first.batches)]
    down = [keys(second.batch(number)) for number in reversed(range(second.batches))]
    assert up == down[::-1] and len({tuple(batch) for batch in up}) == len(up)
    assert all(len(batch.candidates) == len(batch.features) for batch in (first.batch(0), first.batch(1)))


def test_every_admitted_network_of_a_small_space_is_in_one_batch(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "SIZE", 20)
    study = start(sampler="cost-aware").study
    pool = Pool(study)
    dealt = [key for number in range(pool.batches) for key in keys(pool.batch(number))]
    monkeypatch.setattr(pools, "SIZE", 10_000)
    whole = Pool(study)
    assert whole.batches == 1 and pool.batches == -(-study.space.size // 20)
    assert len(set(dealt)) == len(dealt) and set(dealt) == set(keys(whole.batch(0)))
    assert all(admitted(study, one.costs) for one in whole.batch(0).candidates)


def test_where_the_drawn_batches_hold_nothing_new_the_others_are_looked_at(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one batch a suggestion and a budget for the whole space, the sampler itself proposes every network."""
    monkeypatch.setattr(pools, "SIZE", 20)
    monkeypatch.setattr("cspnas.samplers.candidate_batches.MOST_BATCHES", 1)
    monkeypatch.setattr("cspnas.samplers.candidate_batches.MUTATIONS", 0)
    run: Run = start(sampler="cost-aware", trials=500, confirm_share=0.0)
    _, reason, _ = run.go()
    assert reason == f"all {len(run.trained)} admitted architectures are trained"
    by_sampler = [row["outcome"] for row in run.suggestions if row["source"] == "cost-aware"]
    admitted_ones = sum(len(keys(Pool(run.study).batch(number))) for number in range(Pool(run.study).batches))
    assert by_sampler.count("training") >= admitted_ones - 4  # the baselines came first


def test_a_suggestion_makes_no_batch_that_it_does_not_choose_from(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ones need one of ten, those by the model three: a search begins and goes on the sooner."""
    monkeypatch.setattr(pools, "SIZE", 20)
    monkeypatch.setattr("cspnas.samplers.candidate_batches.LEAST_SCALED", 10)
    made: list[int] = []
    whole = Pool.batch
    monkeypatch.setattr(Pool, "batch", lambda self, number: made.append(number) or whole(self, number))
    start(LARGE, sampler="cost-aware", trials=6, confirm_share=0.0).go()  # four baselines first
    assert set(made) == {0}
    start(LARGE, sampler="cost-aware", trials=8, confirm_share=0.0).go()
    assert 1 < len(set(made)) <= 4


def test_a_space_that_admits_nothing_is_drawn_from_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the first candidate in vain takes seconds in a large space."""
    monkeypatch.setattr(pools, "SIZE", 5)
    monkeypatch.setattr(Pool, "_distinct", lambda self, random: iter(()))
    made: list[int] = []
    whole = Pool.batch
    monkeypatch.setattr(Pool, "batch", lambda self, number: made.append(number) or whole(self, number))
    run = start(LARGE, sampler="cost-aware", trials=8, confirm_share=0.0)
    _, reason, _ = run.go()
    assert reason == "all 8 trainings are done" and made == list(range(pools.BATCHES))


@pytest.fixture
def sparse(start: Start, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, set[str]]:
    """A space that is too large to be listed, of whose 576 genotypes 12 are admitted, and the digests of those."""
    monkeypatch.setattr(pools, "SIZE", 20)
    monkeypatch.setattr(untried, "LISTED_GENOTYPES", 100)
    stage = "  - {csp: false, growth_rate: [2, 3, 4, 5, 6, 7, 8, 9], depth: [1, 2, 3]}\n"
    text = SPACE.split("  - csp")[0] + 2 * stage + "objectives: [accuracy, flops]\nbaselines: {widths: 0}\n"
    wide = start(text, sampler="cost-aware", confirm_share=0.0).study
    every = sorted(
        (candidate(wide, genotype) for genotype in wide.space.enumerate()), key=lambda one: one.costs["flops"]
    )
    least = [one for one in every if one.costs["flops"] <= every[11].costs["flops"]]
    text += f"constraints: [flops <= {every[11].costs['flops']:.0f}]\n"
    return start(text, sampler="cost-aware", trials=40, confirm_share=0.0), {one.digest for one in least}


def test_where_little_is_admitted_the_pool_holds_all_that_lies_together(sparse: tuple[Run, set[str]]) -> None:
    """Draws alone would find one in 48; every batch has them all."""
    run, expected = sparse
    pool = Pool(run.study)
    for number in (0, 3):
        found = [one.digest for one in pool.batch(number).candidates]
        assert len(found) == len(set(found)) and set(found) == expected


@pytest.mark.parametrize("sampler", ["cost-aware", "random"])
def test_a_search_where_little_is_admitted_trains_all_of_it(sparse: tuple[Run, set[str]], sampler: str) -> None:
    """It went by draws alone, and ended after the first few as if there were no more."""
    run, expected = sparse
    _, reason, handed = Run(replace(run.study, sampler=sampler), run.database, run.row).go()
    assert {work.digest for work in handed} == expected and len(handed) == len(expected)
    assert reason == f"all {len(expected)} admitted architectures found are trained"
