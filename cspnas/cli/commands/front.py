"""`cspnas front`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from cspnas.cli.options import Json, StudyArgument
from cspnas.cli.output import print_csv, print_json
from cspnas.errors import InputError


def front(
    study: StudyArgument,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The front as comma-separated values.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="The failed trainings instead: why, and their logs.")
    ] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Every cost and the stages on one line, however long.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also write the front as an interactive HTML page.")] = None,
    force: Annotated[bool, typer.Option(help="Replace an existing plot.")] = False,
) -> None:
    """Show the current front, its knee marked, the baselines beside it."""
    from cspnas.cli.front import summary_of
    from cspnas.reports.summary_table import print_failures, print_summary

    _check_flags(two_forms=as_json and as_csv, nothing_to_replace=force and plot is None)
    summary = summary_of(study, plot, force=force)
    if as_json:
        print_json(summary.to_json())
    elif as_csv:
        print_csv(summary.failures if failed else summary.front)
    elif failed:
        print_failures(summary)
    else:
        print_summary(summary, wide=wide)


def _check_flags(*, two_forms: bool, nothing_to_replace: bool) -> None:
    where = "cspnas front"
    if two_forms:
        raise InputError("--json and --csv", expected="one of them", where=where, hint="leave one out")
    if nothing_to_replace:
        raise InputError("--force", expected="--plot FILE beside it", where=where, hint="nothing else is replaced")
