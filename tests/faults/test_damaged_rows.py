"""A study whose rows were edited or damaged: one line that names network and value, nothing written, no nonsense shown."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from commands import commands
from driven import SPACE, Run, Start

from cspnas.errors import StorageError
from cspnas.reports.summary import summarise
from cspnas.runners.protocol import Work
from cspnas.samplers.candidate_batches import parents
from cspnas.samplers.hyperparameters import KernelHyperparameters
from cspnas.searching.reuse import Other, finder
from cspnas.storage.open_study import load_study
from cspnas.study.evaluation_key import evaluation_key
from cspnas.study.results import StudyResults

TRAININGS = 9  # enough for a model, so that every reader of a damaged value is met


@dataclass
class Study:
    """A study of the cost-aware sampler, stopped; `digest` is its best network's, which is on the front."""

    run: Run
    digest: str

    def edit(self, statement: str, value: Any) -> None:
        """`:value` and `:digest` stand for themselves; text of the JSON columns is cast to what PostgreSQL has."""
        json_columns = ("document", "costs", "genotype", "note", "result")
        if self.run.database.shared and any(f"{name} = :value" in statement for name in json_columns):
            statement = statement.replace(":value", "CAST(:value AS JSON)")
        with self.run.database.transaction() as connection:
            connection.execute(sa.text(statement), {"value": value, "digest": self.digest})

    def line(self) -> str:
        """What the front and a search that goes on say."""
        said = set()
        for read in (lambda: summarise(load_study(self.run.database, None)), self._go):
            with pytest.raises(StorageError) as caught:
                read()
            said.add(str(caught.value))
            assert caught.value.exit_code == 2
        (line,) = said
        assert "\n" not in line and line.endswith("; restore it from a backup")
        assert f"network {self.digest[:12]}: the study database is damaged (" in line
        return line

    def _go(self) -> None:
        self.run.go(finishes=3)

    @property
    def results(self) -> StudyResults:
        return load_study(self.run.database, None).results


@pytest.fixture
def study(start: Start) -> Study:
    run = start(sampler="cost-aware", trials=40)
    driver, _, _ = run.go(finishes=TRAININGS)
    return Study(run, driver.results.front()[0].digest)


ACCURACY = "UPDATE cspnas_evaluations SET accuracy = :value WHERE digest = :digest"


@pytest.mark.parametrize(
    "value", [float("-inf"), float("inf"), float("nan"), 1e308, 2.0, -5.0, 1.0000001, None, "good"]
)
def test_an_accuracy_that_is_no_fraction_is_one_line(study: Study, value: Any) -> None:
    if value == "good" and study.run.database.shared:
        with pytest.raises(StorageError, match="cannot be used"):  # PostgreSQL does not hold it
            study.edit(ACCURACY, value)
        return
    study.edit(ACCURACY, value)
    line = study.line()
    assert "(evaluation " in line and "found accuracy " in line and "expected a number from 0 to 1)" in line


def test_accuracies_0_and_1_are_sound(study: Study) -> None:
    for value in (0.0, 1.0):
        study.edit(ACCURACY, value)
        assert study.results.networks[study.digest].accuracy == value


@pytest.mark.parametrize("state", ["failed", "in_flight", "ended"])
def test_an_accuracy_belongs_to_a_training_that_ended_well(study: Study, state: str) -> None:
    study.edit("UPDATE cspnas_evaluations SET state = :value WHERE digest = :digest", state)
    assert ("found accuracy" if state != "ended" else "found state 'ended'") in study.line()


@pytest.mark.parametrize(
    ("column", "value"),
    [("started", "yesterday"), ("started", 1e12), ("started", -1.0), ("finished", None), ("finished", 1e300),
     ("finished", float("inf")), ("seed", -1), ("attempt", "two"), ("failure_kind", "bored")],
)  # fmt: skip
def test_a_time_a_number_or_a_failure_that_is_none_is_one_line(study: Study, column: str, value: Any) -> None:
    statement = f"UPDATE cspnas_evaluations SET {column} = :value WHERE digest = :digest"
    if study.run.database.shared and isinstance(value, str) and column != "failure_kind":
        with pytest.raises(StorageError, match="cannot be used"):  # PostgreSQL does not hold it
            study.edit(statement, value)
        return
    study.edit(statement, value)
    assert f"found {'failure' if column == 'failure_kind' else column} " in study.line()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_json_that_is_nested_without_end_is_one_line(study: Study, text: str) -> None:
    if study.run.database.shared:
        with pytest.raises(StorageError, match="cannot be used"):  # PostgreSQL does not hold it
            study.edit("UPDATE cspnas_suggestions SET genotype = :value WHERE digest = :digest", text)
        return
    study.edit("UPDATE cspnas_suggestions SET genotype = :value WHERE digest = :digest", text)
    with pytest.raises(StorageError, match=r"cannot be used \(.*\); ") as caught:
        summarise(load_study(study.run.database, None))
    assert "\n" not in str(caught.value)


