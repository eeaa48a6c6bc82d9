"""Where earlier drivers of a study stopped, read from its suggestions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from typing import Any

from cspnas.runners.protocol import Work
from cspnas.space.genotype_of import genotype_of
from cspnas.storage.transactions import Row
from cspnas.study.candidates import Candidate, baseline_curves, candidate
from cspnas.study.evaluation import Evaluation
from cspnas.study.evaluation_key import unit_of
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study
from cspnas.study.states import Outcome
from cspnas.study.suggestion import CONFIRM, Suggestion


def cut_short(study: Study, results: StudyResults, rows: list[Row]) -> list[Work]:
    """Trainings that no driver runs any more; whoever holds the lock takes them over, as the attempts they were.

    `rows`: all suggestions, oldest first, here and below.
    """
    first = {row["evaluation_id"]: row for row in reversed(rows)}
    return [
        work_again(study, network, evaluation, first[evaluation.id])
        for network in results.networks.values()
        for evaluation in network.evaluations
        if evaluation.under_way
    ]


def work_again(study: Study, network: NetworkRecord, evaluation: Evaluation, made: Row) -> Work:
    """The training of an evaluation that the suggestion `made` began, as the attempt that it was."""
    unit = unit_of(study, network, evaluation.repeat)
    work = Work(evaluation.id, network.digest, evaluation.attempt, unit, suggestion_of(made))
    return work if evaluation.micro_batch is None else work.smaller(evaluation.micro_batch)


def suggestion_of(row: Row) -> Suggestion:
    """A recorded suggestion; no sampler waits to be told of it."""
    return Suggestion(row["number"], row["source"], row["genotype"], (row["note"] or {}).get("state"))


def missing_baselines(study: Study, rows: list[Row]) -> list[tuple[str, Candidate]]:
    """(source, candidate) of each baseline that is still to be suggested, in order."""
    done = Counter(row["source"] for row in rows)
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


def since_last_training(rows: Iterable[Mapping[str, Any]], before: int = 0) -> int:
    """How many suggestions of new networks came since one was trained, in `rows` after `before` of them."""
    for row in rows:
        if row["source"] != CONFIRM:
            before = 0 if row["outcome"] == Outcome.TRAINING else before + 1
    return before
