"""Optuna's trials as the version before made them: every gene a category, no learning curve. The next search mends them."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, distribution_to_json
from optuna.importance import get_param_importances
from optuna.storages import RDBStorage
from small_studies import driven, driver_of, result_of, small_study

from cspnas.errors import StorageError
from cspnas.runners.protocol import Work
from cspnas.storage.database import Database
from cspnas.storage.optuna_projection import Projection
from cspnas.storage.optuna_rows import INTERMEDIATE, PARAMS
from cspnas.study.settings import Study

NewUrl = Callable[[], str]
Rows = dict[str, list[tuple[Any, ...]]]


def project(database: Database, study: Study) -> None:
    """As a search does when it begins."""
    row = database.study("small")
    assert row is not None
    Projection(database, "small", study.space, driver_of(study, database, row).results).update()


def make_old(database: Database, study: Study, keep: int = 0) -> None:
    """Write all parameters but those of the first `keep` trials as categories, and delete the curves of the same trials."""
    choices = {gene.name: gene.choices for gene in study.space.genes()}
    with database.transaction() as connection:
        connection.execute(sa.delete(INTERMEDIATE).where(INTERMEDIATE.c.trial_id > keep))
        for row in connection.execute(sa.select(PARAMS).where(PARAMS.c.trial_id > keep)).all():
            if not isinstance(choices[row.param_name][0], bool | str):
                index, text = (
                    choices[row.param_name].index(row.param_value),
                    distribution_to_json(CategoricalDistribution(choices[row.param_name])),
                )
                changed = sa.update(PARAMS).where(PARAMS.c.param_id == row.param_id)
                connection.execute(changed.values(param_value=index, distribution_json=text))


def rows(database: Database) -> Rows:
    """What Optuna's tables say of parameters and curves, without the ids of rows."""
    with database.transaction() as connection:
        params = connection.execute(
            sa.select(PARAMS.c.trial_id, PARAMS.c.param_name, PARAMS.c.param_value, PARAMS.c.distribution_json)
        ).all()
        values = connection.execute(
            sa.select(INTERMEDIATE.c.trial_id, INTERMEDIATE.c.step, INTERMEDIATE.c.intermediate_value)
        ).all()
    return {"params": sorted(map(tuple, params)), "values": sorted(map(tuple, values))}


def finished(url: str, study: Study) -> tuple[Database, Rows]:
    """A whole search, and its trials in the new form."""
    database, _ = driven(url, study)
    project(database, study)
    return database, rows(database)


@pytest.mark.parametrize("keep", [0, 3], ids=["all", "some by this version"])
def test_they_become_what_this_version_would_have_made_and_stay_so(tmp_path: Path, new_url: NewUrl, keep: int) -> None:
    study = small_study(tmp_path)
    database, expected = finished(new_url(), study)
    assert expected["values"] and any("IntDistribution" in row[3] for row in expected["params"])
    make_old(database, study, keep)
    assert rows(database) != expected
    for _ in range(2):
        project(database, study)
        assert rows(database) == expected
    database.close()


def test_optuna_then_takes_each_numeric_gene_for_one_parameter_of_all_trials(tmp_path: Path) -> None:
    """With two kinds in one study it has no such parameter, and so neither an importance nor a plot of it."""
    study = small_study(tmp_path)
    database, _ = finished(f"sqlite:///{tmp_path / 'small.db'}", study)
    make_old(database, study, keep=3)
    seen = optuna.load_study(study_name="small", storage=RDBStorage(database.url))
    genes = {"stage1.growth_rate", "stage1.depth"}
    assert not genes & optuna.search_space.intersection_search_space(seen.trials).keys()
    project(database, study)
    seen = optuna.load_study(study_name="small", storage=RDBStorage(database.url))
    assert genes <= optuna.search_space.intersection_search_space(seen.trials).keys()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna on the least value as the target; here any will do
        assert genes <= get_param_importances(seen, target=lambda trial: trial.values[0]).keys()
    figure = optuna.visualization.plot_slice(seen, target=lambda trial: trial.values[0], target_name="accuracy")
    axes = {axis.title.text: axis.type for axis in figure.select_xaxes()}
    assert {name: axes[name] for name in genes} == dict.fromkeys(genes)  # no axis of categories
    database.close()


