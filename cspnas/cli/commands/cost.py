"""`cspnas cost`: its options."""

from typing import Annotated

import typer

from cspnas.cli.options import ArchitectureArgument, Json
from cspnas.io.steps import steps


def cost(
    architecture: ArchitectureArgument,
    check: Annotated[bool, typer.Option(help="Also count by ptflops, torch and an allocation tracker.")] = False,
    layers: Annotated[bool, typer.Option(help="Show every layer, with sums, evenness and paths per stage.")] = False,
    against: Annotated[str | None, typer.Option(help="plain: beside the same network without CSP.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=65536, help="Images a step, for training_memory; the file's, else 64.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="In deployment: float32, float16 or int8; the file's, else float32.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, max=65536, help="Images at a time in deployment; the file's, else 1.")
    ] = None,
    order: Annotated[
        str | None, typer.Option(help="Of the operations in deployment: written or best; the file's, else written.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the exact costs of an architecture, and why they are what they are."""
    from cspnas.cli.cost import CostRequest, cost_report
    from cspnas.documents.architecture_file import find_architecture

    request = CostRequest(check, layers, against, batch_size, precision, batch, order)
    with steps() as step:
        text, agrees = cost_report(find_architecture(architecture), request, as_json=as_json, step=step)
    typer.echo(text)
    if not agrees:
        raise typer.Exit(1)
