"""`cspnas studies` and `cspnas studies copy`: their options."""

from typing import Annotated

import typer

from cspnas.cli.options import Json
from cspnas.io.standard_streams import say
from cspnas.io.steps import steps
from cspnas.io.wrapping import wrapped_lines


def studies(
    context: typer.Context,
    as_json: Json = False,
    storage: Annotated[str | None, typer.Option(help="Those of this database instead: a URL or a file.")] = None,
) -> None:
    """List the studies under studies/, or copy one to another database."""
    from cspnas.cli.studies import listing

    if context.invoked_subcommand is None:
        with steps() as step:
            text = listing(storage, as_json=as_json, step=step)
        say(text if as_json else wrapped_lines(text))


def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="The study: a name, a database file, or URL#NAME.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="Where it is to be: a name, FILE#NAME or URL#NAME.")],
) -> None:
    """Copy a study to another database with all that is known of it; it must not be there yet."""
    from cspnas.cli import studies as work

    with steps() as step:
        text = work.copy_to(source, target, step)
    say(text)
