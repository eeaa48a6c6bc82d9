"""The command line: what `cspnas` has for commands, and how a command ends.

`cspnas/cli/commands/` holds the options of each command, `cspnas/cli/` what it does. Heavy imports live in functions, so
that `--help` stays quick.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from shutil import get_terminal_size
from typing import Any

import typer

from cspnas.cli.commands.cost import cost
from cspnas.cli.commands.dashboard import dashboard
from cspnas.cli.commands.data import data
from cspnas.cli.commands.export import export
from cspnas.cli.commands.front import front
from cspnas.cli.commands.import_cfg import import_
from cspnas.cli.commands.search import search
from cspnas.cli.commands.space import space
from cspnas.cli.commands.studies import copy, studies
from cspnas.cli.commands.train import train
from cspnas.cli.examples import epilog
from cspnas.cli.options import Version
from cspnas.errors import CspnasError, InputError, one_line

# Of an argument: twice the longest path.
MOST_ARGUMENT_CHARACTERS = 10_000
# Of a terminal: with fewer, `--help` has no panels.
PANEL_COLUMNS = 80

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(""),
    help="Search the Cross Stage Partial (CSP) design space: accuracy against exact FLOPs and peak memory.",
)


@app.callback()
def cspnas(version: Version = False) -> None:
    """Options of `cspnas` itself; each command has its own."""


for command in (search, front, export, import_, cost, space, data, train, dashboard):
    # `import` is a word of Python's own.
    name = command.__name__.rstrip("_")
    app.command(name, epilog=epilog(name))(command)

studies_app = typer.Typer(
    help="List the studies under studies/, or copy one to another database.", epilog=epilog("studies")
)
studies_app.callback(invoke_without_command=True)(studies)
studies_app.command(epilog=epilog("studies copy"))(copy)
app.add_typer(studies_app, name="studies")


# What typer gives after KeyboardInterrupt.
INTERRUPTED = 130


def main() -> None:
    """Run a command; a user's error is one line on stderr, never a traceback."""
    from cspnas.io import failpoints
    from cspnas.io import standard_streams as streams
    from cspnas.io.interrupts import exit_code, raise_on_signals
    from cspnas.io.remedies import shortage

    # typer may carry click inside itself; the base of its own usage errors is the right one either way.
    usage_error: Any = typer.BadParameter.__mro__[2]
    streams.repair_standard_streams()
    streams.never_fail("stderr")
    raise_on_signals()
    try:
        _check_lengths(sys.argv[1:])
        # The panels cut what is longer than their column.
        app.rich_markup_mode = "rich" if get_terminal_size().columns >= PANEL_COLUMNS else None
        failpoints.arm(os.environ.get(failpoints.VARIABLE))
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        streams.flush()
    except CspnasError as error:
        _end(str(error), error.exit_code)
    except usage_error as error:
        _end(error.format_message() + "; see cspnas --help", 2)
    except (typer.Abort, KeyboardInterrupt):
        _end("interrupted", exit_code())
    # The reader of our output went away.
    except BrokenPipeError:
        streams.abandon()
        raise SystemExit(1) from None
    # A full disk behind our output, say.
    except OSError as error:
        streams.abandon()
        _end(shortage(error) or f"{error.filename or 'output'}: {error.strerror}", 1)
    except (ImportError, MemoryError, RuntimeError) as error:
        if (line := shortage(error)) is None:
            raise
        _end(line, 1)
    if code == INTERRUPTED:
        _end("interrupted", exit_code())
    raise SystemExit(code if isinstance(code, int) else 0)


def _check_lengths(arguments: list[str]) -> None:
    """Raises InputError for an argument that is too long to be a path, a name or a value."""
    for number, argument in enumerate(arguments, start=1):
        if len(argument) > MOST_ARGUMENT_CHARACTERS:
            raise InputError(
                f"{argument[:20]}... of {len(argument):,} characters",
                expected=f"at most {MOST_ARGUMENT_CHARACTERS:,}",
                where=f"argument {number}",
                hint="write what is long into a file",
            )


def _end(message: str, code: int) -> None:
    from cspnas.io import standard_streams as streams
    from cspnas.io.redaction import redact
    from cspnas.training.processes import tells_the_end

    with suppress(OSError):
        if tells_the_end():
            streams.tell(one_line(f"cspnas: {redact(message)}"))
    raise SystemExit(code)
