"""The cost-aware method as a plain Optuna sampler, in Optuna's own loop."""

from __future__ import annotations

import math
import pickle
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection

from cspnas.errors import InputError
from cspnas.samplers.ehvi import added_volume
from cspnas.samplers.known_cost import KnownCostSampler
from cspnas.samplers.optuna_space import KnownSpace

SPACE: dict[str, BaseDistribution] = {
    "width": IntDistribution(1, 60),
    "rate": FloatDistribution(1e-3, 1, log=True),
    "csp": CategoricalDistribution([True, False]),
    "ratio": FloatDistribution(0.25, 0.75, step=0.25),  # has an effect only where csp is true
}


def cost(params: dict[str, Any]) -> float:
    """Known beforehand."""
    saved = 1 - params["ratio"] / 2 if params["csp"] else 1.0
    return float(params["width"]) ** 1.5 * saved


def costs(params: dict[str, Any]) -> Sequence[float | None] | None:
    """Minimised cost, measured accuracy; dear ones are not admitted."""
    return None if cost(params) > 300 else (cost(params), None)


def objective(trial: optuna.Trial) -> tuple[float, float]:
    """Rises with the width, best at a rate of .03; asks for a ratio only where it has an effect."""
    params: dict[str, Any] = {"width": trial.suggest_int("width", 1, 60)}
    params["rate"] = trial.suggest_float("rate", 1e-3, 1, log=True)
    params["csp"] = trial.suggest_categorical("csp", [True, False])
    if params["csp"]:
        params["ratio"] = trial.suggest_float("ratio", 0.25, 0.75, step=0.25)
    accuracy = 0.9 - 0.5 * math.exp(-params["width"] / 10) - 0.05 * math.log10(params["rate"] / 0.03) ** 2
    return cost(params), accuracy if cost(params) <= 300 else 0.0


