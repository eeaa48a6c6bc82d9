"""A study of the tables' first version: a file that the release before this one wrote (`golden/study_version1.sql`)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
import pytest
import sqlalchemy as sa
from small_studies import driver_of, open_small, result_of, small_study

from cspnas.errors import StorageError
from cspnas.export.architecture_yaml import take_away
from cspnas.reports.summary import summarise
from cspnas.runners.protocol import Work
from cspnas.storage.database import Database
from cspnas.storage.locations import StudyLocation
from cspnas.storage.migrations import SCHEMA_VERSION, NoTablesError
from cspnas.storage.open_study import load_study
from cspnas.storage.optuna_projection import Projection
from cspnas.storage.study_creation import known_row, opened
from cspnas.storage.tables import metadata
from cspnas.study.study_record import StudyFacts


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """Five trainings and one under way."""
    path = tmp_path / "small.db"
    with sqlite3.connect(path) as connection:
        connection.executescript((Path(__file__).parents[1] / "golden" / "study_version1.sql").read_text())
    connection.close()
    return path


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT version FROM cspnas_schema").fetchone()
    connection.close()
    return int(found)


def test_an_earlier_study_is_read_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    database = Database(f"sqlite:///{old}", read_only=True)
    summary = summarise(load_study(database, "small"))
    database.close()
    assert summary.trainings == 5 and summary.in_flight == 1
    assert version(old) == 1 and old.read_bytes() == before


@pytest.mark.parametrize("cut_short", [False, True], ids=["whole", "cut short once"])
def test_a_search_brings_it_up_to_date_and_goes_on(old: Path, tmp_path: Path, cut_short: bool) -> None:
    """All rows stay; every column, table and index is there that a new database has."""
    if cut_short:
        connection = sqlite3.connect(old)
        connection.execute("ALTER TABLE cspnas_drivers ADD COLUMN beat FLOAT")
        connection.close()
    connection = sqlite3.connect(old)
    rows = connection.execute(
        "SELECT id, digest, seed, accuracy FROM cspnas_evaluations WHERE accuracy IS NOT NULL"
    ).fetchall()
    connection.close()
    database = Database(f"sqlite:///{old}", create=True)
    assert version(old) == SCHEMA_VERSION
    inspector = sa.inspect(database.engine)
    for name, table in metadata.tables.items():
        assert {column["name"] for column in inspector.get_columns(name)} == {column.name for column in table.columns}
        assert {index.name for index in table.indexes} <= {index["name"] for index in inspector.get_indexes(name)}
    study, row = small_study(tmp_path), database.study("small")
    assert row is not None
    driver = driver_of(study, database, row)
    projection = Projection(database, "small", study.space, driver.results)
    while isinstance(work := driver.suggest(), Work):
        driver.finish(work, result_of(work))
        projection.update()
    assert driver.results.finished == 16 and not driver.results.in_flight
    after = {(r["id"], r["digest"], r["seed"], r["accuracy"]) for r in database.evaluations(row.id)}
    assert set(rows) <= after and len(rows) >= 3
    trials = optuna.load_study(study_name="small", storage=database.url).trials
    assert len(trials) == len(driver.results.networks)
    database.close()


@pytest.mark.parametrize("made", range(4))
def test_a_search_killed_as_it_made_its_tables_is_no_obstacle_to_the_next(tmp_path: Path, made: int) -> None:
    """SQLite makes each table at once and the version comes last: some tables, or all without a version."""
    path = tmp_path / "small.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine, tables=metadata.sorted_tables[: made * 3])
    engine.dispose()
    study, place = small_study(tmp_path), StudyLocation(f"sqlite:///{path}", "small")
    with pytest.raises(NoTablesError):
        Database(place.url, read_only=True)
    assert known_row(study, place) is None
    with opened(study, place, StudyFacts({})) as (database, row):
        assert row.name == "small" and database.studies() == [row]
    assert version(path) == SCHEMA_VERSION


def test_what_an_earlier_study_does_not_say_is_one_line_when_a_network_is_exported(old: Path) -> None:
    study = load_study(Database(f"sqlite:///{old}", read_only=True), "small")
    with pytest.raises(StorageError, match="precision"):
        take_away(study, study.results.measured()[0])


@pytest.mark.parametrize("options", [{"create": True}, {"read_only": True}], ids=["search", "read"])
@pytest.mark.parametrize("table", ["cspnas_evaluations", "cspnas_studies", "cspnas_late_results"])
def test_a_table_that_is_gone_is_one_line_and_never_made_anew(
    tmp_path: Path, table: str, options: dict[str, bool]
) -> None:
    """A search would begin the study from the start without a word."""
    database, _ = open_small(f"sqlite:///{tmp_path / 'small.db'}", small_study(tmp_path))
    database.close()
    with sqlite3.connect(tmp_path / "small.db") as connection:
        connection.execute(f"DROP TABLE {table}")
    connection.close()
    for _ in range(2):
        with pytest.raises(StorageError, match=rf"small\.db: .*damaged \(no table {table}\); restore it from a backup"):
            Database(database.url, **options)
