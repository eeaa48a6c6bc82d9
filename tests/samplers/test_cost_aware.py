"""The cost-aware sampler before a driver: what it proposes, and that a restart changes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driven import SPACE, TINY, Run, Start, train

from cspnas.documents.space_file import read_space
from cspnas.errors import InputError
from cspnas.runners.protocol import Work
from cspnas.samplers.acquisition import LEAST_ROWS, select_training_rows
from cspnas.samplers.cost_aware import CostAwareSampler
from cspnas.study.candidates import admitted

ONE = """
family: densenet
stem: {channels: 8, stride: 4}
stages: [{csp: false, growth_rate: 4, depth: 1}]
objectives: [flops, accuracy]
baselines: {widths: 0}
"""


def sources(run: Run) -> list[tuple[str, str]]:
    """(source, outcome) of all suggestions."""
    return [(row["source"], row["outcome"]) for row in run.suggestions]


def test_nothing_that_it_proposes_is_rejected_or_known(start: Start) -> None:
    run = start(sampler="cost-aware", trials=30)
    run.go(workers=3)
    own = [outcome for source, outcome in sources(run) if source == "cost-aware"]
    assert len(own) > 10 and set(own) == {"training"}


def test_a_restart_proposes_what_the_same_driver_would_have_proposed(start: Start) -> None:
    whole, parts = start(sampler="cost-aware", trials=20), start(sampler="cost-aware", trials=20)
    whole.go()
    for finishes in (7, 1, 5):
        parts.go(finishes=finishes)
    parts.go()
    expected, found = ([(r["digest"], r["outcome"]) for r in run.suggestions] for run in (whole, parts))
    assert expected == found


@pytest.mark.parametrize(
    "objectives",
    [
        ["accuracy", "params"],
        ["flops", "accuracy", "peak_memory"],
        ["evenness", "traffic", "training_memory", "accuracy"],
    ],
)
def test_any_exact_objectives_with_accuracy_in_any_place(start: Start, objectives: list[str]) -> None:
    text = SPACE.replace("[accuracy, flops, peak_memory]", f"[{', '.join(objectives)}]")
    driver, reason, _ = start(text, sampler="cost-aware", trials=14).go()
    assert reason == "all 14 trainings are done" and driver.results.hypervolume() > 0


def test_a_second_measured_objective_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(SPACE.replace("peak_memory]", "latency]"))
    with pytest.raises(InputError, match="accuracy and latency with sampler cost-aware") as caught:
        read_space(path, {"search.sampler": "cost-aware"})
    assert f"{path}:9" in str(caught.value)
    study = read_space(path, {"search.sampler": "nsga2"})
    with pytest.raises(InputError, match="one measured objective"):
        CostAwareSampler(study)


@pytest.mark.parametrize(
    "value", [lambda work: 0.5, lambda work: 0.0, lambda work: 1.0, lambda work: 0.5 + 1e-12 * work.evaluation_id]
)
def test_constant_accuracies_are_no_obstacle(start: Start, value: Callable[[Work], float]) -> None:
    run = start(sampler="cost-aware", trials=20)
    _, reason, _ = run.go(lambda work: {"accuracy": value(work), "failure": None}, workers=2)
    assert reason == "all 20 trainings are done"


@pytest.mark.parametrize("trials", [1, 2, LEAST_ROWS, LEAST_ROWS + 1])
def test_a_history_of_one_training_and_of_just_enough_for_a_model_are_no_obstacle(start: Start, trials: int) -> None:
    """Without baselines the sampler's own suggestions are all that there is, from the first on."""
    run = start(SPACE.replace("{widths: 2}", "{widths: 0}"), sampler="cost-aware", trials=trials, confirm_share=0.0)
    for _ in range(trials):
        run.go(finishes=1)  # a driver of its own for each
    assert sources(run) == [("cost-aware", "training")] * trials
    assert len({row["digest"] for row in run.evaluations}) == trials


