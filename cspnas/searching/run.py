"""A search from a study's description to its end: database, lock, driver, projection, runner."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cspnas.data.own_data import located
from cspnas.errors import InputError, StorageError
from cspnas.io.awake_clock import AwakeClock, awake_clock
from cspnas.io.quantities import counted
from cspnas.io.standard_streams import tell
from cspnas.io.steps import Step, silent
from cspnas.objectives.objectives import of_device
from cspnas.runners.protocol import TRAINER, RunEvent
from cspnas.runners.training_estimate import TrainingEstimate, training_estimate
from cspnas.searching.expected_time import expected_time
from cspnas.searching.reuse import Reuse, other_study, reuser
from cspnas.storage.database import Database
from cspnas.storage.engine import UnreachableError, undamaged
from cspnas.storage.locations import StudyLocation
from cspnas.storage.locks import Heartbeat
from cspnas.storage.result_spool import Spool, record_left
from cspnas.storage.study_creation import check_data, known_row, opened
from cspnas.storage.transactions import TakenOverError
from cspnas.study.candidates import SAMPLE, Candidate, admitted_sample, reference_of
from cspnas.study.settings import NO_CSP_BASELINES, Study
from cspnas.study.study_record import StudyFacts, StudyRecord
from cspnas.study.undecided_objectives import undecided
from cspnas.training.payload import EvaluationKey, ResultPayload
from cspnas.training.recipe import recipe_digest

if TYPE_CHECKING:
    from cspnas.runners.protocol import OnEvent, RunnerOptions
    from cspnas.runners.runner import Runner


@dataclass(frozen=True, slots=True)
class Session:
    """An open study with its driver, before anything runs."""

    study: Study
    database: Database
    driver: Any
    devices: list[str]


def run_search(
    study: Study,
    place: StudyLocation,
    *,
    options: RunnerOptions,
    reuse_from: StudyLocation | None,
    on_open: Callable[[Session], OnEvent],
    on_step: Step = silent,
) -> str:
    """Search until the budget is spent; why it ended. The same call again continues the study.

    `on_step` hears what is done before the search is open, from where bad input has been refused that is cheap to find.
    """
    from cspnas.runners.factory import open_runner

    assert place.name is not None
    # Bad input ends in these lines, with nothing written, not even a lock.
    known = known_row(study, place)
    if known is not None:
        on_step(f"checking the data set {study.recipe.dataset}")
        summary = check_data(study, place.name, known.facts)
    other = other_study(reuse_from)
    with open_runner(options, study, place.folder, on_step) as runner:
        measured_on = measuring_device(study, runner)
        sample: list[Candidate] = []
        if known is None:
            on_step(f"drawing {SAMPLE:,} networks for the ranges of the costs")
            sample = admitted_sample(study)
        facts = new_facts(study, sample, runner.precision, measured_on, on_step) if known is None else known.facts
        if known is None:
            summary = facts.images
        check_device(study, measured_on, facts)
        estimate = None
        if known is None and options.evaluator == TRAINER:
            estimate = training_estimate(study, sample, runner.speed, on_step)
        reuse = reuser(study, facts, measured_on, other, reuse_from)
        with opened(study, place, facts) as (database, row), awake_clock() as clock:
            study = replace(study, recipe=replace(study.recipe, precision=row.facts.precision))
            for found in undecided(study, sample):
                _say(found.message, "warning")
            if study.baselines.widths and not study.space.may_be_csp:
                _say(NO_CSP_BASELINES)
            count = len(runner.devices)
            on_step(f"starting {counted(count, 'worker')} and reading the study")
            spool = Spool(place.folder / "spool", row)
            runner.start()
            said = _saying(summary.lines(study.recipe.dataset), estimate, on_open)
            return _drive(study, database, row, runner, reuse, said, spool, clock)


def _saying(
    lines: list[str], estimate: TrainingEstimate | None, on_open: Callable[[Session], OnEvent]
) -> Callable[[Session], OnEvent]:
    """`on_open`, and before it the `lines` and how long the search will take: what is refused until then stays one line."""

    def opened(session: Session) -> OnEvent:
        results, workers = session.driver.results, len(session.devices)
        for line in [*lines, *expected_time(results, session.study.trials, workers, estimate)]:
            tell(line)
        return on_open(session)

    return opened


def _drive(
    study: Study,
    database: Database,
    row: StudyRecord,
    runner: Runner,
    reuse: Reuse,
    on_open: Callable[[Session], OnEvent],
    spool: Spool,
    clock: AwakeClock,
) -> str:
    from cspnas.runners.run_loop import run_loop
    from cspnas.samplers.registry import sampler_of
    from cspnas.searching.driver import Driver
    from cspnas.searching.machine_faults import MachineFaults
    from cspnas.searching.outage import outage_tolerant
    from cspnas.storage.optuna_projection import Projection

    sampler = sampler_of(study)
    about = {"pid": os.getpid(), "host": socket.gethostname(), "python": platform.python_version(), **sampler.about()}
    driver_id = database.start_driver(row.id, about)
    presence = Heartbeat(database, driver_id)
    presence.show()

    def take_over(key: EvaluationKey) -> ResultPayload | None:
        found = reuse(key)
        if found is not None:
            show(RunEvent.REUSED, None, {**key, **found})
        return found

    left = record_left(spool, database, row.id)
    with undamaged(database.shown_url):
        driver = Driver(study, database, row, sampler, driver_id, reuse=take_over, clock=clock)
    if left:
        _say(f"{counted(left, 'result')} that an earlier search kept in {spool.folder}: recorded now")
    projection = Projection(database, row.name, study.space, driver.results)
    projection.update()
    _check_budget(study.trials - driver.results.trainings, len(driver.baselines))
    show = on_open(Session(study, database, driver, runner.devices))

    try:
        source = MachineFaults(outage_tolerant(driver, spool, _say), driver.give_back, runner.folder)
        reason = run_loop(runner, source, _telling(database, presence, projection, show), clock)
    finally:
        presence.end()
    # Results that were reused after the last training ended.
    _project(projection)
    database.end_driver(driver_id)
    return reason


def _check_budget(left: int, first: int) -> None:
    """Say where no more than `first` given networks and baselines can be trained with the trainings that are `left`."""
    if 0 < left <= first:
        _say(
            f"{counted(left, 'training')} left, and {counted(first, 'baseline')} first: the sampler may try nothing; "
            "give the search more --trials, or fewer baselines by --set baselines.widths=1",
            "warning",
        )


def _telling(database: Database, presence: Heartbeat, projection: Any, show: OnEvent) -> OnEvent:
    """What hears the runner's events: Optuna's tables are brought up to date first."""

    def on_event(kind: RunEvent, work: Any, detail: Any) -> None:
        try:
            presence.show()
            if kind == RunEvent.FINISHED:
                _project(projection)
        except UnreachableError:
            if not database.shared:
                raise
            # The driver says so, and waits; the projection is brought up to date later.
        show(kind, work, detail)

    return on_event


def _project(projection: Any) -> None:
    """Bring Optuna's tables up to date; whoever changes them does not end the search, whose own tables are the truth."""
    try:
        projection.update()
    except (UnreachableError, TakenOverError):
        raise
    except StorageError as error:
        _say(f"{error}; the search goes on without them, and its next start makes them anew", "warning")


