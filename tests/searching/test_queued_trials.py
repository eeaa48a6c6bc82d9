"""What a user puts into the queue of a study's Optuna study is trained next, or fails with its reason."""

from __future__ import annotations

from random import Random
from typing import Any

import optuna
import pytest
from driven import SPACE, Run, Start, train
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from cspnas.errors import InputError
from cspnas.runners.protocol import Work
from cspnas.searching.driver import Driver
from cspnas.searching.queued_trials import genotype_from
from cspnas.storage.optuna_projection import Projection
from cspnas.study.candidates import baseline_curves

POINT = {
    "stage1.depth": 1,
    "stage1.growth_rate": 3,
    "stage1.csp": True,
    "stage1.split_ratio": 0.5,
    "stage1.fusion": "last",
}


class Search:
    """A driver with Optuna's tables beside it, as a search has them; `own` is Optuna's study as its user opens it."""

    def __init__(self, run: Run) -> None:
        self.run, self.driver = run, run.driver()
        self.shown = Projection(run.database, "small", run.study.space, self.driver.results)
        self.shown.update()
        self.own = optuna.load_study(study_name="small", storage=RDBStorage(run.database.url))

    def begin(self) -> Work:
        work = self.driver.suggest()
        assert isinstance(work, Work)
        return work

    def end(self, work: Work, result: dict[str, Any] | None = None) -> None:
        assert self.driver.finish(work, result or train(work))
        self.shown.update()

    def trial(self, number: int) -> FrozenTrial:
        return self.own.get_trials(deepcopy=False)[number]

    def genotype(self, work: Work) -> dict[str, Any]:
        return self.driver.results.genotypes[work.digest]


def only_one_trial_each(search: Search) -> None:
    digests = [trial.user_attrs["digest"] for trial in search.own.trials if "digest" in trial.user_attrs]
    assert len(set(digests)) == len(digests)


def test_a_trial_in_the_queue_is_trained_next_and_keeps_its_number(start: Start) -> None:
    search = Search(start(SPACE))
    search.end(search.begin())
    search.own.enqueue_trial(POINT, user_attrs={"by": "me"})
    work = search.begin()
    assert search.genotype(work) == POINT
    assert search.trial(1).state == TrialState.RUNNING
    search.end(search.begin())
    search.end(work)
    trial = search.trial(1)
    assert (trial.state, trial.params, trial.user_attrs["digest"]) == (TrialState.COMPLETE, POINT, work.digest)
    assert trial.user_attrs["by"] == "me"
    assert trial.values[0] == pytest.approx(train(work)["accuracy"])
    assert trial.datetime_start <= trial.datetime_complete
    assert search.driver.results.trials[work.digest] == 1
    only_one_trial_each(search)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({**POINT, "stage1.depth": 9}, "stage1.depth 9, expected one of 1, 2, 3"),
        ({**POINT, "stage1.depth": True}, "stage1.depth True"),
        ({"stage1.csp": True}, "no stage1.depth, expected one of 1, 2, 3"),
        ({**POINT, "width": 3}, "parameter 'width'"),
        ({"stage1.csp": False, "stage1.growth_rate": 6, "stage1.depth": 3}, "one that meets flops<=90k"),
    ],
)
def test_what_is_no_network_of_the_study_fails_and_says_why(params: dict[str, Any], said: str, start: Start) -> None:
    search = Search(start(SPACE))
    search.own.enqueue_trial(params)
    search.begin()
    trial = search.trial(0)
    assert trial.state == TrialState.FAIL
    assert said.replace(" ", "") in trial.user_attrs["refused"].replace(" ", "")


def test_a_network_that_has_a_trial_is_not_given_another(start: Start) -> None:
    search = Search(start(SPACE))
    work = search.begin()
    search.end(work)
    first = search.trial(0)
    attributes = {"digest": work.digest, "trainings": 1}
    retried = create_trial(
        state=TrialState.WAITING, params=first.params, distributions=first.distributions, user_attrs=attributes
    )
    search.own.add_trial(retried)
    search.end(search.begin())
    assert search.trial(1).state == TrialState.FAIL
    assert "the network of trial 0" in search.trial(1).user_attrs["refused"]
    only_one_trial_each(search)


def test_a_network_under_way_gets_the_trial_that_waits_for_it(start: Start) -> None:
    search = Search(start(SPACE))
    work = search.begin()
    search.own.enqueue_trial(search.genotype(work))
    other = search.begin()
    assert other.digest != work.digest
    search.end(other)
    search.end(work)
    assert search.trial(0).user_attrs["digest"] == work.digest
    assert search.trial(0).state == TrialState.COMPLETE
    only_one_trial_each(search)


def test_a_search_that_is_killed_goes_on_with_the_trial(start: Start) -> None:
    """Another driver takes the training over, and its result goes into the same trial."""
    run = start(SPACE)
    search = Search(run)
    search.own.enqueue_trial(POINT)
    work = search.begin()
    again = Search(run)
    assert again.genotype(work) == POINT
    restarted = again.begin()
    while restarted.digest != work.digest:
        restarted = again.begin()
    again.end(restarted, {"failure": {"kind": "diverged", "message": ""}})
    assert again.trial(0).state == TrialState.FAIL
    assert again.trial(0).user_attrs["failures"] == ["diverged"]
    only_one_trial_each(again)


def test_the_whole_queue_is_trained_before_the_baselines(start: Start, rng: Random) -> None:
    run = start(SPACE)
    search = Search(run)
    wanted = []
    while len(wanted) < 3:
        genotype = run.study.space.sample(rng)
        if genotype not in wanted and genotype["stage1.growth_rate"] < 4:
            wanted.append(genotype)
            search.own.enqueue_trial(genotype)
    works = [search.begin() for _ in range(4)]
    assert [search.genotype(work) for work in works[:3]] == wanted
    assert search.genotype(works[3]) == baseline_curves(run.study)[0][1].genotype
    for work in works:
        search.end(work)
    assert [trial.user_attrs["digest"] for trial in search.own.trials] == [work.digest for work in works]


def test_genes_without_effect_are_left_out(start: Start) -> None:
    space = start(SPACE).study.space
    assert genotype_from(space, {**POINT, "stage1.csp": False}) == {
        "stage1.csp": False,
        "stage1.growth_rate": 3,
        "stage1.depth": 1,
    }
    with pytest.raises(InputError, match="no stage1"):
        genotype_from(space, {})


def test_a_driver_without_optunas_tables_searches_all_the_same(start: Start) -> None:
    driver: Driver = start(SPACE).driver()
    assert isinstance(driver.suggest(), Work)