def test_a_result_of_another_study_that_no_search_can_have_recorded_is_not_reused(study: Study) -> None:
    """One line that names the row and the file it is in, which is not the one that is searched."""
    run = study.run
    other = Other(run.database, run.row)
    network = study.results.networks[study.digest]
    key = evaluation_key(run.study, "r" * 64, study.digest, 0)
    find = finder(other, ["accuracy"], None)
    found = find(key)
    assert found is not None and found["accuracy"] == network.evaluations[0].accuracy
    for column, value in (("accuracy", 2.0), ("result", '{"accuracy": 2.0}'), ("result", "[]")):
        study.edit(f"UPDATE cspnas_evaluations SET {column} = :value WHERE digest = :digest", value)
        with pytest.raises(
            StorageError, match=rf"network {study.digest[:12]}: .*evaluation \d+: found accuracy"
        ) as caught:
            find(key)
        assert run.database.shown_url in str(caught.value)


COSTS = "UPDATE cspnas_architectures SET costs = :value WHERE digest = :digest"


@pytest.mark.parametrize("value", ["many", None, [1], True, -1, 1e308, 10**400, float("nan"), float("inf")])
def test_a_cost_that_is_no_number_is_one_line(study: Study, value: Any) -> None:
    text = json.dumps({**study.results.networks[study.digest].costs, "params": value})
    if isinstance(value, float) and not np.isfinite(value) and study.run.database.shared:
        with pytest.raises(StorageError, match="cannot be used"):  # PostgreSQL does not hold it
            study.edit(COSTS, text)
        return
    study.edit(COSTS, text)
    assert "found params " in study.line() and "expected a number from 0 to" in study.line()


@pytest.mark.parametrize("name", ["flops", "params", "training_memory"])
def test_a_cost_that_is_missing_or_has_no_such_name_is_one_line(study: Study, name: str) -> None:
    costs = dict(study.results.networks[study.digest].costs)
    study.edit(COSTS, json.dumps({**costs, "price": 1}))
    assert "found a cost 'price', expected flops, params" in study.line()
    del costs[name]
    study.edit(COSTS, json.dumps(costs))
    assert f"found no cost '{name}', expected flops, params" in study.line()
    study.edit(COSTS, "[]")
    assert "found costs [], expected a mapping" in study.line()


def test_a_study_from_before_evenness_was_a_cost_goes_on_as_if_it_had_it(start: Start) -> None:
    """Oracle: the same search with the cost in its rows. Older studies have none; it is no objective here."""
    chosen = []
    for older in (False, True):
        run = start(sampler="cost-aware", trials=40)
        run.go(finishes=TRAININGS)
        for row in run.evaluations if older else ():
            costs = json.dumps({name: value for name, value in row["costs"].items() if name != "evenness"})
            Study(run, row["digest"]).edit(COSTS, costs)
        run.go(finishes=3)
        chosen.append([row["digest"] for row in run.suggestions])
    assert chosen[0] == chosen[1] and len(chosen[0]) >= TRAININGS + 3


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"stem": 1, "stages": "x"}', "drop stages"])
def test_a_document_that_is_none_of_an_architecture_is_one_line(study: Study, text: str) -> None:
    document = json.loads(json.dumps(study.results.networks[study.digest].document))
    if text == "drop stages":
        del document["stages"]
        text = json.dumps(document)
    study.edit("UPDATE cspnas_architectures SET document = :value WHERE digest = :digest", text)
    assert "(document that is none of an architecture: " in study.line()


GENOTYPE = "UPDATE cspnas_suggestions SET genotype = :value WHERE digest = :digest"


@pytest.mark.parametrize("text", ["[]", '["stage1.csp"]', "7", '"stage1"', "false"])
def test_a_genotype_that_is_no_mapping_is_one_line(study: Study, text: str) -> None:
    study.edit(GENOTYPE, text)
    assert "found genotype" in study.line() and "expected a mapping of genes to choices" in study.line()


@pytest.mark.parametrize(
    "genotype",
    [
        {"stage9.foo": 7},
        {},
        {"stage1.depth": "x"},
        {"stage1.depth": 10**9},
        {"stage1.depth": 1.0},
        {"stage1.csp": None},
        {"stage1.csp": 1, "stage1.depth": 1},
        {"stage1.split_ratio": [0.5]},
        {"stage1.growth_rate": float("nan")},
    ],
)
def test_a_genotype_that_is_none_of_the_space_is_no_parent_of_mutations(study: Study, genotype: dict[str, Any]) -> None:
    results = study.results
    assert study.digest in {network.digest for network in results.front()}
    results.genotypes[study.digest] = genotype
    assert study.digest not in parents(results, study.run.study)
    text = json.dumps(genotype)
    if "NaN" not in text:
        study.edit(GENOTYPE, text)
        _, _, handed = study.run.go(finishes=4)
        assert len(handed) == 4 and all(isinstance(work, Work) for work in handed)


