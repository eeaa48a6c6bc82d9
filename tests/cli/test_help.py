"""What `cspnas`, `--version`, `-h` and `--help` print, at 80 columns; the examples there are commands that parse."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer

import cspnas
from cspnas.cli import app as cli

GROUP: Any = typer.main.get_command(cli.app)
COMMANDS = [(), *((name,) for name in GROUP.commands), ("studies", "copy")]


def printed(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int = 80
) -> str:
    """Of `cspnas WORDS` on a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "argv", ["cspnas", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    captured = capsys.readouterr()
    assert (end.value.code, captured.err) == (0, "")
    return captured.out


@pytest.mark.parametrize("columns", [50, 60, 79, 80])
def test_no_help_is_cut_on_a_narrow_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long words such as the URLs of --storage and --address break over two lines where they must."""
    for command in COMMANDS:
        text = printed((*command, "--help"), capsys, monkeypatch, columns)
        assert "\N{HORIZONTAL ELLIPSIS}" not in text
        if command == ("search",):
            said = re.sub(r"[\s\N{BOX DRAWINGS LIGHT VERTICAL}]", "", text)
            assert "postgresql://HOST/DB;" in said and "ray://HOST:PORT." in said


def examples(text: str) -> list[str]:
    """The lines after the heading of the examples."""
    _, _, block = text.partition("Examples:")
    return [line.strip() for line in block.splitlines() if line.strip()]


def test_the_version_is_printed_and_nothing_heavy_imported() -> None:
    code = (
        "import sys\nsys.argv = ['cspnas', '--version']\nfrom cspnas.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('HEAVY', sorted({'torch', 'optuna', 'sqlalchemy', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout == f"cspnas {cspnas.__version__}\nHEAVY []\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_h_prints_what_help_prints(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = (printed((*command, flag), capsys, monkeypatch) for flag in ("-h", "--help"))
    assert short == long
    assert re.search(r"--help +-h ", long)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_help_ends_in_examples_that_parse_each_on_one_line(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed((*command, "--help"), capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    lines = examples(text)
    assert len(lines) >= 2
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "cspnas"
        parse(words)
        with pytest.raises(typer.BadParameter.__mro__[2]):
            parse([*words, "--none-such"])
        assert not command or words[0] == command[0]


def parse(words: list[str]) -> None:
    """Raises a usage error where a command or an option is not there, or a value does not parse; runs nothing."""
    context = GROUP.make_context("cspnas", list(words))
    while (rest := [*context._protected_args, *context.args]) and hasattr(context.command, "resolve_command"):
        name, command, rest = context.command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