def study_of(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """Cost down, accuracy up."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)


def volume(study: optuna.Study) -> float:
    """Hypervolume of admitted trials, cost on log scale as a fraction of its range."""
    points = [(math.log(t.values[0]) / math.log(300), 1 - t.values[1]) for t in study.trials if t.values[0] <= 300]
    total, best = 0.0, 1.0
    for spent, error in sorted(points):
        if error < best:
            total, best = total + (1 - spent) * (best - error), error
    return total


def test_it_finds_a_better_front_than_random_search_and_proposes_nothing_twice() -> None:
    """Mean over 2 seeds of 20 trials in Optuna's own loop; every proposal is admitted."""
    won = []
    for seed in range(2):
        ours, random = (
            study_of(sampler)
            for sampler in (KnownCostSampler(SPACE, costs, pool=500, seed=seed), optuna.samplers.RandomSampler(seed))
        )
        ours.optimize(objective, n_trials=20)
        random.optimize(objective, n_trials=20)
        assert all(trial.values[0] <= 300 for trial in ours.trials)
        assert len({repr(trial.params) for trial in ours.trials}) == 20
        won.append(volume(ours) - volume(random))
    assert np.mean(won) > 0


def test_trials_that_ran_at_the_same_time_or_failed_or_gave_nan_are_no_obstacle() -> None:
    """Eight asked before any is told: all different; a NaN and a failure teach nothing and stop nothing."""
    study = study_of(KnownCostSampler(SPACE, costs, pool=300))
    for _ in range(2):
        asked = [study.ask() for _ in range(8)]
        values = [objective(trial) for trial in asked]
        assert len({repr(trial.params) for trial in asked}) == 8
        with pytest.warns(UserWarning, match="nan is not acceptable"):
            study.tell(asked[0], (values[0][0], math.nan), skip_if_finished=True)
        study.tell(asked[1], state=optuna.trial.TrialState.FAIL)
        for trial, value in zip(asked[2:], values[2:], strict=True):
            study.tell(trial, value)
    assert len(study.best_trials) >= 1


def test_a_study_in_a_database_goes_on_with_the_very_trials_it_would_have_had(tmp_path: Path) -> None:
    """A new process (a new study, storage and sampler) for every few trials, in between fits of the model, too."""
    whole = study_of(KnownCostSampler(SPACE, costs, pool=100))
    whole.optimize(objective, n_trials=18)
    for _ in range(6):
        sampler = KnownCostSampler(SPACE, costs, pool=100)
        storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/study.db")
        directions = ["minimize", "maximize"]
        parts = optuna.create_study(
            directions=directions, sampler=sampler, storage=storage, study_name="parts", load_if_exists=True
        )
        parts.optimize(objective, n_trials=3)
    assert [trial.params for trial in parts.trials] == [trial.params for trial in whole.trials]


def test_once_all_are_tried_they_are_tried_again_evenly() -> None:
    """Of 12 parameters 8 are admitted: 16 trials are those 8, twice."""
    space: dict[str, BaseDistribution] = {"width": IntDistribution(1, 12)}
    study = study_of(KnownCostSampler(space, lambda p: (float(p["width"]), None) if p["width"] < 9 else None, pool=50))
    rng = np.random.default_rng(0)
    study.optimize(lambda t: (t.suggest_int("width", 1, 12), 0.9 - 0.5 / t.params["width"] + rng.normal(0, 0.05)), 16)
    widths = [trial.params["width"] for trial in study.trials]
    assert sorted(widths[:8]) == sorted(widths[8:]) == list(range(1, 9))


def test_threads_of_one_study_propose_nothing_twice() -> None:
    study = study_of(KnownCostSampler(SPACE, costs, pool=60))
    study.optimize(objective, n_trials=16, n_jobs=4)
    assert len({repr(trial.params) for trial in study.trials}) == 16


def test_a_history_of_duplicates_missing_foreign_and_enqueued_parameters_is_no_obstacle() -> None:
    """Rows that users add: the same one ten times, without a parameter or without any, of a wider range, infinite."""
    study = study_of(KnownCostSampler(SPACE, costs, pool=60))
    whole: dict[str, Any] = {"width": 5, "rate": 0.1, "csp": True, "ratio": 0.5}
    wider: dict[str, BaseDistribution] = {"width": IntDistribution(1, 999), "else": IntDistribution(0, 1)}
    for number in range(10):
        study.add_trial(optuna.create_trial(params=whole, distributions=SPACE, values=(8.4, 0.5 + 0.01 * number)))
    for params in ({"width": 6}, {}, {"width": 400, "else": 1}):
        of_them = {name: wider[name] for name in params}
        study.add_trial(optuna.create_trial(params=params, distributions=of_them, values=(9.0, 0.6)))
    study.add_trial(optuna.create_trial(params=whole, distributions=SPACE, values=(8.4, math.inf)))
    study.enqueue_trial({"width": 7, "csp": False})
    study.optimize(objective, n_trials=5)
    assert next(trial.params["width"] for trial in study.trials if trial.params.get("csp") is False) == 7
    assert len(study.trials) == 19


def test_a_trial_that_is_not_admitted_takes_no_gain_from_any_candidate() -> None:
    """Two that the user added, within the pool's costs: the one of an odd width, which is not admitted, dominates nothing."""

    def even(params: dict[str, Any]) -> Sequence[float | None] | None:
        return (float(params["width"]), None) if params["width"] % 2 == 0 else None

    space: dict[str, BaseDistribution] = {"width": IntDistribution(1, 60)}
    study = study_of(sampler := KnownCostSampler(space, even, pool=30))
    for width in (3, 4):
        study.add_trial(optuna.create_trial(params={"width": width}, distributions=space, values=(float(width), 0.99)))
    candidates, incumbents = sampler._space_of(study).candidates.costs, sampler._trained(study).points.costs
    whole = added_volume(candidates, incumbents[:0])
    assert (added_volume(candidates, incumbents[:1]) == whole).all()
    assert (added_volume(candidates, incumbents[1:]) < whole).any()


def test_a_parameter_without_effect_is_to_the_model_what_it_was_when_it_was_proposed() -> None:
    """A trial asks for no ratio where csp is false: its features stay those of the candidate that it was. Costs are asked
    about whole parameters, and once about the same ones.
    """
    asked: list[str] = []

    def counted(params: dict[str, Any]) -> Sequence[float | None] | None:
        asked.append(repr(params))
        return costs(params)

    study = study_of(sampler := KnownCostSampler(SPACE, counted, pool=60))
    study.optimize(objective, n_trials=12)
    known = sampler._space_of(study)
    candidates = {tuple(row) for row in known.candidates.features.round(9).tolist()}
    assert any("ratio" not in trial.params for trial in study.trials)
    assert {tuple(row) for row in sampler._trained(study).points.features.round(9).tolist()} <= candidates
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_costs_below_and_above_zero_keep_their_order(offset: float) -> None:
    """A known objective that is small, zero or negative in the pool: what costs less has the lower loss."""
    known = KnownSpace(
        {"width": IntDistribution(1, 40)},
        lambda params: (params["width"] / 10 - offset, None),
        [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE],
        40,
        0,
    )
    losses = known.candidates.costs[:, 0]
    assert np.argsort(losses).tolist() == np.argsort([params["width"] for params in known.pool]).tolist()
    assert losses.min() == 0 and losses.max() == 1


@pytest.mark.parametrize(
    ("given", "directions", "message"),
    [
        (lambda params: None, ["minimize", "maximize"], "no admitted parameters"),
        (lambda params: (1.0, 2.0), ["minimize", "maximize"], "one of them None"),
        (lambda params: (None, None), ["minimize", "maximize"], "one of them None"),
        (lambda params: 5.0, ["minimize", "maximize"], "costs gives 5.0 for"),
        (lambda params: ("1", None), ["minimize", "maximize"], "the others finite numbers"),
        (lambda params: (math.nan, None), ["minimize", "maximize"], "the others finite numbers"),
        (lambda params: (10**400, None), ["minimize", "maximize"], "the others finite numbers"),
        (lambda params: (1 + 1j, None), ["minimize", "maximize"], "the others finite numbers"),
        (lambda params: (1.0, None) if params["csp"] else (None, 1.0), ["minimize", "maximize"], "one of them None"),
        (lambda params: (None,), ["maximize"], "expected 2 values"),
        (lambda params: (1.0, None), ["minimize", "minimize"], "a measured objective that is minimised"),
    ],
)
def test_costs_that_do_not_fit_the_study_are_named(given: Any, directions: list[str], message: str) -> None:
    study = optuna.create_study(directions=directions, sampler=KnownCostSampler(SPACE, given, pool=50))
    with pytest.raises(InputError, match=message):
        objective(study.ask())


def test_a_parameter_that_the_search_space_lacks_is_named() -> None:
    space = {name: SPACE[name] for name in ("width", "rate", "csp")}
    study = study_of(KnownCostSampler(space, lambda params: (float(params["width"]), None), pool=50))
    with pytest.raises(InputError, match="'ratio'"):
        study.ask().suggest_float("ratio", 0, 1)


def test_the_example_of_the_docs_runs_and_trains_only_what_is_admitted() -> None:
    text = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "KnownCostSampler" in block)
    names: dict[str, Any] = {}
    exec(compile(example, "docs/benchmarks.md", "exec"), names)
    trials = names["study"].trials
    assert len(trials) == 20 and all(trial.values[0] < 3000 for trial in trials)


