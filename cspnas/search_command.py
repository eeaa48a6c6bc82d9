"""`cspnas search`: from flags to a study, its search and the closing table."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import Any

from cspnas.errors import InputError
from cspnas.library import existing_place, new_place


def run(
    space: str,
    flags: dict[str, tuple[str, Any]],
    sets: list[str],
    constraints: list[str],
    study_name: str | None,
    storage: str | None,
    time_limit: str | None,
    *,
    runner: str,
    address: str | None,
    device: str,
    per_gpu: int | None,
    reuse: str | None,
) -> None:
    """Search; Ctrl-C keeps everything finished, says how to continue and exits with 130."""
    from cspnas.data_form import folder_form
    from cspnas.space_document import apply_set, find_space, read_space

    overrides, sources = dict(apply_set(text) for text in sets), {}
    sources = {key: f"--set {key}" for key in overrides}
    for key, (flag, value) in flags.items():
        if value is not None:
            overrides[key], sources[key] = value, flag
    study = read_space(find_space(space), overrides, sources, folder_form)
    study = replace(study, constraints=_merged(study.constraints, constraints), time_limit=_seconds(time_limit))
    place = new_place(study_name or study.space_name, storage)
    reuse_from = existing_place(reuse) if reuse else None
    from cspnas.progress import Progress
    from cspnas.runners.workplace import Where
    from cspnas.search import run_search

    where = Where(runner, address, device, per_gpu)

    shown: list[Progress] = []

    def on_open(session: Any) -> Progress:
        shown.append(Progress(session))
        return shown[0]

    try:
        reason = run_search(study, place, where=where, reuse_from=reuse_from, on_open=on_open)
    except KeyboardInterrupt:
        if shown:
            shown[0].end()
        sys.stderr.write("interrupted: everything finished is kept; the same command continues the search\n")
        raise SystemExit(130) from None
    shown[0].end()
    sys.stderr.write(f"done: {reason}\n")
    _close(place, study_name or study.space_name)


def _close(place: Any, name: str) -> None:
    from cspnas.database import Database
    from cspnas.summary import open_study, summarise
    from cspnas.tables import print_summary

    print_summary(summarise(open_study(Database(place.url, read_only=True), place.name)))
    target = name if str(place.file) == f"studies/{name}.db" else f"{place.url}#{name}"
    print(f"next: cspnas export {target} --pick knee -o best.yaml\n      cspnas dashboard {target}")


def _merged(from_file: tuple[Any, ...], flags: list[str]) -> tuple[Any, ...]:
    """A flag's constraint takes the place of the file's on the same cost and side."""
    from cspnas.objectives import parse_constraint

    parsed = [parse_constraint(text) for text in flags]
    replaced = {(c.name, c.sign) for c in parsed}
    return (*(c for c in from_file if (c.name, c.sign) not in replaced), *parsed)


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([smhd]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise InputError(f"time {text!r}", expected="a duration above 0 such as 90s, 30m or 2h", where="--time")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