KILLED = """
import sys
from small_studies import small_study, driver_of
from pathlib import Path
from cspnas.io import failpoints
from cspnas.storage.database import Database
from cspnas.storage.optuna_projection import Projection
database = Database(sys.argv[2], create=True)
study = small_study(Path(sys.argv[1]))
results = driver_of(study, database, database.study("small")).results
failpoints.arm(f"commit.before@{sys.argv[3]}")
Projection(database, "small", study.space, results).update()
"""


def test_a_search_killed_meanwhile_leaves_all_as_it_was_or_all_changed(tmp_path: Path) -> None:
    """At every commit that there is, one after the other; the next search ends it."""
    study = small_study(tmp_path)
    database, expected = finished(f"sqlite:///{tmp_path / 'small.db'}", study)
    make_old(database, study)
    before = rows(database)
    killed = 0
    for number in range(1, 20):
        words = [sys.executable, "-c", KILLED, str(tmp_path), database.url, str(number)]
        run = subprocess.run(
            words, cwd=Path(__file__).parents[1] / "support", capture_output=True, text=True, check=False
        )
        if rows(database) == expected:
            break
        assert run.returncode == -signal.SIGKILL, run.stderr
        assert rows(database) == before
        killed += 1
    assert killed >= 3 and rows(database) == expected
    database.close()


def test_a_parameter_that_is_none_of_its_choices_is_one_line(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    database, _ = finished(f"sqlite:///{tmp_path / 'small.db'}", study)
    make_old(database, study)
    with database.transaction() as connection:
        of_one = PARAMS.c.param_name == "stage1.growth_rate"
        connection.execute(sa.update(PARAMS).where(of_one, PARAMS.c.trial_id == 1).values(param_value=9.0))
    before = rows(database)
    with pytest.raises(StorageError, match="the study is damaged") as caught:
        project(database, study)
    assert "\n" not in str(caught.value) and rows(database) == before
    database.close()


@pytest.mark.parametrize(
    "curve", ["7", "[]", "[1]", '[{"loss": 1}]', '[{"accuracy": "high"}]', '{"accuracy": 1}', "null"]
)
def test_what_is_no_curve_is_not_shown_and_hinders_nothing(tmp_path: Path, curve: str) -> None:
    study = small_study(tmp_path)
    database, driver = driven(f"sqlite:///{tmp_path / 'small.db'}", study, trainings=6)
    with database.transaction() as connection:
        connection.execute(
            sa.text("UPDATE cspnas_evaluations SET result = json_set(result, '$.curve', json(:curve)) WHERE id = 1"),
            {"curve": curve},
        )
    project(database, study)
    seen = optuna.load_study(study_name="small", storage=RDBStorage(database.url)).trials
    without = {trial.user_attrs["digest"] for trial in seen if trial.values and not trial.intermediate_values}
    assert without == {driver.results.networks[row["digest"]].digest for row in database.evaluations(1)[:1]}
    database.close()


def test_a_study_of_the_version_before_goes_on_with_numbers_and_curves(tmp_path: Path) -> None:
    """A file that version wrote, with a curve put into each of its results."""
    path = tmp_path / "small.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((Path(__file__).parents[1] / "golden" / "study_version1.sql").read_text())
        curve = json.dumps([{"loss": 1.0, "accuracy": 0.25, "seconds": 1.0}])
        connection.execute("UPDATE cspnas_evaluations SET result = json_set(result, '$.curve', json(?))", (curve,))
    connection.close()
    old = optuna.load_study(study_name="small", storage=f"sqlite:///{path}").trials
    database, study = Database(f"sqlite:///{path}", create=True), small_study(tmp_path)
    row = database.study("small")
    assert row is not None
    driver = driver_of(study, database, row)
    projection = Projection(database, "small", study.space, driver.results)
    while isinstance(work := driver.suggest(), Work):
        driver.finish(work, result_of(work))
        projection.update()
    trials = optuna.load_study(study_name="small", storage=RDBStorage(database.url)).trials
    for before, now in zip(old, trials, strict=False):
        assert (now.number, now.user_attrs["digest"]) == (before.number, before.user_attrs["digest"])
        assert now.params == before.params and isinstance(now.params["stage1.growth_rate"], int)
    kinds = {(name, type(d).__name__) for trial in trials for name, d in trial.distributions.items()}
    assert {kind for name, kind in kinds if name.endswith((".growth_rate", ".depth"))} == {"IntDistribution"}
    assert all(trial.intermediate_values for trial in trials if trial.values)
    database.close()
