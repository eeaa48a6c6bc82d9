"""What a study found, as values for tables, plots and JSON: the front, the baselines, what was won, and how sure that is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, make_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cspnas.errors import FailureKind
from cspnas.objectives.objectives import exact_names, measured_names, with_unit
from cspnas.reports.stage_notation import chosen_ratios, wiring
from cspnas.storage.engine import undamaged
from cspnas.storage.open_study import OpenStudy
from cspnas.study.evaluation import Evaluation
from cspnas.study.failures import quarantined
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.states import State
from cspnas.study.study_record import FrozenSettings
from cspnas.study.verdict import Estimates, Verdict, verdict

Summary = TypeVar("Summary", bound="NetworkSummary | TrainingSummary")


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """One network of a study. `accuracy` (mean over `seeds`) and its standard error are fractions, and so is `evenness`;
    other units stand in the names; None is what is not known. `trial` is its number in Optuna's tables, `source` what
    proposed it, `wiring` its stages in short, `knee` whether it is the front's knee. It has a field for each objective.
    """

    trial: int | None
    digest: str
    source: str
    accuracy: float
    accuracy_standard_error: float | None
    seeds: int
    knee: bool
    if TYPE_CHECKING:
        wiring: str

        def __getattr__(self, objective: str) -> Any: ...

    def value(self, objective: str) -> float | None:
        """Of an objective by its name; None where it is not known."""
        value: float | None = getattr(self, with_unit(objective))
        return value


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """One training of a network with one seed, the `repeat`-th one counted from 0. `state` is `in_flight`, `trained`,
    `reused` (another study had the result) or `failed` (of `failure_kind`); `accuracy` is a fraction; `started` and
    `finished` are seconds since 1970. `micro_batch`: images at once, where a whole batch did not fit. It has a field
    for each measured objective.
    """

    trial: int | None
    digest: str
    seed: int
    repeat: int
    state: State
    accuracy: float | None
    failure_kind: FailureKind | None
    attempts: int
    micro_batch: int | None
    started: float
    finished: float | None
    if TYPE_CHECKING:

        def __getattr__(self, objective: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class FailureSummary:
    """A training that failed: its network, why, and the last lines of its worker's `log`, where there are some.
    `quarantined`: the network is not trained again.
    """

    trial: int | None
    digest: str
    wiring: str
    source: str
    seed: int
    kind: FailureKind | None
    message: str
    log: str | None
    attempts: int
    micro_batch: int | None
    quarantined: bool


@dataclass(frozen=True, slots=True)
class StudySummary:
    """What a study found. `suggestions`: how many had each outcome; `baselines`: each curve's networks, ascending FLOPs;
    deviations are those of accuracy, fractions, None where they are not known; `confirmed_networks`: those that the search
    found, and `seed_networks`: all that have an accuracy of more than one seed; `won_at_equal_flops`: the verdict against
    each curve, None where nothing was confirmed within it.
    """

    study: str
    family: str
    objectives: list[str]
    trainings: int
    in_flight: int
    networks: int
    confirmations: int
    failed: int
    failures: list[FailureSummary]
    suggestions: dict[str, int]
    hypervolume: float
    front: list[NetworkSummary]
    front_confirmed: int
    baselines: dict[str, list[NetworkSummary]]
    seed_standard_deviation: float | None
    seed_degrees_of_freedom: int
    confirmed_networks: int
    seed_networks: int
    between_network_standard_deviation: float | None
    won_at_equal_flops: dict[str, Verdict | None]

    def to_json(self) -> dict[str, Any]:
        """As `cspnas front --json` prints it."""
        won = {kind: None if one is None else one.to_json() for kind, one in self.won_at_equal_flops.items()}
        return asdict(self) | {"won_at_equal_flops": won}


@cache
def network_class() -> type[NetworkSummary]:
    """The class with a field for each objective, those of installed packages among them."""
    names = (*exact_names(), *measured_names()[1:])
    return _with_fields(NetworkSummary, *((with_unit(name), "float | None") for name in names), ("wiring", "str"))


@cache
def _training_class() -> type[TrainingSummary]:
    return _with_fields(TrainingSummary, *((with_unit(name), "float | None") for name in measured_names()[1:]))


def _with_fields(summary: type[Summary], *more: tuple[str, str]) -> type[Summary]:
    """The dataclass with `more` fields, names and types, after its own."""

    def reduced(made: Summary) -> tuple[object, ...]:
        return _restored, (summary, *(getattr(made, field.name) for field in fields(made)))

    # No module holds the class.
    pickled = {"__reduce__": reduced}
    return make_dataclass(summary.__name__, more, bases=(summary,), namespace=pickled, frozen=True, slots=True)


def _restored(summary: type, *values: Any) -> NetworkSummary | TrainingSummary:
    return (network_class() if summary is NetworkSummary else _training_class())(*values)


def network_summary(opened: OpenStudy, network: NetworkRecord, knee: NetworkRecord | None) -> NetworkSummary:
    """What is known of one network; `knee` is the front's."""
    results = opened.results
    error = results.standard_error(network)
    return network_class()(
        trial=results.trials.get(network.digest),
        digest=network.digest,
        source=network.source,
        accuracy=network.accuracy,
        accuracy_standard_error=None if np.isnan(error) else error,
        seeds=len(network.accuracies),
        knee=network is knee,
        # older studies have not all of them
        **{with_unit(name): network.costs.get(name) for name in exact_names()},
        **{with_unit(name): network.value(name) if network.values(name) else None for name in measured_names()[1:]},
        wiring=_wiring(results, network, opened.row.settings),
    )


