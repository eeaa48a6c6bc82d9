"""`cspnas front`: a study's summary, and its front as a page."""

from __future__ import annotations

from pathlib import Path

from cspnas.api.studies import open_study
from cspnas.io.atomic_write import check_output, write_whole
from cspnas.io.steps import steps
from cspnas.reports.summary import StudySummary, members, summarise
from cspnas.storage.locations import expanded


def summary_of(study: str, plot: Path | None, *, force: bool) -> StudySummary:
    """What is known of the study. The page goes to `plot`, where one is wanted; `force` replaces a file there."""
    if plot is not None:
        plot = Path(expanded(str(plot)))
        check_output(plot, force=force, inputs=[])
    with steps() as step:
        opened = open_study(study, on_step=step).opened
        summary = summarise(opened)
        if plot is not None:
            from cspnas.reports.front_plot import front_page

            step(f"drawing {plot}")
            write_whole(plot, front_page(summary, members(opened)), force=force, inputs=opened.database.files)
    return summary
