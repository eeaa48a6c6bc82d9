"""How large files and functions may become. What grows over a limit is taken apart, or the limit is argued for here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from statistics import median
from tokenize import COMMENT, generate_tokens

from cspnas.cli.app import app

ROOT = Path(__file__).parents[2]
PACKAGE = {path.relative_to(ROOT): path.read_text() for path in sorted((ROOT / "cspnas").rglob("*.py"))}
COMMANDS = ROOT / "cspnas" / "cli" / "commands"

MEDIAN_FILE_LINES = 120
FILE_LINES = 300
FUNCTION_LINES = 50
NINE_OF_TEN_FUNCTIONS = 20
COMMAND_LINES = 15
# Dicts of anything: each stands where text becomes JSON, or JSON text.
UNTYPED_DICTS = 25
# Comments for tools, which read them behind the code.
FOR_TOOLS = ("# noqa", "# type: ignore", "# pragma")


def functions(source: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of(node: ast.stmt) -> int:
    """From its first line to its last."""
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def body_lines(function: ast.FunctionDef) -> int:
    """Without signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    assert body[-1].end_lineno is not None
    return body[-1].end_lineno - body[0].lineno + 1


def test_a_file_of_the_package_has_at_most_300_lines() -> None:
    assert [path for path, source in PACKAGE.items() if len(source.splitlines()) > FILE_LINES] == []


def test_half_of_the_files_have_at_most_120_lines() -> None:
    assert median(len(source.splitlines()) for source in PACKAGE.values()) <= MEDIAN_FILE_LINES


def test_a_function_has_at_most_50_lines_and_nine_of_ten_at_most_20() -> None:
    lengths = {
        f"{path}:{function.lineno} {function.name}": lines_of(function)
        for path, source in PACKAGE.items()
        for function in functions(source)
    }
    assert [name for name, length in lengths.items() if length > FUNCTION_LINES] == []
    assert sorted(lengths.values())[9 * len(lengths) // 10] <= NINE_OF_TEN_FUNCTIONS


def test_a_command_says_its_options_and_passes_them_on_in_at_most_15_lines() -> None:
    registered = {command.callback.__name__ for command in app.registered_commands if command.callback is not None}
    found = {
        function.name: body_lines(function)
        for path in COMMANDS.glob("*.py")
        for function in ast.parse(path.read_text()).body
        if isinstance(function, ast.FunctionDef) and not function.name.startswith("_")
    }
    assert registered
    assert registered <= found.keys()
    assert {name: lines for name, lines in found.items() if lines > COMMAND_LINES} == {}


def test_what_passes_between_functions_is_typed_and_dicts_of_anything_stay_few() -> None:
    assert sum(source.count("dict[str, Any]") for source in PACKAGE.values()) <= UNTYPED_DICTS


def test_a_comment_stands_above_the_line_that_it_explains() -> None:
    assert [
        f"{path}:{token.start[0]} {token.string}"
        for path, source in PACKAGE.items()
        for token in generate_tokens(StringIO(source).readline)
        if token.type == COMMENT and token.line[: token.start[1]].strip() and not token.string.startswith(FOR_TOOLS)
    ] == []