def test_it_needs_no_torch() -> None:
    """A user of Optuna alone gets the sampler without it: importing it here has brought no torch of its own."""
    import subprocess

    code = "import sys; import cspnas.samplers.known_cost; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_sampler_can_be_sent_to_another_process() -> None:
    """Pickled before its first trial and after it (our own object), it goes on as it would have."""
    study = study_of(KnownCostSampler(SPACE, costs, pool=60))
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(objective, n_trials=1)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(objective, n_trials=2)
    whole = study_of(KnownCostSampler(SPACE, costs, pool=60))
    whole.optimize(objective, n_trials=3)
    assert [trial.params for trial in study.trials] == [trial.params for trial in whole.trials]


def test_a_sampler_of_two_studies_fits_each_its_own_model() -> None:
    """After a study of 12 trials, a new one with the same sampler goes as with a new sampler."""
    used = KnownCostSampler(SPACE, costs, pool=60)
    study_of(used).optimize(objective, n_trials=12)
    again, fresh = study_of(used), study_of(KnownCostSampler(SPACE, costs, pool=60))
    for study in (again, fresh):
        study.optimize(objective, n_trials=10)
    assert [trial.params for trial in again.trials] == [trial.params for trial in fresh.trials]


@pytest.mark.parametrize("score", [93.0, -0.3])
def test_percentages_and_scores_below_zero_are_named(score: float) -> None:
    """All of them would be taken for perfect, or for worthless."""
    study = study_of(KnownCostSampler(SPACE, costs, pool=60))
    with pytest.raises(InputError, match=f"trial 0: found an accuracy of {score:g}, expected a fraction from 0 to 1"):
        study.optimize(lambda trial: (objective(trial)[0], score), n_trials=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pool", {"pool": 0}),
        ("pool", {"pool": 2.5}),
        ("seed", {"seed": -1}),
        ("seed", {"seed": "a"}),
        (r"search_space\['x'\]", {"search_space": {"x": (0, 1)}}),
    ],
)
def test_arguments_that_are_none_are_named_at_once(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=name):
        KnownCostSampler(**{"search_space": SPACE, "costs": costs, **options})


