"""What a search does next, as a value: which kind of training, whether to wait, or that it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cspnas.runners.protocol import Done, Wait
from cspnas.study.candidates import Candidate
from cspnas.study.network_record import NetworkRecord

# Suggestions in a row without a training, then candidates are drawn evenly among the untried ones.
MAX_REPEATED_SUGGESTIONS = 50


@dataclass(frozen=True, slots=True)
class Baseline:
    """Suggest the next network that a user gave or put into the queue, or baseline: `source` is `given:DIGEST`,
    `queued:TRIAL`, `baseline:plain` or `baseline:csp`.
    """

    source: str
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Explore:
    """Suggest a new network: the sampler's choice, or (`evenly`) one drawn evenly among the untried ones."""

    evenly: bool


@dataclass(frozen=True, slots=True)
class Confirm:
    """Train a known network again, with a new seed."""

    network: NetworkRecord


# A policy that pauses trainings adds `Promote(network)` here and in `SearchPolicy.next`.
NextStep = Baseline | Explore | Confirm | Wait | Done


class Counts(Protocol):
    """Of a study's results what a policy reads: evaluations ended or in flight."""

    @property
    def trainings(self) -> int:
        """Reused results are none."""

    @property
    def explored(self) -> int:
        """Trainings of networks that had not been evaluated before."""

    @property
    def confirmations(self) -> int:
        """Evaluations of networks that had been evaluated before, reused ones included."""

    @property
    def in_flight(self) -> int:
        """Trainings under way, of all searches of this study."""


@dataclass(frozen=True, slots=True)
class SearchState:
    """Where a search stands beside its results: `seconds` since it started, whether trainings of its own are `under_way`,
    the `baselines` still to come, `idle` suggestions in a row without a training. `all_tried`: the line that says so where
    no untried network is left, else None.
    """

    seconds: float = 0.0
    under_way: bool = False
    baselines: tuple[tuple[str, Candidate], ...] = ()
    idle: int = 0
    all_tried: str | None = None


@dataclass(frozen=True, slots=True)
class SearchPolicy:
    """Baselines first, then new networks, then confirmations for the last `confirm_share` of the trainings or of the time.

    `trials`: trainings in all. `time_limit`: seconds after which nothing new is started.
    """

    trials: int
    confirm_share: float
    time_limit: float | None = None

    def next(self, results: Counts, state: SearchState, to_confirm: Callable[[], NetworkRecord | None]) -> NextStep:
        """The next step. It depends on nothing but these arguments; `to_confirm` gives the network to confirm next."""
        if self.time_limit is not None and state.seconds >= self.time_limit:
            return Wait() if state.under_way else Done("time is up")
        if results.trainings >= self.trials:
            return self._end(
                results, "the one training is done" if self.trials == 1 else f"all {self.trials} trainings are done"
            )
        if state.baselines:
            return Baseline(*state.baselines[0])
        if self._late(results, state) and (step := self._confirm(results, to_confirm)):
            return step
        if state.all_tried is None:
            return Explore(evenly=state.idle >= MAX_REPEATED_SUGGESTIONS)
        return self._confirm(results, to_confirm) or self._end(results, state.all_tried)

    def _end(self, results: Counts, reason: str) -> Wait | Done:
        return Wait() if results.in_flight else Done(reason)

    @property
    def quota(self) -> int:
        """Confirmations in all: `confirm_share` of the budget, rounded down (29 % of 100 is 29, whatever floats say).

        A reused confirmation fills the quota as a trained one does, so that a study ends whose every result is known; it
        costs no training, which leaves one more for a new network.
        """
        return int(round(self.confirm_share * self.trials, 9))

    def _late(self, results: Counts, state: SearchState) -> bool:
        """Whether what is left of the trainings, or of the time, is for confirmations."""
        limit = self.time_limit
        late = limit is not None and state.seconds > (1 - self.confirm_share) * limit
        return late or results.explored >= self.trials - self.quota

    def _confirm(self, results: Counts, to_confirm: Callable[[], NetworkRecord | None]) -> Confirm | None:
        """None where the quota is filled, or no network can be confirmed now."""
        network = to_confirm() if results.confirmations < self.quota else None
        return None if network is None else Confirm(network)
