"""One number for one network: trial 9 of the dashboard is what `cspnas export --trial 9` writes and `cspnas front` shows."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
import yaml
from commands import commands
from driven import Run, Start, failing, train
from optuna.storages import RDBStorage
from searches import PATIENCE

from cspnas.errors import InputError, StorageError
from cspnas.export.choice import Choice, chosen
from cspnas.reports.front_plot import front_page
from cspnas.reports.summary import members, summarise
from cspnas.runners.protocol import Work
from cspnas.storage.copy_study import copy_study
from cspnas.storage.database import Database
from cspnas.storage.locations import StudyLocation
from cspnas.storage.open_study import OpenStudy, load_study
from cspnas.storage.optuna_projection import Projection
from cspnas.storage.tables import studies_table
from cspnas.storage.trial_numbers import trial_numbers

FACTS = {
    "precision": "float32",
    "space": "small",
    "data": {"dataset": "d", "checksum": "c", "mean": [0.5], "std": [0.5], "class_names": ["a", "b"]},
}
NewUrl = Callable[[], str]


def result(work: Work) -> dict[str, Any]:
    """One network in three diverges; what does not has a curve of two epochs."""
    found = failing("diverged", lambda work: int(work.digest, 16) % 3 == 0)(work)
    if found["failure"] is None:
        halves = (0.5 * found["accuracy"], found["accuracy"])
        found["curve"] = [{"loss": 1.0, "accuracy": accuracy, "seconds": 0.1} for accuracy in halves]
    return found


def drive(run: Run, order: random.Random, finishes: int = 10**9) -> Projection:
    """Three workers whose trainings end in any order; Optuna's tables follow each, as in a search."""
    driver = run.driver()
    shown = Projection(run.database, "small", run.study.space, driver.results)
    flight: list[Work] = []
    while finishes:
        while len(flight) < 3 and isinstance(work := driver.suggest(), Work):
            flight.append(work)
        if not flight:
            break
        work = flight.pop(order.randrange(len(flight)))
        finishes -= driver.finish(work, result(work)) or 0
        shown.update()
        assert driver.results.trials[work.digest] == of_optuna(run.database.url)[work.digest]  # as its line says
    return shown


def of_optuna(url: str, name: str = "small") -> dict[str, int]:
    """Digest to number, as Optuna itself says."""
    trials = optuna.load_study(study_name=name, storage=RDBStorage(url)).trials
    return {trial.user_attrs["digest"]: trial.number for trial in trials if "digest" in trial.user_attrs}


def opened(run: Run) -> OpenStudy:
    return load_study(run.database, "small")


@pytest.fixture
def finished(start: Start, rng: random.Random) -> Run:
    """A study of 16 trainings, some failed and some confirmations."""
    run = start()
    drive(run, rng)
    return run


def test_every_number_is_that_of_optunas_trial_wherever_it_is_read(finished: Run) -> None:
    numbers = of_optuna(finished.database.url)
    assert sorted(numbers.values()) == list(range(len(numbers)))
    study = opened(finished)
    assert study.results.trials == numbers and study.results.confirmations > 0 and study.results.failed > 0
    assert list(numbers) != sorted(numbers, key=lambda digest: study.results.networks[digest].evaluations[0].id)
    summary = summarise(study)
    rows = [*summary.front, *summary.baselines["plain"], *summary.baselines["csp"], *summary.failures]
    assert rows and all(row.trial == numbers[row.digest] for row in rows)
    page = front_page(summary, members(study))
    assert all(f"trial {row.trial}, network {row.digest[:12]}" in page for row in summary.front)
    for network in study.results.measured():
        assert chosen(study, Choice(trial=numbers[network.digest])) is network


