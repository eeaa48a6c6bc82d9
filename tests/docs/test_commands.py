"""The command line and the pages say the same: each command and option is documented, and each that is shown exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pages import GUIDE, PAGES, README, ROOT, code_lines, commands, options, rows, section, shown

COMMANDS = commands()
ROOT_SECTION = "Commands and their options"  # also of what stands before a command, as in `cspnas --version`
OTHER_TOOLS = re.compile(r"\b(pip|git|python|pytest|torchrun|xz)\b")


@pytest.mark.parametrize("words", [words for words in COMMANDS if len(words) == 1], ids=" ".join)
def test_each_command_is_in_the_table_of_the_readme(words: tuple[str, ...]) -> None:
    table = [row[0] for row in rows(section(README.read_text(), "Commands"))]
    assert any(cell.startswith(f"`cspnas {words[0]}") for cell in table)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(("cspnas", *words)))
def test_each_option_has_a_row_in_the_section_of_its_command(words: tuple[str, ...]) -> None:
    heading = f"`{' '.join(('cspnas', *words))}`" if words else ROOT_SECTION
    text = section(GUIDE.read_text(), heading)
    assert text, f"docs/user_guide.md has no section {heading}"
    documented = {option for row in rows(text) for option in re.findall(r"--[a-z][a-z0-9-]*", row[0])}
    missing = options(COMMANDS[words]) - documented
    assert not missing, f"{heading} of docs/user_guide.md has no row for {sorted(missing)}"


@pytest.mark.parametrize("words", [words for words in COMMANDS if words], ids=" ".join)
def test_each_section_of_a_command_has_no_row_for_an_option_that_is_not_there(words: tuple[str, ...]) -> None:
    text = section(GUIDE.read_text(), f"`{' '.join(('cspnas', *words))}`")
    documented = {option for row in rows(text) for option in re.findall(r"--[a-z][a-z0-9-]*", row[0])}
    assert documented <= options(COMMANDS[words])


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_each_command_and_option_in_code_exists(page: Path) -> None:
    wrong = [line for line in code_lines(page.read_text()) if not exists(line)]
    assert not wrong, f"{shown(page)} shows {wrong}"


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_each_make_target_script_and_extra_in_code_exists(page: Path) -> None:
    code = "\n".join(code_lines(page.read_text()))
    targets = set(re.findall(r"^([.\w-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(re.findall(r"\bmake ([.a-z-]+)", code)) <= targets
    assert [path for path in re.findall(r"\bpython (\S+\.py)", code) if not (ROOT / path).is_file()] == []
    assert set(re.findall(r"\bpip install .*\[(\w+)\]", code)) <= set(extras)


def test_the_environment_variables_of_the_code_are_those_of_the_page() -> None:
    table = rows(section((ROOT / "docs" / "operations.md").read_text(), "Environment variables"))
    source = "\n".join(path.read_text() for path in (ROOT / "cspnas").rglob("*.py"))
    documented = {row[0].strip("`") for row in table if row[0].startswith("`CSPNAS_")}
    assert documented == set(re.findall(r'"(CSPNAS_[A-Z]+)"', source))


def exists(line: str) -> bool:
    """Whether `cspnas` has the command and every option that a line of code gives it; other programs' are not looked at."""
    calls = re.split(r"(?<![\w./-])(?:\.venv/bin/)?cspnas(?= )", line)
    alone = set() if OTHER_TOOLS.search(calls[0]) else found_in(calls[0])
    known = set().union(*map(options, COMMANDS.values())) | {"--help"}
    return alone <= known and all(call_exists(call) for call in calls[1:])


def call_exists(call: str) -> bool:
    """Whether a command line without its `cspnas` is one: its command is there and has these options."""
    words = re.split(r"\s[|;&]", call)[0].split()
    if words and words[0].isupper():  # `cspnas COMMAND`
        return True
    path: tuple[str, ...] = ()
    while words and (*path, words[0]) in COMMANDS:
        path = (*path, words.pop(0))
    command = COMMANDS[path]
    astray = getattr(command, "commands", {}) and words and not words[0].startswith("-")  # a group takes no argument
    return not astray and found_in(call) <= options(command) | {"--help"}


def found_in(text: str) -> set[str]:
    """The long options in it."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))


@pytest.mark.parametrize(
    "line",
    [
        "cspnas serch densenet",
        "cspnas search densenet --trails 3",
        "cspnas front densenet --trials 3",
        "cspnas studies move A B",
        "make search ARGS='--trails 20'",
        "--trails",
    ],
)
def test_what_does_not_exist_is_seen(line: str) -> None:
    assert not exists(line)
