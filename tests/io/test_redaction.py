"""No password of a URL reaches a person, however badly it was quoted; what stands around it stays."""

from __future__ import annotations

import pytest

from cspnas.io.redaction import redact


@pytest.mark.parametrize(
    "password", ["secret", "sec ret", "s e c", "sec/ret", "sec#ret", "sec@ret", "sec@r et", "sec:ret"]
)
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_password_with_any_characters_is_hidden(scheme: str, password: str) -> None:
    shown = redact(f"{scheme}://user:{password}@host/db: found no server")
    assert shown == f"{scheme}://user:***@host/db: found no server"


@pytest.mark.parametrize(
    "password", ["secret", "se cret", "s e c", "sec'ret", '"se cret"', "sec#r;et", "se: cret", "se%20cret"]
)
@pytest.mark.parametrize("after", ["", "&x=1", "#study", "&x=1#my study"])
def test_a_password_that_is_an_option_is_hidden_up_to_the_next_one(password: str, after: str) -> None:
    url = f"postgresql://user@host/db?sslmode=require&Password={password}{after}"
    shown = redact(url)
    assert shown == f"postgresql://user@host/db?sslmode=require&Password=***{after}"
    assert redact(f"{shown}: found no server") == f"{shown}: found no server"
    assert redact(f"No such command '{url}'. See --help") == f"No such command '{shown}'. See --help"


def test_a_password_of_a_connection_string_is_hidden_with_its_quotes() -> None:
    assert redact("host=a password='se cret' user=b") == "host=a password=*** user=b"
    assert redact("host=a password=secret user=b") == "host=a password=*** user=b"


def test_the_name_of_a_user_may_have_spaces_too() -> None:
    assert redact("postgresql://a user:secret@host/db") == "postgresql://a user:***@host/db"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://localhost:5432/db: found x, expected postgresql+psycopg://USER@HOST/DATABASE",
        "postgresql+psycopg://user@host:5432/db",
        "sqlite:///folder/a b.db: found 12:30, expected a@b",
    ],
)
def test_a_text_without_a_password_stays_as_it_is(text: str) -> None:
    assert redact(text) == text