def test_a_trial_that_failed_is_not_there_or_is_not_known_yet_is_refused_in_one_line(start: Start) -> None:
    run = start()
    drive(run, random.Random(0), finishes=9)
    study = opened(run)
    failed = next(network for network in study.results.networks.values() if not network.accuracies)
    number = study.results.trials[failed.digest]
    for choice in (Choice(trial=number), Choice(digest=failed.digest[:10])):
        with pytest.raises(
            InputError, match=r"which failed \(diverged\), expected a network with an accuracy"
        ) as caught:
            chosen(study, choice)
        assert "front STUDY --failed" in str(caught.value)
    last = len(study.results.trials) - 1
    for other in (last + 1, -1):
        with pytest.raises(InputError, match=f"--trial: found trial {other}, expected 0 to {last}; see cspnas front"):
            chosen(study, Choice(trial=other))
    again = run.driver()  # one more is committed, and the search is killed before Optuna's tables have it
    while not isinstance(work := again.suggest(), Work) or work.digest in study.results.trials:
        assert isinstance(work, Work)
        again.finish(work, train(work))
    again.finish(work, train(work))
    study = opened(run)
    rows = [row for row in summarise(study).front if row.digest == work.digest]
    assert all(row.trial is None for row in rows)
    with pytest.raises(InputError, match=f"expected 0 to {last}; 1 network has no number .*--digest finds it now"):
        chosen(study, Choice(trial=last + 1))
    assert chosen(study, Choice(digest=work.digest[:12])).digest == work.digest
    Projection(run.database, "small", run.study.space, again.results).update()
    assert chosen(opened(run), Choice(trial=last + 1)).digest == work.digest


def test_a_network_in_training_and_a_study_without_trials_are_said_to_be_so(start: Start) -> None:
    run = start()
    work = run.driver().suggest()
    assert isinstance(work, Work)
    assert trial_numbers(run.database, "small") == {}  # Optuna's tables are not there
    with pytest.raises(InputError, match="found trial 0, expected a trial of this study, which has none yet"):
        chosen(opened(run), Choice(trial=0))
    with pytest.raises(InputError, match="which is still in training"):
        chosen(opened(run), Choice(digest=work.digest))


def test_a_digest_is_found_by_its_beginning_and_one_that_several_have_lists_them(finished: Run) -> None:
    study = opened(finished)
    networks = study.results.networks
    for network in study.results.measured():
        assert chosen(study, Choice(digest=network.digest[:8].upper())) is network
    one, other = study.results.measured()[:2]
    one.digest, other.digest = "abcd1" + one.digest[5:], "abcd2" + other.digest[5:]
    study.results.networks = {network.digest: network for network in networks.values()}
    with pytest.raises(InputError, match="found 2 networks that begin with abcd: ") as caught:
        chosen(study, Choice(digest="abcd"))
    assert {one.digest[:12], other.digest[:12]} <= set(re.findall(r"[0-9a-f]{12}", str(caught.value)))
    assert chosen(study, Choice(digest="abcd2")) is other


@pytest.mark.parametrize("digest", ["abc", "xyzt", "", "a" * 65])
def test_what_is_no_beginning_of_a_digest_is_refused(digest: str) -> None:
    with pytest.raises(InputError, match=r"--digest: found .* expected 4 to 64 hexadecimal digits"):
        Choice(digest=digest)


def test_two_choices_at_once_are_refused() -> None:
    given: list[dict[str, Any]] = [
        {"trial": 1, "digest": "abcd"},
        {"trial": 0, "pick": "knee"},
        {"digest": "abcd", "where": ("flops<=1M",)},
    ]
    for words in given:
        with pytest.raises(
            InputError, match="expected --trial, --digest, or --pick with --where; leave out all but one"
        ):
            Choice(**words)
    Choice(pick="knee", where=("flops<=1M",))


def test_a_study_deleted_in_the_dashboard_has_its_numbers_again(finished: Run) -> None:
    """Whatever order its trainings ended in."""
    numbers = of_optuna(finished.database.url)
    optuna.delete_study(study_name="small", storage=RDBStorage(finished.database.url))
    assert opened(finished).results.trials == {}
    Projection(finished.database, "small", finished.study.space, finished.driver().results).update()
    assert of_optuna(finished.database.url) == numbers == opened(finished).results.trials


