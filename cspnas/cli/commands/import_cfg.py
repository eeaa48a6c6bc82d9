"""`cspnas import`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from cspnas.io.standard_streams import say


def import_(
    path: Annotated[Path, typer.Argument(metavar="FILE.cfg", help="A network's file of Darknet.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Architecture file to write.")],
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Read a network of Darknet of the forms that CSPNet's authors publish, and write it as an architecture file."""
    from cspnas.cli.import_cfg import import_network

    say(import_network(path, output, force=force))
