"""The study database and its lock: one writer, one truth, and Optuna's tables as a faithful projection of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from small_studies import driver_of, open_small, result_of, small_study

from cspnas.errors import CspnasError, InputError, StorageError
from cspnas.network.wiring import wire
from cspnas.objectives.objectives import exact_names
from cspnas.reports.summary import summarise
from cspnas.runners.protocol import Work
from cspnas.searching.driver import Driver
from cspnas.storage.database import Database
from cspnas.storage.load_results import load_results
from cspnas.storage.locks import StudyBusyError, StudyLock
from cspnas.storage.migrations import SCHEMA_VERSION
from cspnas.storage.open_study import load_study
from cspnas.storage.optuna_projection import Projection
from cspnas.storage.optuna_rows import add_trials
from cspnas.storage.study_creation import check_unchanged
from cspnas.storage.tables import evaluations_table, suggestions_table
from cspnas.storage.transactions import TakenOverError
from cspnas.study.evaluation import BegunEvaluation, end_of
from cspnas.study.states import State
from cspnas.study.suggestion import RecordedSuggestion

NewUrl = Callable[[], str]


def _one_line(error: CspnasError) -> str:
    """The message, which must be a single line that names the file."""
    assert error.exit_code == 2
    text = str(error)
    assert "\n" not in text and (".db" in text or "postgresql+psycopg://" in text)
    return text


# The file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"create": True}, {"read_only": True}], ids=["search", "read"])
def test_another_schema_version_is_refused_in_one_line(
    tmp_path: Path, new_url: NewUrl, options: dict[str, bool]
) -> None:
    database, _ = open_small(new_url(), small_study(tmp_path))
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE cspnas_schema SET version = 99"))
    database.close()
    with pytest.raises(InputError) as caught:
        Database(database.url, **options)
    text = _one_line(caught.value)
    assert "found schema version 99" in text and f"expected version {SCHEMA_VERSION}" in text


def test_a_database_of_something_else_is_refused_in_one_line(tmp_path: Path, new_url: NewUrl) -> None:
    url = new_url()
    url = new_url()
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("CREATE TABLE other (id INTEGER)"))
    with pytest.raises(InputError) as caught:
        Database(url, read_only=True)
    assert "without cspnas tables" in _one_line(caught.value)


@pytest.mark.parametrize("options", [{"create": True}, {"read_only": True}], ids=["search", "read"])
def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path, options: dict[str, bool]) -> None:
    path = tmp_path / "small.db"
    path.write_bytes(b"this is not a database at all. " * 200)
    with pytest.raises(StorageError) as caught:
        Database(f"sqlite:///{path}", **options)
    assert "restore it from a backup" in _one_line(caught.value)
    assert path.read_bytes().startswith(b"this is not")


def test_a_damaged_database_is_reported_in_one_line(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    database, row = open_small(f"sqlite:///{tmp_path / 'small.db'}", study)
    driver = driver_of(study, database, row)
    for _ in range(8):
        work = driver.suggest()
        assert isinstance(work, Work)
        driver.finish(work, result_of(work))
    with database.transaction() as connection:
        connection.execute(sa.text("SELECT 1"))
    with database.engine.connect() as connection:
        connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
    database.close()
    path = tmp_path / "small.db"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)  # the schema in the first page stays readable
    path.write_bytes(data)
    with pytest.raises(StorageError) as caught:
        Database(database.url, read_only=True).evaluations(row.id)
    assert "restore it from a backup" in _one_line(caught.value)


def test_damaged_json_is_reported_in_one_line(tmp_path: Path) -> None:
    database, _ = open_small(f"sqlite:///{tmp_path / 'small.db'}", small_study(tmp_path))
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE cspnas_studies SET facts = '{broken'"))
    with pytest.raises(StorageError) as caught:
        database.studies()
    _one_line(caught.value)


@pytest.mark.parametrize("damage", ["{broken", "", "1,2", "1],[2", None])
def test_a_value_that_is_no_json_is_found_among_sound_ones_and_sound_ones_are_read_as_they_were_written(
    damage: str | None, tmp_path: Path
) -> None:
    """Oracle: what was written, an SQL NULL among it; a column is parsed as a whole, and must not lose count."""
    url = f"sqlite:///{tmp_path / 'small.db'}"
    database, row = open_small(url, small_study(tmp_path))
    written = [{"a": [1, 2]}, {"state": {"params": {"ü": "],["}}}, None, {}]
    table = suggestions_table
    about = {"study_id": row.id, "source": "s", "outcome": "rejected", "genotype": {}}
    with database.transaction() as connection:
        connection.execute(table.insert(), [{**about, "number": n, "note": note} for n, note in enumerate(written)])
        connection.execute(sa.text("UPDATE cspnas_suggestions SET note = NULL WHERE number = 2"))
    assert [found.note for found in database.suggestions(row.id)] == written
    if damage is not None:
        with database.transaction() as connection:
            connection.execute(sa.text("UPDATE cspnas_suggestions SET note = :note WHERE number = 1"), {"note": damage})
        with pytest.raises(StorageError) as caught:
            database.suggestions(row.id)
        _one_line(caught.value)


@pytest.mark.parametrize("damage", ["{broken", "7", ""])
def test_a_document_is_read_as_it_was_written_and_a_damaged_one_is_one_line(damage: str, tmp_path: Path) -> None:
    """The results read a document when it is asked for. Oracle: the candidate that was suggested."""
    study = small_study(tmp_path)
    database, row = open_small(f"sqlite:///{tmp_path / 'small.db'}", study)
    driver = driver_of(study, database, row)
    work = driver.suggest()
    assert isinstance(work, Work)
    driver.finish(work, result_of(work))
    network = load_study(database, None).results.networks[work.digest]
    assert network.document == work.unit["architecture"] and wire(network.architecture).digest() == work.digest
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE cspnas_architectures SET document = :text"), {"text": damage})
    opened = load_study(database, None)
    with pytest.raises(StorageError, match=f"network {work.digest[:12]}: the study database is damaged") as caught:
        summarise(opened)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        Database(f"sqlite:///{tmp_path / 'nowhere' / 'small.db'}", create=True)
    assert "check that its folder exists" in _one_line(caught.value)


def test_an_evaluation_key_is_unique_and_a_refused_step_leaves_nothing(tmp_path: Path, new_url: NewUrl) -> None:
    study = small_study(tmp_path)
    database, row = open_small(new_url(), study)
    assert isinstance(driver_of(study, database, row).suggest(), Work)
    first = database.rows(sa.select(evaluations_table))[0]
    network = load_results(database, row).networks[first["digest"]]
    key = {name: first[name] for name in ("digest", "recipe_digest", "seed", "fidelity")}
    begun = BegunEvaluation(key, 0, 1, first["started"], None)
    suggestion = RecordedSuggestion(77, "random", {}, "training", first["digest"])
    with pytest.raises(StorageError, match="another program writes to this study"):
        database.record_suggestion(row.id, suggestion, (network, begun))
    assert [s.number for s in database.suggestions(row.id)] == [0]
    another = replace(begun, key={**key, "seed": key["seed"] + 1})
    assert database.record_suggestion(row.id, suggestion, (network, another)) > first["id"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("search.seed", 5),
        ("proxy.epochs", 9),
        ("stages.0.growth_rate", [2, 3]),
        ("objectives", ["accuracy", "params"]),
        ("deployment.batch", 4),
        ("deployment.order", "best"),
    ],
)
def test_a_changed_identity_is_refused_with_the_key_that_changed(
    tmp_path: Path, new_url: NewUrl, key: str, value: Any
) -> None:
    database, row = open_small(new_url(), small_study(tmp_path))
    stored = database.study("small")
    assert stored is not None
    check_unchanged(small_study(tmp_path, search__trials=99, search__sampler="tpe", search__workers=3), stored)
    with pytest.raises(InputError, match=rf"^study small: found {key} = .*expected .*--study") as caught:
        check_unchanged(small_study(tmp_path, **{key: value}), row)
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value)


# The lock ----------------------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from cspnas.storage.locks import StudyLock
lock = StudyLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_process_is_refused_with_the_pid_of_the_first_until_that_is_killed(tmp_path: Path) -> None:
    """The kernel frees the lock with the process: nothing has to be cleaned up or to run out."""
    path = tmp_path / "small.db"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        lock = StudyLock(path)
        for _ in range(2):  # a refusal does not spoil what the file says
            with pytest.raises(StudyBusyError, match=rf"already running .*\(pid {holder.pid} on ") as caught:
                lock.acquire()
            assert caught.value.exit_code == 2
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(5)
        start = time.monotonic()
        lock.acquire()
        assert time.monotonic() - start < 0.5
        with pytest.raises(StudyBusyError, match=rf"pid {os.getpid()} on "):
            StudyLock(path).acquire()
        lock.release()
        other = StudyLock(path)
        other.acquire()
        other.release()
    finally:
        holder.kill()
        holder.wait(5)
        assert holder.stdout is not None
        holder.stdout.close()


def test_a_search_whose_lock_file_was_deleted_ends_as_another_one_begins_and_both_leave_sound_rows(
    tmp_path: Path,
) -> None:
    """Whatever of its trainings ended meanwhile: the second one has taken them all over."""
    study = small_study(tmp_path)
    database, row = open_small(f"sqlite:///{tmp_path / 'small.db'}", study)
    first = driver_of(study, database, row)
    flight = [first.suggest() for _ in range(3)]
    first.finish(flight[0], result_of(flight[0]))
    other = Database(database.url, create=True)
    second = driver_of(study, other, row)
    seen = other.evaluations(row.id)
    for step in (lambda: first.finish(flight[1], result_of(flight[1])), first.suggest):
        with pytest.raises(TakenOverError) as caught:
            step()
        assert "found another search" in _one_line(caught.value)
    assert other.evaluations(row.id) == seen
    while isinstance(work := second.suggest(), Work):
        second.finish(work, result_of(work))
    rows = load_study(Database(database.url, read_only=True), None).results
    assert rows.in_flight == 0 and rows.trainings == rows.finished == study.trials


def test_a_training_that_has_a_result_is_never_begun_again_nor_given_another(tmp_path: Path, new_url: NewUrl) -> None:
    study = small_study(tmp_path)
    database, row = open_small(new_url(), study)
    driver = driver_of(study, database, row)
    work = driver.suggest()
    driver.finish(work, result_of(work))
    before = database.evaluations(row.id)
    for change in (
        lambda: database.restart(work.evaluation_id, 2, driver.driver_id),
        lambda: database.finish(work.evaluation_id, end_of({"accuracy": 0.1}, State.TRAINED), None),
    ):
        with pytest.raises(TakenOverError):
            change()
    assert database.evaluations(row.id) == before


# Optuna's tables ---------------------------------------------------------------------------------------------------

OTHER_ATTRIBUTES = ("digest", "source", "outcome", "failures", "trainings", "accuracies")
DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "csp": CategoricalDistribution((True, False)),
    "fusion": CategoricalDistribution(("first", "last", "both")),
    "ratio": CategoricalDistribution((0.25, 0.5)),
    "depth": IntDistribution(1, 9),
    "rate": FloatDistribution(1e-5, 1.0, log=True),
}


def _trials() -> list[FrozenTrial]:
    """Finished trials of all that a trial can hold: every kind of parameter, infinite and tiny values, odd attributes."""
    params: dict[str, Any] = {"csp": True, "fusion": "both", "ratio": 0.5, "depth": 3, "rate": 0.1}
    attributes = {"digest": 'é\u2028"', "failures": [], "none": None, "big": 2**60, "nested": {"a": [1.5, False]}}
    whole = create_trial(values=[0.1 + 0.2, 5e-324], params=params, distributions=DISTRIBUTIONS, user_attrs=attributes)
    infinite = create_trial(
        values=[float("inf"), float("-inf")],
        params={"csp": False},
        distributions={"csp": DISTRIBUTIONS["csp"]},
    )
    infinite.datetime_start = infinite.datetime_start and infinite.datetime_start - timedelta(days=150, seconds=1.25)
    return [
        whole,
        infinite,
        create_trial(state=TrialState.FAIL, user_attrs={"digest": "d"}),
        create_trial(values=[1, 2]),
    ]


def _optuna_study(url: str, name: str) -> optuna.Study:
    storage = RDBStorage(url)
    return optuna.create_study(storage=storage, study_name=name, directions=["maximize", "minimize"])


def _shown(value: Any) -> str:
    """To the last bit; rows of a server come in no order."""
    return repr(sorted(value.items()) if isinstance(value, dict) else value)


def test_a_trial_added_in_bulk_is_field_by_field_the_trial_that_optuna_adds(tmp_path: Path, new_url: NewUrl) -> None:
    url = new_url()
    theirs, ours = _optuna_study(url, "theirs"), _optuna_study(url, "ours")
    engine = sa.create_engine(url)
    for number, trial in enumerate(2 * _trials()):  # in turn, so that neither's ids are its numbers
        theirs.add_trial(trial)
        with engine.begin() as connection:
            (identifier,) = add_trials(connection, ours._study_id, [trial])
        fresh = RDBStorage(url)
        expected, found = fresh.get_all_trials(theirs._study_id)[-1], fresh.get_trial(identifier)
        assert found.number == expected.number == number
        for key, value in vars(expected).items():
            if key != "_trial_id":
                assert _shown(vars(found)[key]) == _shown(value), key
        assert found == optuna.load_study(study_name="ours", storage=fresh).trials[-1]
    with engine.connect() as connection:
        for table in ("trial_values", "trial_params", "trial_user_attributes", "trial_system_attributes"):
            counts = sa.text(f"SELECT count(*) FROM {table} JOIN trials USING (trial_id) WHERE study_id = :study")
            one, other = (connection.scalar(counts, {"study": study._study_id}) for study in (theirs, ours))
            assert one == other, table


def test_trials_added_at_once_have_the_numbers_that_follow_and_come_all_or_not_at_all(
    tmp_path: Path, new_url: NewUrl
) -> None:
    url = new_url()
    study = _optuna_study(url, "ours")
    study.add_trial(_trials()[0])
    engine = sa.create_engine(url)
    with pytest.raises(TypeError, match="not JSON"), engine.begin() as connection:
        add_trials(connection, study._study_id, [*_trials(), create_trial(values=[1, 2], user_attrs={"bad": object()})])
    assert len(study.trials) == 1
    with engine.begin() as connection:
        identifiers = add_trials(connection, study._study_id, _trials())
    study.add_trial(_trials()[0])
    assert [trial.number for trial in study.trials] == list(range(6))
    assert [trial._trial_id for trial in study.trials][1:5] == identifiers


def test_processes_that_add_trials_at_once_give_no_number_twice(tmp_path: Path, new_url: NewUrl) -> None:
    url = new_url()
    study = _optuna_study(url, "ours")

    def add(number: int) -> None:
        engine = sa.create_engine(url, connect_args={"timeout": 60} if url.startswith("sqlite") else {})
        for _ in range(10):
            if number:
                with engine.begin() as connection:
                    add_trials(connection, study._study_id, _trials()[:1])
            else:
                study.add_trial(_trials()[0])

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(add, range(3)))
    assert sorted(trial.number for trial in study.trials) == list(range(30))


def test_a_network_is_projected_by_a_handful_of_statements_and_written_in_one_transaction(
    tmp_path: Path, new_url: NewUrl
) -> None:
    """The rest look whether Optuna's study and the driver's claim are still there, and read queue and learning curves."""
    study = small_study(tmp_path)
    database, row = open_small(new_url(), study)
    driver = driver_of(study, database, row)
    projection = Projection(database, "small", study.space, driver.results)
    counts: list[tuple[int, int]] = []
    seen = Counter[str]()
    sa.event.listen(sa.engine.Engine, "before_cursor_execute", count := lambda *_: seen.update(["statement"]))
    sa.event.listen(sa.engine.Engine, "commit", committed := lambda *_: seen.update(["commit"]))
    try:
        while isinstance(work := driver.suggest(), Work):
            driver.finish(work, result_of(work))
            seen.clear()
            projection.update()
            counts.append((seen["statement"], seen["commit"]))
    finally:
        sa.event.remove(sa.engine.Engine, "before_cursor_execute", count)
        sa.event.remove(sa.engine.Engine, "commit", committed)
    assert len(counts) == 16
    assert max(statements for statements, _ in counts) <= (15 if database.shared else 13)
    # Of them 3 to take turns with other drivers.
    assert {commits for _, commits in counts} == {6 if database.shared else 4}


def _projected(folder: Path, url: str) -> tuple[Database, Driver, optuna.Study]:
    """A whole search with its projection brought up to date after every result, as a search does it."""
    study = small_study(folder)
    database, row = open_small(url, study)
    driver = driver_of(study, database, row)
    projection = Projection(database, "small", study.space, driver.results)
    while isinstance(work := driver.suggest(), Work):
        driver.finish(work, result_of(work))
        projection.update()
        states = {trial.state.name for trial in optuna.load_study(study_name="small", storage=database.url).trials}
        assert states <= {"COMPLETE", "FAIL"}
    return database, driver, optuna.load_study(study_name="small", storage=database.url)


def test_optunas_best_trials_are_our_front_after_confirmations(tmp_path: Path, new_url: NewUrl) -> None:
    _, driver, seen = _projected(tmp_path, new_url())
    assert driver.results.confirmations == 4
    ours = {network.digest: network for network in driver.results.front()}
    best = {trial.user_attrs["digest"]: trial for trial in seen.best_trials}
    assert best.keys() == ours.keys() and any(len(network.accuracies) > 1 for network in ours.values())
    for digest, trial in best.items():
        costs = ours[digest].costs
        assert trial.values == [pytest.approx(ours[digest].accuracy), costs["flops"], costs["peak_memory"]]
        assert trial.user_attrs["trainings"] == len(ours[digest].evaluations)
        assert trial.user_attrs["accuracies"] == ours[digest].accuracies
        assert {
            name: trial.user_attrs[name] for name in exact_names()
        } == costs  # one attribute each, and no other of costs
        assert trial.user_attrs.keys() == {*exact_names(), *OTHER_ATTRIBUTES}
    assert seen.metric_names == ["accuracy", "flops", "peak_memory"]


def test_every_network_is_one_optuna_trial_that_is_never_running(tmp_path: Path, new_url: NewUrl) -> None:
    database, driver, seen = _projected(tmp_path, new_url())
    assert sorted(trial.user_attrs["digest"] for trial in seen.trials) == sorted(driver.results.networks)
    failed = {trial.user_attrs["digest"] for trial in seen.trials if trial.state.name == "FAIL"}
    assert failed == {n.digest for n in driver.results.networks.values() if not n.accuracies}
    rows = {row["digest"]: row for row in database.evaluations(driver.study_id) if row["repeat"] == 0}
    for trial in seen.trials:
        row = rows[trial.user_attrs["digest"]]
        assert trial.datetime_start == datetime.fromtimestamp(row["started"])
        assert trial.datetime_complete == datetime.fromtimestamp(row["finished"])
    with database.engine.connect() as connection:
        states = connection.execute(sa.text("SELECT DISTINCT state FROM trials")).scalars().all()
    assert "RUNNING" not in states and "COMPLETE" in states


def test_a_projection_made_late_or_twice_is_the_same(tmp_path: Path, new_url: NewUrl) -> None:
    """What a crash between our commit and Optuna's kept out is added at the next start, and nothing comes twice."""
    study = small_study(tmp_path)
    database, row = open_small(new_url(), study)
    driver = driver_of(study, database, row)
    while isinstance(work := driver.suggest(), Work):
        driver.finish(work, result_of(work))
    for _ in range(2):
        Projection(database, "small", study.space, driver.results).update()
        seen = optuna.load_study(study_name="small", storage=database.url)
        assert len(seen.trials) == len(driver.results.networks)
        assert {t.user_attrs["digest"] for t in seen.best_trials} == {n.digest for n in driver.results.front()}