def test_a_copy_has_the_numbers_of_the_original_even_where_these_leave_some_out(
    finished: Run, new_url: NewUrl, rng: random.Random
) -> None:
    """Trials that somebody else added are not copied; the next network's number follows the greatest."""
    storage = RDBStorage(finished.database.url)
    optuna.load_study(study_name="small", storage=storage).enqueue_trial({})
    finished.study = replace(finished.study, trials=20)
    drive(finished, rng)
    numbers, target = of_optuna(finished.database.url), new_url()
    assert sorted(numbers.values()) != list(range(len(numbers)))
    copy_study(StudyLocation(finished.database.url, "small"), StudyLocation(target, "copied"))
    assert of_optuna(target, "copied") == numbers
    database = Database(target, read_only=True)
    assert load_study(database, "copied").results.trials == numbers
    database.close()


@contextmanager
def dashboard(folder: Path, study: str) -> Iterator[dict[str, Any]]:
    """What the interface of `cspnas dashboard` says of the study."""
    command = [sys.executable, "-m", "cspnas", "dashboard", study, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[0].replace("/dashboard/studies/", "/api/studies/")
            with urllib.request.urlopen(f"{address}?after=0", timeout=60) as answer:
                yield json.load(answer)
        finally:
            process.terminate()


@pytest.mark.parametrize("sampler", ["nsga2", "cost-aware"])
@pytest.mark.parametrize("new_url", ["sqlite"], indirect=True)
def test_trial_n_of_the_dashboard_is_what_export_trial_n_writes(
    sampler: str, start: Start, rng: random.Random, tmp_path: Path
) -> None:
    """With its numeric genes as numbers, and the mean learning curve of its seeds."""
    run = start(sampler=sampler)
    with run.database.transaction() as connection:
        connection.execute(sa.update(studies_table).values(facts={**run.row.facts.values, **FACTS}))
    drive(run, rng)
    study = opened(run)
    assert study.results.confirmations > 0 and study.results.failed > 0
    with dashboard(tmp_path, str(run.database.path)) as detail, commands(tmp_path) as make:
        for trial in detail["trials"]:
            number = trial["number"]
            command = make("export", str(run.database.path), "--trial", str(number), "-o", f"{number}.yaml")
            _, err = command.communicate(PATIENCE)
            digest = next(a["value"] for a in trial["user_attrs"] if a["key"] == "digest")
            network = study.results.networks[digest]
            assert command.returncode == (0 if network.accuracies else 2), err
            if not network.accuracies:
                assert trial["state"] == "Fail" and err.count("\n") == 1 and "diverged" in err
                continue
            written = yaml.safe_load((tmp_path / f"{number}.yaml").read_text())
            assert (written["digest"], written["made_by"]["trial"]) == (digest, number)
            assert trial["values"][0] == pytest.approx(network.accuracy)
            curve = [(value["step"], value["value"]) for value in trial["intermediate_values"]]
            assert curve == [(1, pytest.approx(network.accuracy / 2)), (2, pytest.approx(network.accuracy))]
            check_params({param["name"]: param for param in trial["params"]}, study.results.genotypes[digest])
        assert {trial["number"] for trial in detail["trials"]} == set(study.results.trials.values())
        plots = {plot["id"]: json.loads(plot["graph_object"]) for plot in detail["plotly_graph_objects"]}
    curves = {trace["name"]: trace for trace in plots["learning-curves"]["data"]}
    front = {study.results.trials[network.digest]: network for network in study.results.front()}
    assert curves.keys() == {"other trials", *(f"trial {number}" for number in front)}
    for number, network in front.items():
        assert curves[f"trial {number}"]["y"] == [pytest.approx(100 * network.accuracy * share) for share in (0.5, 1)]


def check_params(params: dict[str, Any], genotype: dict[str, Any]) -> None:
    """Depth and growth rate are integers over their range, split ratios are fractions, booleans stay categories."""
    kinds = {
        "depth": ("IntDistribution", 1, 3),
        "growth_rate": ("IntDistribution", 2, 6),
        "split_ratio": ("FloatDistribution", 0.25, 0.75),
    }
    assert params
    for name, param in params.items():
        found = param["distribution"]
        field = name.partition(".")[2]
        if field in kinds:
            assert (found["type"], found["low"], found["high"]) == kinds[field]
            assert param["param_internal_value"] == genotype[name] == float(param["param_external_value"])
        else:
            assert found["type"] == "CategoricalDistribution" and param["param_external_value"] == str(genotype[name])


@pytest.mark.parametrize("done", ["deleted", "renamed", "replaced", "replaced by a like one"])
def test_trials_are_made_anew_with_their_numbers_where_somebody_took_optunas_study_away(
    start: Start, done: str
) -> None:
    """In the dashboard, while the search goes on."""
    run = start(trials=12)
    driver = run.driver()
    shown = Projection(run.database, "small", run.study.space, driver.results)
    flight = [driver.suggest() for _ in range(2)]
    for _ in range(5):
        driver.finish(flight[-1], result(flight.pop()))
        shown.update()
        flight.append(driver.suggest())
    before = of_optuna(run.database.url)
    storage = RDBStorage(run.database.url)
    if done != "renamed":
        optuna.delete_study(study_name="small", storage=storage)
        directions = ["minimize"] if done == "replaced" else ["maximize", "minimize", "minimize"]
        if done != "deleted":
            theirs = optuna.create_study(storage=storage, study_name="small", directions=directions)
            theirs.add_trial(optuna.trial.create_trial(values=[1.0] * len(directions)))
    else:
        optuna.copy_study(from_study_name="small", from_storage=storage, to_storage=storage, to_study_name="other")
        optuna.delete_study(study_name="small", storage=storage)
    driver.finish(flight[0], result(flight[0]))
    shown.update()
    after = of_optuna(run.database.url)
    assert len(before) == 5 and len(after) == 6
    assert driver.results.trials == after
    if done == "replaced by a like one":
        # It is ours to fill, and its own trial keeps its number.
        return
    assert before.items() <= after.items()
    if done == "replaced":
        (other,) = set(optuna.get_all_study_names(RDBStorage(run.database.url))) - {"small"}
        assert other.startswith("small (not cspnas ")
        assert optuna.load_study(study_name=other, storage=RDBStorage(run.database.url)).trials[0].values == [1.0]


def test_rows_of_optunas_that_make_no_sense_are_one_line_and_the_next_start_goes_on(start: Start) -> None:
    run = start(trials=12)
    driver = run.driver()
    shown = Projection(run.database, "small", run.study.space, driver.results)
    trained = [driver.suggest() for _ in range(2)]
    driver.finish(trained[0], result(trained[0]))
    shown.update()
    rows = "trial_user_attributes SET value_json = '{}' WHERE key = 'trainings'"
    with run.database.transaction() as connection:
        connection.execute(sa.text(f"UPDATE {rows.format('[1]')}"))
        connection.execute(sa.text("UPDATE trials SET state = 'RUNNING'"))
    driver.finish(trained[1], result(trained[1]))
    driver.results.changed.append(trained[0].digest)
    with pytest.raises(StorageError, match="Optuna's tables cannot be written"):
        shown.update()
    with run.database.transaction() as connection:
        connection.execute(sa.text(f"UPDATE {rows.format('1')}"))
        connection.execute(sa.text("UPDATE trials SET state = 'COMPLETE'"))
    Projection(run.database, "small", run.study.space, driver.results).update()
    assert len(of_optuna(run.database.url)) == 2
