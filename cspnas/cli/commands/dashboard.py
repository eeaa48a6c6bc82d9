"""`cspnas dashboard`: its options."""

from typing import Annotated

import typer

from cspnas.cli.options import StudyArgument
from cspnas.io.steps import steps


def dashboard(
    study: StudyArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine's loopback address.")] = 8080,
) -> None:
    """Open optuna-dashboard on the study, on loopback only."""
    from cspnas.api.studies import open_study
    from cspnas.reports.dashboard import serve

    with steps() as step:
        opened = open_study(study, on_step=step).opened
    serve(opened, port)