@pytest.mark.parametrize(("high", "step"), [(0.3, 0.1), (0.7, 0.1), (0.6, 0.2), (0.35, 0.05), (1.2, 0.4)])
def test_the_last_step_of_a_float_is_within_its_range(high: float, step: float) -> None:
    """3 * .1 is greater than .3: every value is asked for, and Optuna takes it."""
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0.0, high, step=step)}
    study = study_of(KnownCostSampler(space, lambda params: (1 + params["x"], None), pool=50))
    count = round(high / step) + 1
    study.optimize(lambda trial: (1 + trial.suggest_float("x", 0.0, high, step=step), 0.5), n_trials=count)
    found = sorted(trial.params["x"] for trial in study.trials)
    assert found == pytest.approx([step * n for n in range(count)]) and found[-1] == high


@pytest.mark.parametrize("error", [ValueError, optuna.TrialPruned])
def test_a_trial_that_ended_before_it_asked_for_all_takes_only_its_own_point(error: type[Exception]) -> None:
    """It asked for the better family alone, and failed or was pruned there; the rest of that family stays to be tried."""
    space: dict[str, BaseDistribution] = {
        "family": CategoricalDistribution(["a", "b"]),
        "width": IntDistribution(1, 40),
    }

    def better(trial: optuna.Trial) -> tuple[float, float]:
        family = trial.suggest_categorical("family", ["a", "b"])
        if trial.number == 7:
            raise error
        return float(width := trial.suggest_int("width", 1, 40)), 0.5 + 0.005 * width + (0.2 if family == "a" else 0.0)

    study = study_of(sampler := KnownCostSampler(space, lambda params: (float(params["width"]), None), pool=80))
    study.optimize(better, n_trials=30, catch=(ValueError,))
    later = [trial.params["family"] for trial in study.trials[8:]]
    assert later.count("a") > 0.8 * len(later)
    assert sampler._space_of(study).pool.count(study.trials[7].system_attrs["cspnas:proposed"]) == 1


def test_a_sampler_of_studies_with_other_directions_follows_each() -> None:
    """The same known objective minimised, then maximised: the one's cheapest is the other's worst."""
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}
    used = KnownCostSampler(space, lambda params: (params["x"], None), pool=100)
    means = []
    for direction in ("minimize", "maximize"):
        study = optuna.create_study(directions=[direction, "maximize"], sampler=used)
        study.optimize(lambda trial: (trial.suggest_float("x", 0, 1), 0.5), n_trials=12)
        means.append(np.mean([trial.params["x"] for trial in study.trials[6:]]))
    assert means[0] < 0.3
    assert means[1] > 0.7


def test_a_parameter_that_the_search_space_has_otherwise_is_named() -> None:
    study = study_of(KnownCostSampler(SPACE, costs, pool=60))
    with pytest.raises(
        InputError, match=r"'width' asked for as IntDistribution\(high=99,.*expected IntDistribution\(high=60"
    ):
        study.ask().suggest_int("width", 61, 99)


def test_a_parameter_on_log_scale_is_one_to_the_model() -> None:
    """Equal ratios are equally far apart."""
    space: dict[str, BaseDistribution] = {"rate": FloatDistribution(1e-6, 1, log=True)}
    known = KnownSpace(
        space,
        lambda params: (1.0, None),
        [optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE],
        50,
        0,
    )
    low, middle, high = known.points([{"rate": rate} for rate in (1e-6, 1e-3, 1.0)], [(1.0, None)] * 3).features[:, 0]
    assert high - middle == pytest.approx(middle - low)
