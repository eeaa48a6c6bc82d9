"""`cspnas search`: from flags to a study, its search and the closing table."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING, Any

from cspnas.errors import InputError
from cspnas.io.interrupts import exit_code
from cspnas.io.standard_streams import say, tell
from cspnas.io.steps import Steps, steps
from cspnas.storage.locations import existing_place, new_place, new_study_name

if TYPE_CHECKING:
    from cspnas.api.studies import StudyView
    from cspnas.documents.space_settings import SpaceSettings
    from cspnas.runners.protocol import RunnerOptions


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What the command line said; `time` as text."""

    space: str
    settings: SpaceSettings
    options: RunnerOptions
    study: str | None
    storage: str | None
    time: str | None
    reuse_from: str | None
    seed_with: list[str]


def search_space(request: SearchRequest) -> None:
    """Search; Ctrl-C, SIGTERM and SIGHUP keep everything finished, say how to continue and exit with 130, 143 and 129."""
    shown: list[Any] = []
    try:
        with steps() as step:
            _search(request, step, shown)
    except KeyboardInterrupt:
        _end(shown)
        tell("interrupted: everything finished is kept; the same command continues the search")
        raise SystemExit(exit_code()) from None
    finally:
        _end(shown)


def _end(shown: list[Any]) -> None:
    """The display goes before anything else is said, however the search ends."""
    for display in shown:
        display.end()


def _search(request: SearchRequest, step: Steps, shown: list[Any]) -> None:
    from cspnas.documents.space_file import find_space

    # What is cheap to check comes first: a folder of images is opened to read the space.
    path, seconds = find_space(request.space), _seconds(request.time)
    name = new_study_name(request.study, path.stem)
    place = new_place(name, request.storage)
    reuse_from = existing_place(request.reuse_from, "--reuse-from") if request.reuse_from is not None else None
    from cspnas.api.searches import search_study
    from cspnas.cli.progress import Progress
    from cspnas.searching.given_networks import given_networks

    study = replace(request.settings.read(path, training=True, step=step), time_limit=seconds)
    study = replace(study, given=given_networks(study, request.seed_with))

    def on_open(session: Any) -> Progress:
        step.end()
        progress = Progress(session)
        shown.append(progress)
        return progress

    found = search_study(study, place, request.options, reuse_from=reuse_from, on_open=on_open, on_step=step)
    _end(shown)
    tell(f"done: {found.reason}")
    _close(found, quote(place.target))


def _close(found: StudyView, target: str) -> None:
    from cspnas.reports.summary import summarise
    from cspnas.reports.summary_table import print_summary

    summary = summarise(found.opened)
    print_summary(summary)
    if not summary.trainings:
        tell("no training was begun; give the search more --time or --trials")
        return
    if not summary.front:
        tell(f"no training gave a result; next: cspnas front {target} --failed")
        raise SystemExit(1)
    say(f"next: cspnas export {target} --pick knee -o best.yaml\n      cspnas dashboard {target}")


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([smhd]?)", text.strip())
    if not match or not 0 < float(match[1]) < 1e9:
        raise InputError(f"time {text!r}", expected="a duration above 0 such as 90s, 30m or 2h", where="--time")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
