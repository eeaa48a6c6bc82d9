"""A search in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.api.arguments import expect
from cspnas.api.spaces import space_to_search
from cspnas.api.studies import StudyView, view_of
from cspnas.errors import InputError
from cspnas.io.did_you_mean import nearest
from cspnas.io.steps import Step, silent
from cspnas.network.architecture import Architecture
from cspnas.objectives.objectives import check_one_measured
from cspnas.runners.protocol import OnEvent, RunEvent, RunnerOptions, Work
from cspnas.storage.locations import StudyLocation, existing_place, new_place, new_study_name
from cspnas.study.settings import SAMPLERS, Study

if TYPE_CHECKING:
    from cspnas.searching.run import Session


@dataclass(frozen=True, slots=True)
class SearchEvent:
    """Something that happened in a search. `kind`: `started`, `epoch` (of a training), `finished`, `crashed` (a training that
    is tried again), `reused` (another study had the result), `tick` (nothing happened for a second).

    `digest` and `seed` name the training. `accuracy` is a fraction, of an epoch or of the whole training; `failure` says why
    a training gave no result. `trainings` have ended, of `trials` in all.
    """

    kind: RunEvent
    trainings: int
    trials: int
    digest: str | None = None
    seed: int | None = None
    accuracy: float | None = None
    failure: str | None = None


def search(
    space: Study | str | Path,
    *,
    study: str | None = None,
    storage: str | None = None,
    trials: int | None = None,
    sampler: str | None = None,
    seed: int | None = None,
    workers: int | None = None,
    seconds: float | None = None,
    runner: str = "local",
    address: str | None = None,
    device: str = "auto",
    per_gpu: int | None = None,
    reuse_from: str | None = None,
    seed_with: Sequence[Architecture | str | Path] = (),
    on_event: Callable[[SearchEvent], None] | None = None,
    on_step: Step = silent,
) -> StudyView:
    """Search a space until its budget is spent; the study, open to read. The same call again continues the study.

    `space` is a value of `load_space`, a file, or a shipped space's name. `study` is the study's name (the space's if not
    given), `storage` a database file or URL (`studies/NAME.db`). `trials` counts trainings in all, earlier ones included;
    nothing is started after `seconds`. `trials`, `sampler`, `seed` and `workers` replace those of the space. `runner` is
    `local` or `ray` (at `address`), `device` is `auto`, `cpu`, `cuda` or `cuda:0,1`, shared by `per_gpu` trainings each.
    `reuse_from` is a study whose results are taken over where they are the same. `seed_with` are networks that are trained
    first: values, files, reference networks by name, and fronts of studies. `on_event` hears what happens, in this
    process; `on_step` what is prepared before. Workers are processes of their own: they do not run the calling script.

    Raises InputError for wrong arguments, files and data, with nothing written; StorageError where the database cannot be
    used; CspnasError where the work failed. KeyboardInterrupt ends a search with every finished training kept.
    """
    texts = {"study": study, "storage": storage, "reuse_from": reuse_from, "address": address}
    _check_arguments({**texts, "runner": runner, "device": device}, trials, seed, workers, per_gpu, seconds, on_event)
    settings = _with(
        space_to_search(space, on_step), trials=trials, sampler=sampler, seed=seed, workers=workers, time_limit=seconds
    )
    settings = _checked(settings, seed_with)
    place = new_place(new_study_name(study, settings.space_name), storage)
    return search_study(
        settings,
        place,
        RunnerOptions(runner, address, device, per_gpu),
        reuse_from=None if reuse_from is None else existing_place(reuse_from, "reuse_from"),
        on_open=lambda session: _telling(session, on_event),
        on_step=on_step,
    )


def _check_arguments(
    texts: Mapping[str, object], trials: Any, seed: Any, workers: Any, per_gpu: Any, seconds: Any, on_event: Any
) -> None:
    where = "cspnas.search"
    expect(where, **{name: (value, str) for name, value in texts.items()})
    expect(where, trials=(trials, int, 1, 1_000_000), seed=(seed, int, 0, 2**63 - 1), seconds=(seconds, float, 0))
    expect(where, workers=(workers, int, 0, 4096), per_gpu=(per_gpu, int, 1, 4096))
    if on_event is not None and not callable(on_event):
        raise InputError(f"on_event={on_event!r}", expected="a function of one event", where=where)


def search_study(
    settings: Study,
    place: StudyLocation,
    options: RunnerOptions,
    *,
    reuse_from: StudyLocation | None,
    on_open: Callable[[Session], OnEvent],
    on_step: Step = silent,
) -> StudyView:
    """As `search`, with everything read and checked; `on_open` gets the open search and gives what hears its events."""
    from cspnas.searching.run import run_search

    reason = run_search(settings, place, options=options, reuse_from=reuse_from, on_open=on_open, on_step=on_step)
    return view_of(place, reason=reason)


def _with(settings: Study, **said: Any) -> Study:
    return replace(settings, **{key: value for key, value in said.items() if value is not None})


def _checked(settings: Study, seed_with: Sequence[Architecture | str | Path]) -> Study:
    """With the given networks. Raises InputError for these, and for values that a space file would be refused for."""
    from cspnas.searching.given_networks import given_networks

    if not settings.recipe.dataset:
        found = f"space {settings.space_name} without a data set"
        hint = 'load_space(..., {"proxy.dataset": "folder:PATH"})'
        raise InputError(found, expected="data to train on", where="cspnas.search", hint=hint)
    if settings.sampler not in SAMPLERS:
        expected, hint = f"one of {', '.join(SAMPLERS)}", nearest(str(settings.sampler), SAMPLERS)
        raise InputError(f"sampler={settings.sampler!r}", expected=expected, where="cspnas.search", hint=hint)
    if settings.sampler == "cost-aware":
        check_one_measured(settings.objectives, "cspnas.search")
    return replace(settings, given=given_networks(settings, seed_with))


def _telling(session: Session, on_event: Callable[[SearchEvent], None] | None) -> OnEvent:
    def hear(kind: RunEvent, work: Work | None, detail: Any) -> None:
        if on_event is None:
            return
        # of an epoch its accuracy, else what is known of a training
        told = {"accuracy": detail} if kind == RunEvent.EPOCH else dict(detail or {})
        failure = told.get("failure")
        on_event(
            SearchEvent(
                kind,
                session.driver.results.finished,
                session.study.trials,
                digest=work.digest if work else told.get("digest"),
                seed=work.unit["seed"] if work else told.get("seed"),
                accuracy=None if failure else told.get("accuracy"),
                failure=f"{failure['kind']}: {failure.get('message', '')}" if failure else None,
            )
        )

    return hear
