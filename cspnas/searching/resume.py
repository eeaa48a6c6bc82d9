"""Where earlier drivers of a study stopped, read from its suggestions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable

from cspnas.runners.protocol import Work
from cspnas.space.genotype_of import genotype_of
from cspnas.study.candidates import Candidate, baseline_curves, candidate
from cspnas.study.evaluation import Evaluation
from cspnas.study.evaluation_key import unit_of
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study
from cspnas.study.states import Outcome
from cspnas.study.suggestion import CONFIRM, RecordedSuggestion, Suggestion


def cut_short(study: Study, results: StudyResults, suggestions: list[RecordedSuggestion]) -> list[Work]:
    """Trainings that no driver runs any more; whoever holds the lock takes them over, as the attempts they were.

    `suggestions`: all of them, oldest first, here and below.
    """
    first = {one.evaluation_id: one for one in reversed(suggestions)}
    return [
        work_again(study, network, evaluation, first[evaluation.id].suggestion)
        for network in results.networks.values()
        for evaluation in network.evaluations
        if evaluation.under_way
    ]


def work_again(study: Study, network: NetworkRecord, evaluation: Evaluation, made: Suggestion) -> Work:
    """The training of an evaluation that the suggestion `made` began, as the attempt that it was."""
    unit = unit_of(study, network, evaluation.repeat)
    work = Work(evaluation.id, network.digest, evaluation.attempt, unit, made)
    return work if evaluation.micro_batch is None else work.smaller(evaluation.micro_batch)


def missing_baselines(study: Study, suggestions: list[RecordedSuggestion]) -> list[tuple[str, Candidate]]:
    """(source, candidate) of each baseline that is still to be suggested, in order."""
    done = Counter(one.source for one in suggestions)
    missing = []
    for kind, drawn in baseline_curves(study):
        source = f"baseline:{kind}"
        if done[source]:
            done[source] -= 1
        else:
            missing.append((source, drawn))
    return missing


def missing_given(study: Study, known: Container[str]) -> list[tuple[str, Candidate]]:
    """(source, candidate) of each given network whose digest is not in `known`."""
    drawn = (candidate(study, genotype_of(study.space, one, "a given network")) for one in study.given)
    return [(f"given:{one.digest[:12]}", one) for one in drawn if one.digest not in known]


def since_last_training(suggestions: Iterable[RecordedSuggestion], before: int = 0) -> int:
    """How many suggestions of new networks came since one was trained, after `before` of them."""
    for one in suggestions:
        if one.source != CONFIRM:
            before = 0 if one.outcome == Outcome.TRAINING else before + 1
    return before