def test_every_sound_genotype_of_the_front_is_a_parent_a_baseline_beyond_the_choices_too(start: Start) -> None:
    """The CSP baselines split where no gene of this space can."""
    run = start(SPACE.replace("[0.25, 0.5, 0.75]", "[0.25, 0.75]"), trials=40)
    run.go(finishes=20)
    results = load_study(run.database, None).results
    front = {network.digest for network in results.front()}
    assert set(parents(results, run.study)) == front
    baselines = [row["genotype"] for row in run.suggestions if row["source"] == "baseline:csp"]
    assert baselines and all(genotype["stage1.split_ratio"] == 0.5 for genotype in baselines)
    results.genotypes.update(dict.fromkeys(front, baselines[0]))
    assert set(parents(results, run.study)) == front


FITTED = {"theta": [-0.5, 1.0, -1.0], "rows": 8}


def test_hyperparameters_that_this_release_can_have_fitted_are_taken_over() -> None:
    for theta in ([-0.5, 1.0, -1.0], [np.log(1e-3), np.log(60), np.log(2)], [0, 1, 0]):
        surrogate = KernelHyperparameters()
        surrogate.load({"theta": [float(value) for value in theta], "rows": 8}, most=8)
        assert surrogate.fitted_rows == 8 and surrogate.dump()["theta"] == pytest.approx(list(theta))


@pytest.mark.parametrize(
    "damage",
    [
        {"theta": [None, 0, 0]},
        {"theta": ["0", "0", "0"]},
        {"theta": [[0], [0], [0]]},
        {"theta": [0.0, float("nan"), 0.0]},
        {"theta": [float("inf"), 1.0, 0.0]},
        {"theta": [0.0, 1000.0, 0.0]},
        {"theta": [0.0, 1.0, -1000.0]},
        {"theta": [0.0, 1.0, 10**400]},
        {"theta": [True, True, False]},
        {"theta": [0.0, 1.0]},
        {"theta": "abc"},
        {"theta": None},
        {"theta": 7},
        {"rows": "x"},
        {"rows": None},
        {"rows": 1e18},
        {"rows": 10**18},
        {"rows": float("nan")},
        {"rows": 0},
        {"rows": -5},
        {"rows": True},
        "text",
        [],
        None,
    ],
)
def test_hyperparameters_that_nobody_can_have_fitted_are_passed_over(damage: Any) -> None:
    surrogate = KernelHyperparameters()
    surrogate.load({**FITTED, **damage} if isinstance(damage, dict) else damage, most=100)
    assert surrogate.fitted_rows == 0


@pytest.mark.parametrize("state", [{"hyperparameters": {"theta": [None, 0, 0], "rows": 1e18}}, 7, ["hyperparameters"]])
def test_a_search_whose_hyperparameters_were_damaged_fits_them_anew_and_goes_on(study: Study, state: Any) -> None:
    sound = [row["number"] for row in study.run.suggestions if "hyperparameters" in str(row["note"])]
    assert sound
    study.edit("UPDATE cspnas_suggestions SET note = :value WHERE source = 'cost-aware'", json.dumps({"state": state}))
    study.run.go(finishes=1)
    fitted = [row["note"]["state"] for row in study.run.suggestions if row["number"] > max(sound) and row["note"]]
    assert any(isinstance(one, dict) and one["hyperparameters"]["rows"] == TRAININGS for one in fitted)


def kept(connection: sqlite3.Connection) -> list[str]:
    """All rows but those of drivers."""
    return [line for line in connection.iterdump() if "cspnas_drivers" not in line]


def test_the_commands_end_with_exit_code_2_in_one_line_and_change_nothing(tmp_path: Path) -> None:
    """The whole commands, the search twice: its budget is larger the second time. Only that it was started is written."""
    words = [
        "search",
        "tiny.yaml",
        "--device",
        "cpu",
        "--epochs",
        "1",
        "--set",
        "search.workers=1",
        "--sampler",
        "random",
    ]
    with commands(tmp_path) as start:
        first = start(*words, "--study", "s", "--trials", "3")
        first.communicate(180)
        assert first.returncode == 0
        (path,) = (tmp_path / "studies").glob("*.db")
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE cspnas_evaluations SET accuracy = 2.0 WHERE id = 2")
            before = kept(connection)
        connection.close()
        for command in ((*words, "--study", "s", "--trials", "9"), ("front", "s")):
            again = start(*command)
            _, error = again.communicate(180)
            assert again.returncode == 2, error
            assert "found accuracy 2.0, expected a number from 0 to 1); restore it from a backup" in error
            assert "studies/s.db" in error and "Traceback" not in error and len(error.strip().splitlines()) == 1
        with sqlite3.connect(path) as connection:
            assert kept(connection) == before
        connection.close()
