"""The pages that people read, taken apart: sections, code, tables, links; and the command line that they speak of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from cspnas.cli import app as cli

ROOT = Path(__file__).parents[2]
README, CONTRIBUTING = ROOT / "README.md", ROOT / "CONTRIBUTING.md"
GUIDE, BENCHMARKS = ROOT / "docs" / "user_guide.md", ROOT / "docs" / "benchmarks.md"
RECORDS = (ROOT / "docs" / "LOG.md", ROOT / "CHANGELOG.md")  # what was: commands in them may be gone
PAGES = (README, CONTRIBUTING, *sorted(set((ROOT / "docs").glob("*.md")) - set(RECORDS)))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")


def shown(page: Path) -> str:
    """The page's name below the root, for the names of tests."""
    return str(page.relative_to(ROOT))


def blocks(text: str, language: str | None = None) -> list[str]:
    """The fenced blocks, of one language or of all."""
    return [code for name, code in _FENCE.findall(text) if language in (None, name)]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """The code within lines; a line's end in it is a space."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose(text))]


def code_lines(text: str) -> list[str]:
    """Every line of code, without its comment: of the blocks, and what stands within lines."""
    lines = [line for block in blocks(text) for line in block.splitlines()]
    return [re.split(r"\s#\s", line)[0] for line in (*lines, *spans(text))]


def headings(text: str) -> list[tuple[int, str]]:
    """(level, heading) of each section."""
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", prose(text), re.MULTILINE)]


def section(text: str, heading: str) -> str:
    """What stands under `heading`, its subsections included; empty where there is no such heading."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    if match is None:
        return ""
    end = re.search(rf"^#{{1,{len(match[1])}}} ", text[match.end() :], re.MULTILINE)
    return text[match.end() :][: end.start() if end else None]


def tables(text: str) -> list[list[list[str]]]:
    """Each table as its rows, these as their cells, without the row under its head."""
    found = re.findall(r"^\|.+\n\|[|:\- ]+\n(?:\|.*\n?)*", text, re.MULTILINE)
    lines = [[line for line in table.splitlines() if not re.fullmatch(r"[|:\- ]+", line)] for table in found]
    return [[[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in table] for table in lines]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables, their heads among them."""
    return [row for table in tables(text) for row in table]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in headings(text)}


def links(text: str) -> list[str]:
    """The targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(text))


def commands() -> dict[tuple[str, ...], Any]:
    """Every command of the command line by its words: of none the whole, `("studies", "copy")` ..."""
    return dict(_walk((), typer.main.get_command(cli.app)))


def _walk(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _walk((*words, name), child)


def options(command: Any) -> set[str]:
    """The long options of a command, `--help` apart, and the `--no-` forms of switches, which say what holds anyway."""
    names = {name for parameter in command.params for name in parameter.opts}
    return {name for name in names if name.startswith("--")} - {"--help"}
