"""Every test says which behaviour it shows: in its name, or in its docstring."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
WORDS = 4


def says_a_behaviour(test: ast.FunctionDef) -> bool:
    """Whether its name, without `test_`, or its docstring has the words of a sentence."""
    name = test.name.removeprefix("test_").split("_")
    return max(len(name), len((ast.get_docstring(test) or "").split())) >= WORDS


def each_test(path: Path) -> Iterator[ast.FunctionDef]:
    """The functions that pytest runs."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node


def test_each_test_says_its_behaviour_in_four_words_or_more() -> None:
    found = [(path.name, test) for path in sorted(TESTS.rglob("test_*.py")) for test in each_test(path)]
    assert len(found) > 500
    assert [f"{name}: {test.name}" for name, test in found if not says_a_behaviour(test)] == []


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def test_export(): ...", False),
        ("def test_a_damaged_file_is_refused(): ...", True),
        ('def test_export():\n    "A network becomes a file."', True),
        ('def test_export():\n    "Of export."', False),
    ],
)
def test_a_name_of_few_words_without_a_sentence_says_nothing(source: str, says: bool) -> None:
    (test,) = ast.parse(source).body
    assert isinstance(test, ast.FunctionDef)
    assert says_a_behaviour(test) == says
