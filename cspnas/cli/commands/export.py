"""`cspnas export`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from cspnas.cli.options import StudyArgument, one_of
from cspnas.io.standard_streams import say


def export(
    study: StudyArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    choice: Annotated[
        str | None, typer.Option("--pick", help="knee (if not given), most-accurate or smallest (least FLOPs).")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="'flops<=20M': among these front members; repeatable.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(help="Instead the network of this trial, as front and dashboard number them.")
    ] = None,
    digest: Annotated[
        str | None, typer.Option(help="Instead the network whose digest begins so: 4 hex digits or more.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="yaml.")] = "yaml",
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Write an architecture with all that is needed to build and train it."""
    from cspnas.cli import export as work
    from cspnas.export.choice import Choice

    wanted = Choice(choice, tuple(where or ()), trial, digest)
    one_of(form, ("yaml",), "--format")
    say(work.export_network(study, wanted, output, force=force))
