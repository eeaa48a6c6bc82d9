"""Studies on a real PostgreSQL from the command line: every command, and a password that nobody ever sees."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from commands import commands, draw_images
from searches import PATIENCE
from servers import Server
from small_studies import driven, small_study

from cspnas.errors import InputError
from cspnas.io.redaction import redact
from cspnas.storage.database import Database
from cspnas.storage.locations import StudyLocation, copy_place, existing_place, new_place
from cspnas.storage.optuna_projection import Projection

SECRET = "s3cr3t-w0rd"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(postgresql: Server) -> Iterator[str]:
    """A database whose URL has a password in it."""
    name = postgresql.new_database()
    yield postgresql.url(name, SECRET)
    postgresql.take_back(name)


@pytest.fixture
def cspnas(tmp_path: Path) -> Iterator[Run]:
    """Runs `cspnas WORDS`: exit code, stdout, stderr; none of them may hold the password."""
    draw_images(tmp_path / "images", 24, 12)
    with commands(tmp_path) as make:

        def run(*words: str) -> tuple[int, str, str]:
            command = make(*words)
            out, err = command.communicate(PATIENCE)
            assert SECRET not in out + err
            return int(str(command.returncode)), out, err

        yield run


def test_every_command_works_on_a_server_and_no_output_table_or_file_has_the_password(
    cspnas: Run, url: str, tmp_path: Path
) -> None:
    search = ("search", "tiny.yaml", "--storage", url, "--trials", "3", "--epochs", "1", "--workers", "1")
    small = ("--device", "cpu", "--dataset", "folder:images")
    code, out, err = cspnas(*search, *small)
    assert code == 0, err
    assert ":***@" in out and "#tiny" in out  # what to type next
    study = f"{url}#tiny"
    summary = json.loads(cspnas("front", study, "--json")[1])
    assert summary["trainings"] == 3 and summary["front"]
    assert cspnas("front", url, "--csv")[1].count("\n") == 1 + len(summary["front"])
    assert cspnas("export", study, "-o", "best.yaml")[0] == 0
    listed = json.loads(cspnas("studies", "--storage", url, "--json")[1])
    assert [(row["study"], row["trainings"]) for row in listed] == [("tiny", 3)]
    assert ":***@" in listed[0]["file"]
    code, out, err = cspnas(*search[:2], "--study", "again", *search[4:], "--reuse-from", study, *small)
    assert code == 0 and "reused:" in err
    assert cspnas("studies", "copy", study, "copied")[0] == 0
    assert json.loads(cspnas("front", "copied", "--json")[1])["front"] == summary["front"]
    code, out, err = cspnas("studies", "copy", "copied", study)
    assert code == 2 and err.count("\n") == 1 and "a study 'tiny'" in err
    with sa.create_engine(url).connect() as connection:
        for table in sa.inspect(connection).get_table_names():
            rows = connection.execute(sa.text(f'SELECT * FROM "{table}"')).fetchall()
            assert SECRET not in repr(rows), table
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_the_dashboard_shows_a_study_on_a_server(url: str, tmp_path: Path) -> None:
    study = small_study(tmp_path)
    database, driver = driven(url, study, trainings=3)
    Projection(database, "small", study.space, driver.results).update()
    command = [sys.executable, "-m", "cspnas", "dashboard", f"{url}#small", "--port", "0"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"(http://127\.0\.0\.1:\d+)/dashboard/studies/(\d+) ", line)
        assert found, line
        with urllib.request.urlopen(f"{found[1]}/api/studies/{found[2]}") as answer:
            detail = json.load(answer)
        digests = {
            item["value"].strip('"') for t in detail["trials"] for item in t["user_attrs"] if item["key"] == "digest"
        }
        assert digests == set(driver.results.networks) and len(detail["trials"]) == 3
    finally:
        process.kill()
        out, err = process.communicate()
    assert SECRET not in line + out + err


REFUSED = {
    "a server that is not there": ("postgresql+psycopg://me:{}@127.0.0.1:1/d", "check that the server runs"),
    "a host that has no name": ("postgresql+psycopg://me:{}@nowhere.invalid/d", "nowhere.invalid"),
    "a port that is none": ("postgresql://me:{}@h:port/d", "a URL that cannot be read"),
    "another driver": ("postgresql+asyncpg://me:{}@h/d", "'asyncpg'"),
    "another server": ("mysql://me:{}@h/d", "postgresql+psycopg://"),
    "a password with a slash": ("postgresql://me:{}/x@nowhere.invalid/d", "me:***@nowhere.invalid/d"),
    "no database": ("postgresql://me:{}@h", "a URL that cannot be read"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_url_that_cannot_be_used_is_one_line_without_its_password(cspnas: Run, name: str) -> None:
    template, expected = REFUSED[name]
    for words in (("front", template.format(SECRET) + "#s"), ("studies", "--storage", template.format(SECRET))):
        code, out, err = cspnas(*words)
        if "studies" in words and code == 0:
            err = out  # what cannot be opened is listed with its error
        else:
            assert code == 2
        assert err.count("\n") == 1 and expected in err and "Traceback" not in err


def test_a_database_that_is_not_there_and_a_word_too_many_are_one_line_each(cspnas: Run, url: str) -> None:
    gone = re.sub(r"/test\d+\?", "/nothing?", url)
    for words in (("front", f"{gone}#s"), ("front", "tiny", f"{url}#s"), ("front", f"{url}#s")):
        code, _, err = cspnas(*words)
        assert code == 2 and err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:a@h/d", "postgresql://u:***@h/d"),
        ("at postgresql+psycopg://u:a@b:c@h:1/d#s and", "at postgresql+psycopg://u:***@h:1/d#s and"),
        ("postgresql://u:a/b#c@h/d", "postgresql://u:***@h/d"),
        ("postgresql://h/d?user=u&password=abc&x=1", "postgresql://h/d?user=u&password=***&x=1"),
        ("http://127.0.0.1:8080/a b@c", "http://127.0.0.1:8080/a b@c"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
    ],
)
def test_hidden_takes_the_password_and_nothing_else(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_a_study_on_a_server_is_named_after_a_hash() -> None:
    url = "postgresql+psycopg://u:p%23@h:5/d"
    assert existing_place(f"{url}#a b") == copy_place(f"{url}#a b") == StudyLocation(url, "a b")
    assert existing_place(url) == existing_place(f"{url}#") == StudyLocation(url, None)
    for scheme in ("postgres", "postgresql", "postgresql+psycopg"):
        assert new_place("s", f"{scheme}://u@h/d") == StudyLocation("postgresql+psycopg://u@h/d", "s")
    assert StudyLocation(url, "s").target == "postgresql+psycopg://u:***@h:5/d#s"
    with pytest.raises(InputError, match="named by --study"):
        new_place("s", f"{url}#other")


def test_whoever_has_read_a_study_keeps_no_connection(url: str) -> None:
    own = Database(url, create=True)
    count = sa.select(sa.func.count().label("count")).select_from(sa.text("pg_stat_activity"))
    ours = count.where(sa.text("datname = current_database() AND backend_type = 'client backend'"))
    assert own.rows(ours) == [{"count": 1}]
    readers = [Database(url, read_only=True) for _ in range(3)]
    assert [reader.studies() for reader in readers] == [[], [], []]
    # A server's process ends a moment after its connection.
    until = time.monotonic() + 60
    while own.rows(ours) != [{"count": 1}] and time.monotonic() < until:
        time.sleep(0.01)
    assert own.rows(ours) == [{"count": 1}]
    own.close()
