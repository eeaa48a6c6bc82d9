"""Whatever stands in any column of a study's tables: one line and exit code 2, or it makes no difference."""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from driven import SPACE, Run

from cspnas.documents.space_file import read_space
from cspnas.errors import CspnasError
from cspnas.reports.summary import summarise
from cspnas.reports.summary_table import print_summary
from cspnas.storage.database import Database
from cspnas.storage.engine import undamaged
from cspnas.storage.open_study import load_study
from cspnas.storage.tables import metadata
from cspnas.study.candidates import admitted_sample, reference_of
from cspnas.study.settings import Study

FOREIGN = ("maybe", "[]", '{"a": 1}', -1, None)
MAPPING, NONE = '{"a": 1}', None
# What each column may hold besides what a search writes there. What is not read decides nothing.
ACCEPTED: dict[str, tuple[Any, ...]] = {
    "studies.id": FOREIGN,
    "studies.name": FOREIGN,
    "studies.created": FOREIGN,
    "evaluations.id": (-1,),
    "evaluations.study_id": FOREIGN,
    "evaluations.recipe_digest": FOREIGN,
    "evaluations.driver_id": (NONE,),
    "evaluations.result": FOREIGN[1:],
    "evaluations.failure_kind": (NONE,),
    "suggestions.study_id": FOREIGN,
    "suggestions.digest": FOREIGN,
    "suggestions.evaluation_id": FOREIGN,
    "suggestions.genotype": (MAPPING, NONE),
    "suggestions.note": (MAPPING, NONE),
    "drivers.id": (-1,),
    "drivers.study_id": FOREIGN,
    "drivers.about": (MAPPING,),
    "drivers.ended": (NONE,),
    "drivers.beat": FOREIGN,
    "fronts.id": (-1,),
    "fronts.study_id": FOREIGN,
    "fronts.evaluation_id": FOREIGN,
    "fronts.trainings": FOREIGN,
    "fronts.hypervolume": FOREIGN,
    "fronts.points": ("[]",),
}
UNREAD = ("cspnas_schema", "cspnas_late_results")
COLUMNS = [(t.name, c.name) for t in metadata.sorted_tables for c in t.columns if t.name not in UNREAD]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    """A study with four trainings, whose file is whole."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "tiny.yaml").write_text(SPACE)
    study = read_space(folder / "tiny.yaml", {"search.trials": 8, "search.sampler": "random"})
    database = Database(f"sqlite:///{folder / 'study.db'}", create=True)
    facts = {"reference": reference_of(study, admitted_sample(study, 50)).to_json(), "recipe_digest": "r" * 64}
    run = Run(study, database, database.create_study("small", study.identity(), facts))
    _, _, (work, *_) = run.go(finishes=4)
    database.keep_late(work.evaluation_id, 1, {"accuracy": 0.1})
    database.close()
    return study, folder / "study.db"


def used(study: Study, path: Path) -> str:
    """Reads the study as `cspnas front` does and goes on with it as a search does; what refused it, or nothing."""
    with closing(Database(f"sqlite:///{path}")) as database:
        try:
            opened = load_study(database, None)
            print_summary(summarise(opened))
            with undamaged(database.shown_url):
                Run(study, database, opened.row).driver().suggest()
        except CspnasError as error:
            assert error.exit_code == 2
            return str(error)
    return ""


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_a_foreign_value_in_any_column_is_one_line_or_makes_no_difference(
    sound: tuple[Study, Path], tmp_path: Path, table: str, column: str
) -> None:
    name, taken, accepted = f"{table.removeprefix('cspnas_')}.{column}", [], []
    for number, value in enumerate(FOREIGN):
        path = tmp_path / f"{number}.db"
        shutil.copyfile(sound[1], path)
        try:
            with closing(sqlite3.connect(path)) as tables, tables:
                last = f"(SELECT max(rowid) FROM {table})"
                tables.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = {last}", (value,))
        except sqlite3.IntegrityError:
            # The table itself does not take it.
            continue
        taken.append(value)
        line = used(sound[0], path)
        assert "\n" not in line and (not line or str(path) in line)
        accepted += [] if line else [value]
    assert taken and accepted == [value for value in taken if value in ACCEPTED.get(name, ())]


def test_the_study_that_these_values_are_put_into_is_sound(sound: tuple[Study, Path], tmp_path: Path) -> None:
    shutil.copyfile(sound[1], tmp_path / "sound.db")
    assert not used(sound[0], tmp_path / "sound.db")


def test_the_row_is_named(sound: tuple[Study, Path], tmp_path: Path) -> None:
    for number, (statement, line) in enumerate(
        {
            "cspnas_suggestions SET outcome = 'maybe' WHERE number = 1": r"suggestion 1: .*\(found outcome 'maybe', expe",
            "cspnas_suggestions SET source = 'oracle' WHERE number = 2": r"suggestion 2: .*\(found source 'oracle', exp",
            "cspnas_evaluations SET digest = 'abc' WHERE id = 3": r"network abc: .*\(evaluation 3: found no such network",
            "cspnas_fronts SET points = '{\"a\": 1}'": r"the last front: .*\(found points {'a': 1}, expected a list",
            "cspnas_drivers SET about = '[]'": r"driver 1: .*\(found about \[\], expected a mapping",
        }.items()
    ):
        path = tmp_path / f"{number}.db"
        shutil.copyfile(sound[1], path)
        with closing(sqlite3.connect(path)) as tables, tables:
            tables.execute(f"UPDATE {statement}")
        assert re.search(line, used(sound[0], path))