def _wiring(results: StudyResults, network: NetworkRecord, settings: FrozenSettings) -> str:
    return wiring(network.document, chosen_ratios(settings, results.genotypes.get(network.digest, {})))


def summarise(opened: OpenStudy) -> StudySummary:
    """What the study found. Raises StorageError where the study is damaged."""
    with undamaged(opened.database.shown_url):
        return _summary(opened)


def front_of(opened: OpenStudy) -> list[NetworkSummary]:
    """The front, most accurate first. Raises StorageError where the study is damaged."""
    with undamaged(opened.database.shown_url):
        knee = opened.results.knee()
        return [network_summary(opened, network, knee) for network in opened.results.front()]


def members(opened: OpenStudy) -> list[NetworkSummary]:
    """Every network that has an accuracy. Raises StorageError where the study is damaged."""
    with undamaged(opened.database.shown_url):
        knee = opened.results.knee()
        return [network_summary(opened, network, knee) for network in opened.results.measured()]


def trainings_of(opened: OpenStudy) -> list[TrainingSummary]:
    """Every training, oldest first."""
    known = (one for network in opened.results.networks.values() for one in network.evaluations)
    return [
        _training_class()(
            trial=opened.results.trials.get(one.digest),
            digest=one.digest,
            seed=one.seed,
            repeat=one.repeat,
            state=one.state,
            accuracy=one.accuracy,
            failure_kind=one.failure_kind,
            attempts=one.attempt,
            micro_batch=one.micro_batch,
            started=one.started,
            finished=one.finished,
            **{with_unit(name): one.measured.get(name) for name in measured_names()[1:]},
        )
        for one in sorted(known, key=lambda one: one.id)
    ]


def _summary(opened: OpenStudy) -> StudySummary:
    results, settings = opened.results, opened.row.settings
    knee, (deviation, freedom) = results.knee(), results.seed_deviation()
    measured, front, curves = results.measured(), results.front(), results.curves()
    # Studies of before have such baselines in a space without CSP, too.
    if not curves["csp"] and not settings.space().may_be_csp:
        del curves["csp"]
    between = float(np.std([n.accuracy for n in measured], ddof=1)) if len(measured) > 1 else None
    return StudySummary(
        study=opened.name,
        family=settings.values.get("space.family", ""),
        objectives=list(results.reference.objectives),
        trainings=results.finished,
        in_flight=results.in_flight,
        networks=len(measured),
        confirmations=results.confirmations,
        failed=results.failed,
        failures=_failures(opened),
        suggestions=opened.database.outcomes(opened.row.id),
        hypervolume=results.hypervolume(),
        front=[network_summary(opened, network, knee) for network in front],
        front_confirmed=_confirmed(front),
        baselines={kind: [network_summary(opened, n, None) for n in curve] for kind, curve in curves.items()},
        seed_standard_deviation=deviation if freedom else None,
        seed_degrees_of_freedom=freedom,
        confirmed_networks=_confirmed(results.confirmed()),
        seed_networks=_confirmed(measured),
        between_network_standard_deviation=between,
        won_at_equal_flops={kind: _won_at_equal_flops(results, curve) for kind, curve in curves.items()},
    )


def _confirmed(networks: list[NetworkRecord]) -> int:
    return sum(len(network.accuracies) > 1 for network in networks)


def _failures(opened: OpenStudy) -> list[FailureSummary]:
    """Every training that failed, oldest first."""
    failed = [(n, one) for n in opened.results.networks.values() for one in n.evaluations if one.state == State.FAILED]
    return [_failure(opened, network, one) for network, one in sorted(failed, key=lambda pair: pair[1].id)]


def _failure(opened: OpenStudy, network: NetworkRecord, one: Evaluation) -> FailureSummary:
    told = opened.database.result(one.id).get("failure")
    return FailureSummary(
        trial=opened.results.trials.get(network.digest),
        digest=network.digest,
        wiring=_wiring(opened.results, network, opened.row.settings),
        source=network.source,
        seed=one.seed,
        kind=one.failure_kind,
        message=told.get("message", "") if told else "",
        log=told.get("log") if told else None,
        attempts=one.attempt,
        micro_batch=one.micro_batch,
        quarantined=quarantined(one.failure_kind),
    )


def _won_at_equal_flops(results: StudyResults, curve: list[NetworkRecord]) -> Verdict | None:
    """The verdict against a baseline curve (`verdict.py`), None where nothing was confirmed within it."""
    found = [network for network in results.confirmed() if len(network.accuracies) > 1]
    # A network's first accuracy is why it was confirmed.
    return verdict(_estimates(found, skip=1), _estimates(curve, skip=0), *results.seed_deviation())


def _estimates(networks: list[NetworkRecord], skip: int) -> Estimates:
    """Without the first `skip` accuracies of each."""
    counted = [network.accuracies[skip:] for network in networks]
    flops = np.array([network.costs["flops"] for network in networks], float)
    return Estimates(flops, np.array([np.mean(one) for one in counted]), np.array([len(one) for one in counted]))
