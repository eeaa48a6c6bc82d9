"""`cspnas studies copy`: everything that our tables say of a study arrives, row by row, and Optuna's follow from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from small_studies import driven, driver_of, open_small, result_of, small_study

from cspnas.errors import CspnasError, InputError, StorageError
from cspnas.runners.protocol import Done, Work
from cspnas.storage.copy_study import copy_study
from cspnas.storage.database import Database
from cspnas.storage.locations import StudyLocation
from cspnas.storage.tables import metadata
from cspnas.study.study_record import FrozenSettings

NewUrl = Callable[[], str]


def tables(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table of ours, as text and numbers that the database itself gives."""
    database = Database(url, read_only=True)
    with database.transaction() as connection:
        found = {
            name: [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]
            for name, table in metadata.tables.items()
        }
    database.close()
    return found


def trials(url: str) -> list[tuple[Any, ...]]:
    """Optuna's trials without their ids."""
    study = optuna.load_study(study_name="small", storage=url)
    rows = [
        (t.state.name, t.values, t.params, t.user_attrs, t.datetime_start, t.datetime_complete) for t in study.trials
    ]
    return sorted(rows, key=lambda row: str(row[3]["digest"]))


def late(database: Database) -> None:
    """One result that came too late, so that no table is empty."""
    database.keep_late(1, 1, {"accuracy": 0.25, "failure": None})


def test_a_study_that_went_to_a_server_and_back_is_equal_row_by_row(tmp_path: Path, new_server_url: NewUrl) -> None:
    """Failures, confirmations, one training under way, a late result: all of it."""
    first, back, server = f"sqlite:///{tmp_path / 'a.db'}", f"sqlite:///{tmp_path / 'b.db'}", new_server_url()
    study = small_study(tmp_path)
    database, driver = driven(first, study, trainings=12)
    assert isinstance(driver.suggest(), Work)
    late(database)
    database.close()
    assert copy_study(StudyLocation(first, "small"), StudyLocation(server, None)) == ("small", 13)
    assert copy_study(StudyLocation(server, "small"), StudyLocation(back, None)) == ("small", 13)
    assert all(tables(first).values())
    assert tables(server) == tables(back) == tables(first)
    assert trials(server) == trials(back)
    ended = {row[2] for row in tables(back)["cspnas_evaluations"] if row[7] != "in_flight"}
    assert {row[3]["digest"] for row in trials(back)} == ended


def test_a_copy_beside_other_studies_keeps_every_row_and_goes_on_as_the_original(
    tmp_path: Path, new_url: NewUrl
) -> None:
    """Ids move where they are taken; a driver then finishes both to the same networks."""
    here, there = new_url(), new_url()
    study = small_study(tmp_path)
    original, driver = driven(here, study, trainings=6)
    other, _ = driven(there, small_study(tmp_path, search__seed=5), trainings=4)
    with other.transaction() as connection:
        connection.execute(sa.text("UPDATE cspnas_studies SET name = 'other'"))
    before = tables(there)
    copy_study(StudyLocation(here, "small"), StudyLocation(there, "small"))
    for name, rows in before.items():
        assert set(map(str, rows)) <= set(map(str, tables(there)[name]))
    ends = []
    for database in (original, other):
        row = database.study("small")
        assert row is not None
        driver = driver_of(study, database, row)
        while not isinstance(work := driver.suggest(), Done):
            assert isinstance(work, Work)
            driver.finish(work, result_of(work))
        rows = database.evaluations(row.id)
        ends.append([(r["digest"], r["seed"], r["accuracy"], r["failure_kind"], r["repeat"]) for r in rows])
        database.close()
    assert ends[0] == ends[1] and len(ends[0]) == 16


def test_a_study_that_is_there_is_never_overwritten(tmp_path: Path, new_url: NewUrl) -> None:
    here, there = new_url(), new_url()
    driven(here, small_study(tmp_path), trainings=3)[0].close()
    open_small(there, small_study(tmp_path, search__seed=9))[0].close()
    before = tables(there)
    with pytest.raises(InputError, match="found a study 'small', expected a name that is free"):
        copy_study(StudyLocation(here, "small"), StudyLocation(there, None))
    assert tables(there) == before


def test_the_space_of_a_study_is_read_from_its_identity(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    assert FrozenSettings(study.identity()).space() == study.space


@pytest.mark.parametrize("target", ["loop", "folder", "pipe", "device"])
def test_a_target_that_can_be_no_database_is_one_line_and_nothing_is_left_beside_it(
    tmp_path: Path, target: str
) -> None:
    study = small_study(tmp_path)
    database, _ = driven(f"sqlite:///{tmp_path / 'small.db'}", study, 1)
    database.close()
    place = tmp_path / "shelf"
    place.mkdir()
    (place / "loop").symlink_to(place / "loop")
    (place / "folder").mkdir()
    os.mkfifo(place / "pipe")
    (place / "device").symlink_to("/dev/null")
    before = sorted(place.iterdir())
    with pytest.raises(CspnasError, match="; choose another DST") as caught:
        copy_study(StudyLocation(database.url, None), StudyLocation(f"sqlite:///{place / target}", None))
    assert caught.value.exit_code == 2 and "\n" not in str(caught.value) and str(place / target) in str(caught.value)
    assert sorted(place.iterdir()) == before and not Path("/dev/null.lock").exists()


def test_a_study_whose_rows_are_damaged_is_one_line_and_no_file_is_left_of_its_copy(tmp_path: Path) -> None:
    database, _ = driven(f"sqlite:///{tmp_path / 'small.db'}", small_study(tmp_path), 1)
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE cspnas_evaluations SET accuracy = 2.0"))
    database.close()
    (tmp_path / "shelf").mkdir()
    with pytest.raises(StorageError, match="damaged"):
        copy_study(StudyLocation(database.url, None), StudyLocation(f"sqlite:///{tmp_path / 'shelf' / 'a.db'}", None))
    assert list((tmp_path / "shelf").iterdir()) == []
