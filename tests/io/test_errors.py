"""The one line that a user sees."""

from __future__ import annotations

from cspnas.errors import InputError


def test_an_error_is_one_line_with_what_was_found_expected_where_and_what_to_do() -> None:
    error = InputError("a\n pool", expected="two", where="a.yaml:3 stages", hint="loosen it")
    assert str(error) == "a.yaml:3 stages: found a pool, expected two; loosen it"


def test_what_a_file_holds_is_no_command_to_the_terminal() -> None:
    assert str(InputError("key \x1b[31mfam", where="a.yaml")) == "a.yaml: key \\x1b[31mfam"
    assert str(InputError("café — 10 %")) == "café — 10 %"
