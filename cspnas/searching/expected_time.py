"""How long a search will take, said before it starts."""

from __future__ import annotations

from statistics import fmean

from cspnas.runners.training_estimate import TrainingEstimate, about
from cspnas.study.results import StudyResults
from cspnas.study.states import State


def expected_time(results: StudyResults, trials: int, workers: int, estimate: TrainingEstimate | None) -> list[str]:
    """A line on the trainings of `trials` that are left, by those that there are or else by the `estimate`; none where
    nothing is left or nothing says it.
    """
    left = trials - results.finished
    past = _past_seconds(results)
    if left < 1 or not (past or estimate):
        return []
    whole = fmean(past) * left / min(workers, left) if past else estimate.whole(left) if estimate else 0.0
    plural = ["s" * (number != 1) for number in (left, workers)]
    return [f"{about(whole)} for {left} training{plural[0]} by {workers} worker{plural[1]}"]


def _past_seconds(results: StudyResults) -> list[float]:
    """Of each training that has ended with an accuracy."""
    every = [one for network in results.networks.values() for one in network.evaluations]
    return [one.finished - one.started for one in every if one.state == State.TRAINED and one.finished is not None]
