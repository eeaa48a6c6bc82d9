"""The driver as a value, with a runner that has neither processes nor a clock.

What it drives is in `driven.py`; nothing here trains.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from driven import SPACE, TINY, Start, failing, train
from optuna.trial import TrialState

from cspnas.documents.space_file import SAMPLERS, read_space
from cspnas.objectives import pareto as front
from cspnas.runners.protocol import Wait, Work
from cspnas.samplers import optuna_samplers
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.storage.tables import evaluations_table
from cspnas.study.candidates import baseline_curves, candidate
from cspnas.study.failures import MAX_ATTEMPTS
from cspnas.training.recipe import training_seed


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_spends_exactly_the_budget(start: Start, sampler: str) -> None:
    run = start(sampler=sampler, trials=12 if sampler == "gp" else 24)
    driver, reason, handed = run.go()
    assert reason == f"all {run.study.trials} trainings are done"
    assert len(handed) == len(run.trained) == driver.results.finished == run.study.trials
    assert {row["state"] for row in run.evaluations} == {"trained"}
    assert any(row["source"] == sampler and row["outcome"] == "training" for row in run.suggestions)


def test_every_suggestion_ends_in_a_counted_outcome(start: Start) -> None:
    run = start(trials=24)
    driver, _, _ = run.go(workers=3)
    assert [row["number"] for row in run.suggestions] == list(range(len(run.suggestions)))
    assert Counter(row["outcome"] for row in run.suggestions) == driver.outcomes
    assert set(driver.outcomes) <= {"training", "rejected", "reused", "attached"}
    assert driver.outcomes["training"] == 24 and driver.outcomes["rejected"] > 0
    for row in run.suggestions:
        assert (row["evaluation_id"] is None) == (row["outcome"] == "rejected")


def test_a_network_suggested_while_it_is_in_flight_is_attached_to_that_training(start: Start) -> None:
    run = start(TINY, trials=3, confirm_share=0.0)
    driver, reason, _ = run.go(workers=3)
    assert driver.outcomes["attached"] > 0 and len(run.trained) == 3 and reason is not None


def test_baselines_are_trained_before_anything_else(start: Start) -> None:
    run = start()
    _, _, handed = run.go(workers=2)
    expected = [drawn.digest for _, drawn in baseline_curves(run.study)]
    assert len(expected) == 4
    assert [work.digest for work in handed[:4]] == expected
    assert [row["source"] for row in run.suggestions[:4]] == ["baseline:plain"] * 2 + ["baseline:csp"] * 2


@pytest.mark.parametrize("workers", [1, 3])
def test_a_quarter_of_the_trainings_confirms_with_new_seeds(start: Start, workers: int) -> None:
    run = start(trials=24)
    driver, _, _ = run.go(workers=workers)
    again = [row for row in run.evaluations if row["repeat"] > 0]
    assert len(again) == 6 == driver.results.confirmations
    for row in run.evaluations:
        assert row["seed"] == training_seed(0, row["digest"], row["repeat"])
    assert len({row["seed"] for row in run.evaluations}) == 24
    assert all(len(network.accuracies) == len(network.evaluations) for network in driver.results.networks.values())


def test_rejected_candidates_are_never_trained(start: Start) -> None:
    run = start(trials=24)
    run.go()
    rejected = [row for row in run.suggestions if row["outcome"] == "rejected"]
    by_cost = [row for row in rejected if row["digest"]]
    assert by_cost and len(by_cost) < len(rejected)  # the others are no networks: a part without channels
    assert not {row["digest"] for row in by_cost} & {row["digest"] for row in run.evaluations}
    assert all(candidate(run.study, row["genotype"]).costs["flops"] > 90_000 for row in by_cost)
    assert all(row["costs"]["flops"] <= 90_000 for row in run.evaluations)


@pytest.mark.parametrize("sampler", ["cost-aware", "nsga2", "tpe", "random"])
def test_a_tiny_space_is_trained_whole_and_then_the_search_ends(start: Start, sampler: str) -> None:
    run = start(TINY, sampler, trials=30, confirm_share=0.0)
    _, reason, _ = run.go()
    assert reason == "all 3 admitted architectures are trained"
    every = {candidate(run.study, genotype).digest for genotype in run.study.space.enumerate()}
    assert {row["digest"] for row in run.evaluations} == every
    before = len(run.suggestions)
    _, again, handed = run.go()
    assert (again, handed, len(run.suggestions)) == (reason, [], before)


def test_once_all_networks_are_tried_confirmations_come_without_asking_in_vain(start: Start) -> None:
    """A confirmation is a training, after which the sampler would be asked for long again for a network that is not there."""
    run = start(TINY, "random", trials=30, confirm_share=0.5)
    run.go()
    sources = [row["source"] for row in run.suggestions]
    confirmations = sources[sources.index("confirm") :]
    assert len(confirmations) > 3 and set(confirmations) == {"confirm"}


@pytest.mark.parametrize("kind", ["diverged", "timeout"])
def test_a_failure_of_the_network_is_recorded_once_and_never_on_the_front(start: Start, kind: str) -> None:
    run = start()
    driver, _, handed = run.go(failing(kind, lambda work: int(work.digest, 16) % 3 == 0))
    failed = [row for row in run.evaluations if row["state"] == "failed"]
    assert failed and len(handed) == len(run.trained) == 16 == driver.results.finished
    assert {(row["failure_kind"], row["accuracy"], row["attempt"]) for row in failed} == {(kind, None, 1)}
    bad = {row["digest"] for row in failed}
    assert not bad & {network.digest for network in driver.results.front()}
    assert not bad & {point[0] for row in run.database.fronts(run.row.id) for point in row["points"]}


@pytest.mark.parametrize("kind", ["crashed", "lost"])
def test_a_crash_is_tried_again_with_the_same_seed_three_times_in_all(start: Start, kind: str) -> None:
    run = start(trials=8)
    victim = baseline_curves(run.study)[1][1].digest
    _, reason, handed = run.go(failing(kind, lambda work: work.digest == victim))
    tries = [work for work in handed if work.digest == victim]
    assert [work.attempt for work in tries] == [1, 2, 3] and MAX_ATTEMPTS == 3
    assert len({work.unit["seed"] for work in tries}) == len({work.evaluation_id for work in tries}) == 1
    row = next(row for row in run.evaluations if row["digest"] == victim)
    assert (row["state"], row["failure_kind"], row["attempt"]) == ("failed", kind, 3)
    assert reason == "all 8 trainings are done" and len(run.trained) == 8


def test_a_crash_that_does_not_come_again_costs_no_training(start: Start) -> None:
    run, calm = start(trials=8), start(trials=8)
    run.go(failing("crashed", lambda work: work.attempt == 1))
    calm.go()
    assert run.trained == calm.trained
    assert {(row["state"], row["attempt"]) for row in run.evaluations} == {("trained", 2)}


@pytest.mark.parametrize("leave", [False, True], ids=["between trainings", "in a training"])
@pytest.mark.parametrize("sampler", ["cost-aware", "nsga2", "tpe", "random"])
def test_an_interrupted_search_trains_what_an_uninterrupted_one_trains(
    start: Start, sampler: str, leave: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any number of finishes; the population is small so that NSGA-II passes several generations."""
    monkeypatch.setattr(optuna_samplers, "POPULATION", 4)
    whole = start(sampler=sampler)
    whole.go()
    for finishes in range(0, 16, {"nsga2": 1, "cost-aware": 5}.get(sampler, 2)):
        parts = start(sampler=sampler)
        parts.go(finishes=finishes, leave=leave)
        parts.go()
        assert parts.trained == whole.trained, finishes
        assert {row["state"] for row in parts.evaluations} == {"trained"}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_nsga2_goes_on_with_the_same_parents_whatever_ended_after_they_were_chosen(
    start: Start, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several workers end in any order, so that a generation still grows after the next one's parents are chosen."""
    monkeypatch.setattr(optuna_samplers, "POPULATION", 4)
    run, random = start(sampler="nsga2", trials=60, confirm_share=0.0), Random(workers)
    driver, flight = run.driver(), []
    for step in range(45):
        while len(flight) < workers:
            work = driver.suggest()
            assert isinstance(work, Work)
            flight.append(work)
        work = flight.pop(random.randrange(len(flight)))
        assert driver.finish(work, train(work))
        if step % 4:
            continue
        heir, next_number = run.driver(), len(run.suggestions)
        assert parents(heir) == parents(driver)
        expected = deepcopy(driver.sampler).suggest(next_number)
        assert heir.sampler.suggest(next_number) == expected
    assert max(parents(driver)) > 3


def parents(driver: Driver) -> dict[int, list[int]]:
    """Suggestion numbers of each generation's parents."""
    found: dict[int, list[int]] = driver.sampler._told.parents  # type: ignore[attr-defined]
    return found


def test_baselines_belong_to_the_first_generation(start: Start) -> None:
    run = start(sampler="nsga2", trials=8)
    driver, _, _ = run.go(finishes=4)
    for sampler in (driver.sampler, run.driver().sampler):
        first = sampler._made(0).get_population(sampler._study, 0)  # type: ignore[attr-defined]
        assert [trial.user_attrs["suggestion"] for trial in first] == [0, 1, 2, 3]


def test_an_interrupted_search_still_knows_what_failed_and_what_was_rejected(start: Start) -> None:
    broken = failing("diverged", lambda work: int(work.digest, 16) % 3 == 0)
    whole, parts = start(sampler="tpe"), start(sampler="tpe")
    whole.go(broken)
    for _ in range(8):
        parts.go(broken, finishes=2, leave=True)
    parts.go(broken)
    assert parts.trained == whole.trained


def test_work_of_a_dead_driver_is_taken_over_as_the_same_attempt_with_the_same_seed(start: Start) -> None:
    run = start()
    dead = run.driver()
    lost = [dead.suggest() for _ in range(3)]
    heir = run.driver()
    taken = [heir.suggest() for _ in range(3)]
    for old, new in zip(lost, taken, strict=True):
        assert isinstance(old, Work) and isinstance(new, Work)
        assert (new.evaluation_id, new.digest, new.attempt) == (old.evaluation_id, old.digest, 1)
        assert new.unit == old.unit
    rows = run.evaluations
    assert {(row["attempt"], row["driver_id"], row["state"]) for row in rows} == {(1, heir.driver_id, "in_flight")}
    assert heir.results.trainings == 3


def test_only_crashes_of_its_worker_are_attempts_of_a_network(start: Start) -> None:
    """However often a driver dies; a crash counts even where the driver dies right after it."""
    run = start()
    crash = {"failure": {"kind": "crashed", "message": ""}}
    for _ in range(2 * MAX_ATTEMPTS):
        run.driver().suggest()
    for attempt in (1, 2):
        driver = run.driver()
        work = driver.suggest()
        assert isinstance(work, Work) and work.attempt == attempt
        assert not driver.finish(work, crash)
    for _ in range(2):
        driver = run.driver()
        work = driver.suggest()
        assert isinstance(work, Work) and work.attempt == 3
    assert driver.finish(work, crash)
    (row,) = run.evaluations
    assert (row["state"], row["failure_kind"], row["attempt"]) == ("failed", "crashed", 3)


class Killed(BaseException):
    """The end of a process."""


def test_a_driver_that_dies_after_any_step_leaves_no_reused_result_under_way(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    reuse = lambda key: {"accuracy": accuracy_of(key), "failure": None}
    accuracy_of = lambda key: 0.3 + int(key["digest"][:4], 16) / 2**17 + key["seed"] % 97 / 1e4
    whole = start(TINY, trials=20)
    whole.go(reuse=reuse)
    steps, parts, commit, left = 0, start(TINY, trials=20), Database.transaction, 0

    @contextmanager
    def dying(self: Database) -> Iterator[sa.Connection]:
        nonlocal left
        with commit(self) as connection:
            yield connection
        left -= 1
        if not left:
            raise Killed

    for steps in range(1, 60):
        left = steps
        with monkeypatch.context() as patch:
            patch.setattr(Database, "transaction", dying)
            try:
                parts.go(reuse=reuse)
            except Killed:
                pass
            else:
                break
        assert {row["state"] for row in parts.evaluations} <= {"reused"}
    assert steps > 5
    rows = [[(r["digest"], r["seed"], r["accuracy"], r["state"]) for r in run.evaluations] for run in (parts, whole)]
    assert sorted(rows[0]) == sorted(rows[1])
    fronts = [run.database.fronts(run.row.id)[-1]["points"] for run in (parts, whole)]
    assert fronts[0] == fronts[1]


def test_results_of_another_study_are_reused_and_count_as_no_training(start: Start) -> None:
    """Every key of the first search is found, baselines and confirmations among them."""
    first = start(trials=12)
    first.go()
    results = {(row["digest"], row["seed"]): row["accuracy"] for row in first.evaluations}

    def reuse(key: dict[str, Any]) -> dict[str, Any] | None:
        found = results.get((key["digest"], key["seed"]))
        return None if found is None else {"accuracy": found, "failure": None}

    second = start(trials=12)
    driver, _, handed = second.go(reuse=reuse)
    states = Counter(row["state"] for row in second.evaluations)
    assert states["trained"] == 12 == len(handed) == driver.results.finished
    reused = {(row["digest"], row["seed"]) for row in second.evaluations if row["state"] == "reused"}
    assert reused <= set(results) and not reused & {(work.digest, work.unit["seed"]) for work in handed}
    assert {drawn.digest for _, drawn in baseline_curves(second.study)} <= {digest for digest, _ in reused}
    assert driver.outcomes["reused"] >= len(reused) and driver.outcomes["training"] == 12


def test_what_was_measured_beside_accuracy_is_reused_too_and_the_bulky_rest_is_not_kept(start: Start) -> None:
    run = start(trials=4)
    found = {"accuracy": 0.5, "latency": 0.25, "curve": [1, 2], "failure": None}
    driver, _, handed = run.go(reuse=lambda key: dict(found) if int(key["digest"], 16) % 2 else None)
    reused = [row for row in run.evaluations if row["state"] == "reused"]
    assert reused and handed
    for row in reused:
        assert row["latency"] == 0.25 and run.database.result(row["id"]) == found
        assert driver.results.networks[row["digest"]].values("latency")[0] == 0.25
    fields = {field.name for field in dataclasses.fields(driver.results.measured()[0].evaluations[0])}
    assert "result" not in fields, "bulky results stay in the database"


def test_a_study_whose_every_training_is_known_ends_without_one(start: Start) -> None:
    """Confirmations and evenly drawn candidates are reused like all others."""
    run = start(TINY, trials=20)
    driver, reason, handed = run.go(reuse=lambda key: {"accuracy": 0.5, "failure": None})
    assert handed == [] and reason == "all 3 admitted architectures are trained"
    assert Counter((row["state"], row["repeat"] > 0) for row in run.evaluations) == {
        ("reused", False): 3,
        ("reused", True): 5,  # a quarter of 20
    }
    assert driver.outcomes["training"] == driver.results.trainings == 0


def test_reused_confirmations_fill_the_quota_and_leave_their_trainings_to_new_networks(start: Start) -> None:
    run = start(trials=12)
    again = lambda key: key["seed"] != training_seed(0, key["digest"], 0)
    driver, reason, handed = run.go(reuse=lambda key: {"accuracy": 0.5, "failure": None} if again(key) else None)
    assert reason == "all 12 trainings are done" and len(handed) == 12 == driver.results.explored
    assert [row["state"] for row in run.evaluations if row["repeat"] > 0] == ["reused"] * 3
    assert driver.results.confirmations == 3


@pytest.mark.parametrize(("share", "trials", "quota"), [(0.29, 100, 29), (0.25, 10, 2), (0.1, 9, 0), (0.5, 13, 6)])
@pytest.mark.parametrize("stop", [None, 7], ids=["whole", "interrupted"])
def test_the_quota_of_confirmations_is_one_whole_number(
    start: Start, share: float, trials: int, quota: int, stop: int | None
) -> None:
    """The share rounded down, the floats' .29 * 100 = 28.999... or not, and whoever finishes the search."""
    run = start(trials=trials, confirm_share=share)
    run.go(finishes=stop, workers=2)
    run.go(workers=2)
    repeats = [row["repeat"] > 0 for row in run.evaluations]
    assert repeats == [False] * (trials - quota) + [True] * quota


@pytest.mark.parametrize("sampler", ["nsga2", "tpe"])
def test_a_resumed_sampler_has_learnt_from_reused_results(start: Start, sampler: str) -> None:
    run = start(sampler=sampler, trials=6)
    known = failing("diverged", lambda work: False)
    half = lambda key: {"accuracy": 0.5, "failure": None} if int(key["digest"], 16) % 2 else None
    driver, _, _ = run.go(known, reuse=half)

    def learnt(of: Driver) -> list[tuple[Any, ...]]:
        trials = of.sampler._study.get_trials()  # type: ignore[attr-defined]
        return sorted((*t.values, str(sorted(t.params.items()))) for t in trials if t.state.name == "COMPLETE")

    assert any(row["state"] == "reused" for row in run.evaluations)
    assert learnt(run.driver()) == learnt(driver)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_warns_of_nothing(start: Start, sampler: str) -> None:
    """A search's stderr is its progress; no warning of a library belongs there."""
    run = start(sampler=sampler, trials=6)
    run.go()


@pytest.mark.parametrize("sampler", ["nsga2", "tpe", "gp"])
def test_a_restored_trial_is_the_one_that_was_told(start: Start, sampler: str) -> None:
    """Field by field, but for the times; a later change of it reaches no other."""
    run = start(sampler=sampler)
    told, restored = (OptunaSampler(sampler, run.study.space, run.study.objectives, 0) for _ in range(2))
    values, excess = {"accuracy": 0.5, "flops": 80_000.0, "peak_memory": 900.0}, {"flops<=90k": -0.1}
    for number in range(2):
        genotype, state = told.suggest(number)
        told.tell(number, values, excess)
        restored.restore(number, genotype, json.loads(json.dumps(state)), values, excess)
    for one, other in zip(told._study.get_trials(), restored._study.get_trials(), strict=True):
        assert type(one) is type(other)
        for key in (
            "number",
            "state",
            "values",
            "params",
            "distributions",
            "user_attrs",
            "system_attrs",
            "constraints",
        ):
            assert getattr(one, key) == getattr(other, key), key


@pytest.mark.parametrize("after", ["nsga2", "tpe", "gp"])
@pytest.mark.parametrize("before", ["random", "nsga2"])
def test_another_sampler_goes_on_with_what_one_began(
    tmp_path: Path, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Samplers that see every gene and those that see the active ones alone learn from each other's trials: each restored
    trial has all the parameters that this sampler sees, so that none of them is lost to its model.
    """
    monkeypatch.setattr(optuna_samplers, "POPULATION", 4)
    (file := tmp_path / "space.yaml").write_text(SPACE)
    study = read_space(file, {})
    first, second = (OptunaSampler(name, study.space, study.objectives, 0) for name in (before, after))
    for number in range(9):
        genotype, state = first.suggest(number)
        values = {"accuracy": 0.5 + 0.01 * number, "flops": 80_000.0 - number, "peak_memory": 900.0}
        first.tell(number, values, {})
        second.restore(number, genotype, json.loads(json.dumps(state)), values, {})
    genes = study.space.genes()
    for trial in second._study.get_trials(states=(TrialState.COMPLETE,)):
        seen = {gene.name for gene in genes if after != "tpe" or study.space.exists(gene, trial.params)}
        assert trial.params.keys() == seen
    for number in range(9, 12):
        assert second.suggest(number)[0]


def test_a_baseline_beyond_the_choices_does_not_blind_the_sampler(start: Start) -> None:
    """Optuna searches what all complete trials share: one without parameters would leave nothing to search."""
    run = start(SPACE.replace("[0.25, 0.5, 0.75]", "[0.25, 0.75]"), "nsga2", trials=8)
    driver, _, _ = run.go()
    trials = driver.sampler._study.get_trials()  # type: ignore[attr-defined]
    assert trials and all(trial.params for trial in trials if trial.state.name == "COMPLETE")


def test_snapshots_of_the_front_agree_with_the_front_recomputed_from_the_rows(start: Start) -> None:
    run = start(trials=24)
    driver, _, _ = run.go()
    reference = run.row.facts.reference
    rows = {row["id"]: row for row in run.evaluations}
    snapshots = run.database.fronts(run.row.id)
    assert len(snapshots) > 2
    for snapshot in snapshots:
        seen: dict[str, list[float]] = {}
        for identifier, row in rows.items():  # one worker: finished in the order of their ids
            if identifier <= snapshot["evaluation_id"]:
                seen.setdefault(row["digest"], []).append(row["accuracy"])
        costs = {row["digest"]: [row["costs"]["flops"], row["costs"]["peak_memory"]] for row in rows.values()}
        points = np.array([[np.mean(values), *costs[digest]] for digest, values in seen.items()])
        loss = front.losses(points, reference)
        kept = front.non_dominated(loss)
        expected = {digest for digest, on in zip(seen, kept, strict=True) if on}
        assert {point[0] for point in snapshot["points"]} == expected
        assert snapshot["hypervolume"] == pytest.approx(front.hypervolume(loss[kept]), abs=1e-12)
        stored = np.array([point[1:] for point in snapshot["points"]])
        assert snapshot["hypervolume"] == pytest.approx(front.hypervolume(front.losses(stored, reference)), abs=1e-12)
    assert snapshots[-1]["hypervolume"] == driver.results.hypervolume()


def test_a_time_limit_ends_the_search_and_keeps_time_for_confirmations(start: Start) -> None:
    now = 0.0

    def slow(work: Work) -> dict[str, Any]:
        nonlocal now
        now += 1.0
        return train(work)

    run = start(trials=100, time_limit=20.0)
    _, reason, handed = run.go(slow, clock=lambda: now)
    assert reason == "time is up" and len(handed) == 20
    assert [row["repeat"] > 0 for row in run.evaluations] == [False] * 16 + [True] * 4


def test_the_time_of_a_limit_begins_with_the_first_suggestion(start: Start) -> None:
    """However long it took until the workers were asked for: a search of a second trains something."""
    now = 0.0
    driver = start(time_limit=1.0).driver(clock=lambda: now)
    now = 60.0
    assert isinstance(driver.suggest(), Work)
    now = 60.9
    assert isinstance(driver.suggest(), Work)
    now = 61.0
    assert isinstance(driver.suggest(), Wait)


def test_no_evaluation_is_in_flight_after_the_end(start: Start) -> None:
    run = start()
    run.go(workers=4)
    query = sa.select(evaluations_table.c.id).where(evaluations_table.c.finished.is_(None))
    assert run.database.rows(query) == [] and len(run.evaluations) == 16
