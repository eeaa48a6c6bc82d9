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