def test_accuracies_that_are_no_numbers_or_missing_are_failures_that_say_nothing_to_the_model(start: Start) -> None:
    """NaN, infinite and no accuracy at all in two of three trainings: the others are modelled, all are read again."""

    def broken(work: Work) -> dict[str, Any]:
        odd: list[float | None] = [math.nan, math.inf, None]
        kept = work.evaluation_id % 3 == 0
        return train(work) if kept else {"accuracy": odd[work.evaluation_id // 3 % 3], "failure": None}

    run = start(sampler="cost-aware", trials=24, confirm_share=0.0)
    run.go(broken, finishes=15)
    driver, reason, _ = run.go(broken)
    assert reason == "all 24 trainings are done"
    assert all(math.isfinite(accuracy) for one in driver.results.measured() for accuracy in one.accuracies)
    assert [outcome for source, outcome in sources(run) if source == "cost-aware"].count("training") >= 20


def test_failed_networks_are_not_proposed_again_and_say_nothing_to_the_model(start: Start) -> None:
    def mixed(work: Work) -> dict[str, Any]:
        failed = {"failure": {"kind": "diverged", "message": "loss nan"}}
        return failed if work.evaluation_id % 3 == 0 else train(work)

    run = start(sampler="cost-aware", trials=24)
    driver, reason, _ = run.go(mixed)
    assert reason == "all 24 trainings are done" and driver.results.failed == 8
    assert len(run.trained) == 24


def test_a_space_smaller_than_the_budget_ends_with_every_network_trained(start: Start) -> None:
    _, reason, handed = start(TINY, sampler="cost-aware", trials=40, confirm_share=0.0).go()
    assert reason == "all 3 admitted architectures are trained"
    assert len({work.digest for work in handed}) == len(handed) == 3


def test_a_space_of_one_architecture_ends_after_it(start: Start) -> None:
    _, reason, handed = start(ONE, sampler="cost-aware", trials=5, confirm_share=0.0).go()
    assert len(handed) == 1 and reason == "all 1 admitted architectures are trained"


def test_a_space_of_one_architecture_that_is_confirmed_and_asked_again_ends_again(start: Start) -> None:
    """Its confirmations are rows enough for a model, but nothing tells candidates apart; nothing is written by the second."""
    run = start(ONE, sampler="cost-aware", trials=40, confirm_share=0.25)
    _, first, handed = run.go()
    before = len(run.suggestions)
    _, again, more = run.go()
    assert first == again == "all 1 admitted architectures are trained"
    assert len(handed) == 11 and more == [] and len(run.suggestions) == before


def test_with_a_truth_that_is_smooth_it_beats_random_at_the_same_number_of_trainings(start: Start) -> None:
    """Paired over 4 seeds; accuracy rises with size and saturates, the same for both."""

    def smooth(work: Work) -> dict[str, Any]:
        stages = work.unit["architecture"]["stages"]
        size = sum(stage["depth"] * stage["growth_rate"] for stage in stages)
        split = 0.02 if any("csp" in stage for stage in stages) else 0.0
        return {"accuracy": 0.9 - 0.5 * math.exp(-size / 6) + split, "failure": None}

    won = []
    for seed in range(4):
        volumes = []
        for sampler in ("cost-aware", "random"):
            run = start(sampler=sampler, trials=16, seed=seed, confirm_share=0.0)
            volumes.append(run.go(smooth)[0].results.hypervolume())
        won.append(volumes[0] - volumes[1])
    assert np.mean(won) > 0


def test_its_pool_is_admitted_and_distinct(start: Start) -> None:
    study = replace(start(sampler="cost-aware").study, seed=3)
    pool = CostAwareSampler(study)
    assert pool.about()["sampler"] == "cost-aware"
    from cspnas.samplers.candidate_pool import Pool

    drawn = Pool(study).batch(0).candidates
    assert len({tuple(one.genotype.items()) for one in drawn}) == len(drawn) > 30
    assert all(admitted(study, one.costs) for one in drawn)


def test_a_long_study_is_modelled_by_its_front_and_an_even_part_of_the_rest() -> None:
    """What is kept is in the order of training, the whole front is, and up to half are fronts below it."""
    rng = np.random.default_rng(0)
    costs, best = rng.random((400, 2)), rng.random(400)
    kept = select_training_rows(costs, best, 100)
    assert len(kept) == 100 == len(set(kept)) and list(kept) == sorted(kept)
    beaten = [(costs <= costs[n]).all(1) & (best >= best[n]) & (np.arange(400) != n) for n in range(400)]
    assert {n for n in range(400) if not beaten[n].any()} <= set(kept)
    assert np.diff(kept).max() < 40  # no stretch of the study is left out
    assert list(select_training_rows(costs, best, 400)) == list(range(400))