def _say(text: str, kind: str = "note") -> None:
    tell(f"{kind}: {text}")


def new_facts(
    study: Study,
    sample: list[Candidate],
    faster_precision: Callable[[], str],
    measured_on: str | None = None,
    step: Step = silent,
) -> StudyFacts:
    """What a new study fixes for good: hypervolume reference, data, resolved precision, recipe digest, device.

    `sample`: admitted candidates, which tell the ranges of the costs.
    """
    reference = reference_of(study, sample)
    step(f"reading the data set {study.recipe.dataset}")
    from cspnas.data import datasets

    data = datasets.load(study.recipe.dataset, study.recipe.images, step=step)
    precision = study.recipe.precision
    if precision == "auto":
        step("measuring which precision is faster")
        precision = faster_precision()
    recipe = replace(study.recipe, precision=precision)
    values = {
        "reference": reference.to_json(),
        "precision": precision,
        "data": {
            "dataset": located(data.name),
            "checksum": data.checksum,
            "mean": list(data.mean),
            "std": list(data.std),
            "class_names": list(data.class_names),
            "images": data.summary.to_json(),
        },
        "recipe_digest": recipe_digest(recipe, data.checksum),
        "space": study.space_name,
        "training_images": len(data.train.labels),
        "latency_device": measured_on,
    }
    return StudyFacts(values)


def measuring_device(study: Study, runner: Runner) -> str | None:
    """The kind of device that the study measures on, None where no objective belongs to one.

    Raises InputError where the workers have devices of several kinds.
    """
    if not of_device(study.objectives):
        return None
    names = runner.kinds()
    if len(names) > 1:
        raise InputError(
            f"{_shown(study)} on {' and '.join(names)}",
            expected="devices of one kind",
            where="--device",
            hint="choose some of them",
        )
    return names[0]


def check_device(study: Study, measured_on: str | None, facts: StudyFacts) -> None:
    """Raises InputError where what the study has measured so far is another device's."""
    before = facts.device
    if measured_on != before:
        raise InputError(
            f"{_shown(study)} on {measured_on}",
            expected=f"{before}, as when the study was made",
            where="--device",
            hint="continue it there, or start another study with --study NEW_NAME",
        )


def _shown(study: Study) -> str:
    return f"objective {' and '.join(of_device(study.objectives))}"
