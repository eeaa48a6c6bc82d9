"""Where studies are: what a user names is the file that is used, or it is refused in one line."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cspnas.errors import InputError
from cspnas.storage.database import Database
from cspnas.storage.locations import STUDIES_FOLDER, copy_place, existing_place, new_place, new_study_name


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["a?b.db", "a#b.db", "a%20b.db", "a{b}.db", "a b.db", "ä.db", "a?mode=ro&x.db", "file:a"]
)
def test_the_file_named_is_the_file_used(name: str, here: Path) -> None:
    place = new_place("s", name)
    assert place.file == Path(name)
    database = Database(place.url, create=True)
    database.create_study("s", {}, {"space": "x"})
    database.close()
    assert sorted(path.name for path in here.iterdir()) == [name]
    assert existing_place(place.target) == place
    found = Database(existing_place(f"./{name}").url, read_only=True)
    assert [study.name for study in found.studies()] == ["s"]


@pytest.mark.parametrize("name", ["a?b.db", "a#b.db", "a%20b.db", "a{b}.db"])
def test_optunas_tables_go_into_the_same_file(name: str, here: Path) -> None:
    from optuna.storages import RDBStorage

    database = Database(new_place("s", name).url, create=True)
    RDBStorage(database.dialect_url, engine_kwargs=database.engine_options()).engine.dispose()
    database.close()
    assert sorted(path.name for path in here.iterdir()) == [name]
    with sqlite3.connect(name) as tables:
        assert tables.execute("select count(*) from sqlite_master where name = 'trials'").fetchone() == (1,)


@pytest.mark.parametrize(
    "storage",
    ["", "sqlite:///", ":memory:", "sqlite://", "sqlite:///a.db?timeout=3", "sqlite:///a%20b.db", "sqlite:///a#b"],
)
def test_a_storage_that_is_no_file_is_refused(storage: str) -> None:
    with pytest.raises(InputError, match="--storage"):
        new_place("s", storage)


def test_a_study_in_a_file_is_named_after_a_hash_with_or_without_the_scheme() -> None:
    Database("sqlite:///two.db", create=True).close()
    assert existing_place("two.db#s1") == existing_place("sqlite:///two.db#s1")
    assert existing_place("two.db#s1").name == "s1"
    assert existing_place("two.db").name is None


@pytest.mark.parametrize(
    "text", ["a" * 300, "a" * 300 + ".db", "x/" + "a" * 300, "sqlite:///" + "a" * 5000 + "#s", "a\0.db"]
)
def test_a_name_that_is_too_long_is_refused_in_a_short_line(text: str) -> None:
    with pytest.raises(InputError) as caught:
        existing_place(text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("study", "space", "expected"),
    [
        ("", "tiny", "--study: found study name ''"),
        ("x.db", "tiny", "without .db"),
        (None, "x.db", "add --study NAME"),
        (None, "a@b", "the name comes from the file: add --study NAME"),
        (None, "a" * 101, "add --study NAME"),
    ],
)
def test_a_name_that_cannot_be_is_refused_and_says_where_it_comes_from(
    study: str | None, space: str, expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        new_study_name(study, space)
    assert expected in str(caught.value)


def test_what_a_user_types_is_short_for_a_study_of_the_folder() -> None:
    assert new_place("my study", None).target == "my study"
    assert new_place("s", str(STUDIES_FOLDER / "s.db")).target == "s"
    assert new_place("s", "other.db").target == "other.db#s"


def test_a_folder_where_a_study_should_be_is_called_a_folder_and_no_study() -> None:
    """It was said not to be there and, in the same line, offered as one of the studies."""
    (STUDIES_FOLDER / "moved.db").mkdir(parents=True)
    (STUDIES_FOLDER / "real.db").touch()
    with pytest.raises(InputError) as caught:
        existing_place("moved")
    assert "moved.db is a folder" in str(caught.value)
    assert "expected one of real;" in str(caught.value)


def test_the_home_folder_is_found_where_no_shell_put_it_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in --storage=~/t.db."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t.db").touch()
    assert new_place("s", "~/t.db").file == existing_place("~/t.db#s").file == tmp_path / "t.db"
    assert copy_place("~/t.db#s").file == tmp_path / "t.db"
    assert new_place("s", "~other/t.db").file == Path("~other/t.db")
