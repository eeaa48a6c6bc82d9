"""Results that wait on disk: recorded once, and a damaged file costs no other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from small_studies import driver_of, open_small, result_of, small_study

from cspnas.errors import StorageError
from cspnas.runners.protocol import Work
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.searching.driver import Driver
from cspnas.searching.outage import outage_tolerant
from cspnas.storage.database import Database
from cspnas.storage.result_spool import FORMAT, Spool, _checksum, record_left
from cspnas.study.study_record import StudyRecord

NewUrl = Callable[[], str]


def under_way(url: str, folder: Path) -> tuple[Database, StudyRecord, list[Work]]:
    """A study with four trainings that a driver of the past had under way."""
    study = small_study(folder)
    database, row = open_small(url, study)
    driver = driver_of(study, database, row)
    works = [driver.suggest() for _ in range(4)]
    return database, row, [work for work in works if isinstance(work, Work)]


def states(database: Database, row: StudyRecord) -> list[str]:
    return [found["state"] for found in database.evaluations(row.id)]


def test_what_is_damaged_is_set_aside_in_one_line_and_all_else_is_recorded_once(
    tmp_path: Path, new_url: NewUrl, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file cut short, one with a flipped bit, one of another study, one that is recorded already, and a pipe."""
    database, row, works = under_way(new_url(), tmp_path)
    spool = Spool(tmp_path / "spool", row)
    paths = [spool.put(work.key("r" * 64), 1, result_of(work) | {"accuracy": 0.5, "failure": None}) for work in works]
    Spool(tmp_path / "spool", replace(row, created=0.0)).put(
        {**works[0].key("r" * 64), "seed": 1}, 1, {"accuracy": 0.5}
    )
    paths[0].write_bytes(paths[0].read_bytes()[:-40])
    data = bytearray(paths[1].read_bytes())
    data[data.index(b'"accuracy": 0.5') + 14] ^= 1  # .4
    paths[1].write_bytes(data)
    os.mkfifo(tmp_path / "spool" / "pipe.json")
    (tmp_path / "spool" / ".half.json.7").write_text("{")  # what a crash in the middle of writing leaves
    assert record_left(spool, database, row.id) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all("found a damaged result" in line for line in lines)
    assert states(database, row) == ["in_flight", "in_flight", "trained", "trained"]
    assert len(list((tmp_path / "spool").glob("*.json"))) == 1
    assert len(list((tmp_path / "spool").glob("*.damaged"))) == 3
    before = database.evaluations(row.id)
    spool.put(works[2].key("r" * 64), 1, result_of(works[2]) | {"accuracy": 0.5, "failure": None})
    assert record_left(spool, database, row.id) == 1
    assert database.evaluations(row.id) == before
    database.close()


def test_a_result_that_a_full_disk_does_not_take_is_kept_and_recorded_by_the_next_search(tmp_path: Path) -> None:
    """SQLite itself says that the disk is full: its greatest size is set to the size that it has."""
    study = small_study(tmp_path)
    database, row = open_small(f"sqlite:///{tmp_path / 'small.db'}", study)
    spool = Spool(tmp_path / "spool", row)
    sampler = OptunaSampler(study.sampler, study.space, study.objectives, study.seed)
    number = database.start_driver(row.id, {})
    driver = outage_tolerant(Driver(study, database, row, sampler, number), spool, lambda text: None)
    work = driver.suggest()
    assert isinstance(work, Work)

    def full(connection: Any, record: Any) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # never below what there is

    sa.event.listen(database.engine, "connect", full)
    database.engine.dispose()
    result = {"accuracy": 0.75, "failure": None, "correct": "A" * 20_000}
    with pytest.raises(StorageError, match=r"disk is full.*results are kept in .*spool and recorded then"):
        driver.finish(work, result)
    sa.event.remove(database.engine, "connect", full)
    database.engine.dispose()
    assert states(database, row) == ["in_flight"]
    assert record_left(spool, database, row.id) == 1
    assert states(database, row) == ["trained"] and database.result(work.evaluation_id) == result | {
        "micro_batch": None
    }
    assert not list(spool.folder.iterdir())
    database.close()


@pytest.mark.parametrize(
    "change",
    [
        {"result": {"accuracy": 5.0}},
        {"result": {"accuracy": float("nan")}},
        {"result": {"accuracy": None}},
        {"result": {"failure": {"kind": "bored", "message": ""}}},
        {"result": {"failure": "crashed"}},
        {"result": []},
        {"result": None},
        {"key": {"digest": 1}},
        {"key": "digest"},
        {"driver_id": "one"},
    ],
    ids=str,
)
def test_a_kept_result_that_no_search_can_have_kept_is_set_aside_though_its_checksum_is_right(
    tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    database, row, works = under_way(f"sqlite:///{tmp_path / 'small.db'}", tmp_path)
    spool = Spool(tmp_path / "spool", row)
    path = spool.put(works[0].key("r" * 64), 1, {"accuracy": 0.5, "failure": None})
    entry = json.loads(path.read_text())["entry"] | change
    path.write_text(json.dumps({"format": FORMAT, "sha256": _checksum(entry), "entry": entry}))
    assert record_left(spool, database, row.id) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and f"{path}: found a damaged result (" in lines[0]
    assert set(states(database, row)) == {"in_flight"} and path.with_suffix(".damaged").is_file()
    database.close()


def test_what_is_no_file_or_nested_without_end_is_set_aside_and_nobody_waits_for_it(tmp_path: Path) -> None:
    database, row, _ = under_way(f"sqlite:///{tmp_path / 'small.db'}", tmp_path)
    spool = Spool(tmp_path / "spool", row)
    spool.folder.mkdir()
    os.mkfifo(spool.folder / "pipe.json")
    (spool.folder / "folder.json").mkdir()
    (spool.folder / "deep.json").write_text("[" * 100_000)
    assert record_left(spool, database, row.id) == 0
    assert sorted(path.name for path in spool.folder.iterdir()) == ["deep.damaged", "folder.damaged", "pipe.damaged"]
    database.close()
