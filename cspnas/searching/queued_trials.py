"""Networks that a user puts into the queue of Optuna's study (`study.enqueue_trial`), to be trained next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cspnas.errors import InputError
from cspnas.space.search_space import Gene, Genotype, SearchSpace
from cspnas.storage.database import Database
from cspnas.storage.optuna_queue import OptunaQueue, WaitingTrial
from cspnas.storage.trial_numbers import trial_numbers
from cspnas.study.candidates import Candidate, candidate, violations
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study

# What the source of such a network begins with; the trial's number follows.
QUEUED = "queued:"
HINT = "the network is not trained"


class QueuedTrials:
    """The queue of one study. A trial in it becomes the trial of its network, or fails with the reason as an attribute."""

    def __init__(self, study: Study, database: Database, name: str) -> None:
        self._study, self._database, self._name = study, database, name
        self._queue = OptunaQueue(database, name)
        self._next: WaitingTrial | None = None

    def next(self, results: StudyResults) -> list[tuple[str, Candidate]]:
        """(source, candidate) of the first trial in the queue whose network is new, or nothing."""
        for trial in self._queue.waiting():
            try:
                drawn = self._candidate(trial)
                if drawn.digest not in results.networks:
                    self._next = trial
                    return [(f"{QUEUED}{trial.number}", drawn)]
                self._join(trial, drawn.digest, results)
            except InputError as error:
                self._queue.refuse(trial, str(error))
        return []

    def take(self, digest: str, results: StudyResults) -> None:
        """What `next` gave has become a network of the study: its trial is that network's."""
        if self._next is not None and self._queue.take(self._next, digest):
            results.trials[digest] = self._next.number

    def _candidate(self, trial: WaitingTrial) -> Candidate:
        """Raises InputError where it is no point of the space, or breaks a constraint."""
        drawn = candidate(self._study, genotype_from(self._study.space, trial.params))
        if broken := [text for text, excess in violations(self._study, drawn.costs).items() if excess > 0]:
            raise InputError("another network", expected=f"one that meets {' and '.join(broken)}", hint=HINT)
        return drawn

    def _join(self, trial: WaitingTrial, digest: str, results: StudyResults) -> None:
        """A known network has one trial: this one, if it has none and is still under way. Raises InputError if it has one."""
        known = trial_numbers(self._database, self._name).get(digest)
        if known is not None:
            raise InputError(f"the network of trial {known}", expected="a new one", hint="see that trial")
        # What has ended gets its trial in a moment.
        if all(one.under_way for one in results.networks[digest].evaluations) and self._queue.take(trial, digest):
            results.trials[digest] = trial.number


def genotype_from(space: SearchSpace, params: Mapping[str, Any]) -> Genotype:
    """The genotype that an Optuna trial's parameters name. Raises InputError where they are no point of the space."""
    names = [gene.name for gene in space.genes()]
    for name in params:
        if name not in names:
            raise InputError(f"parameter {name!r}", expected=f"some of {', '.join(names)}", hint=HINT)
    genotype: Genotype = {}
    for gene in space.genes():
        if space.exists(gene, genotype):
            genotype[gene.name] = _choice(gene, params)
    return genotype


def _choice(gene: Gene, params: Mapping[str, Any]) -> Any:
    """The gene's own value that equals the parameter: 2 for 2.0."""
    found = params.get(gene.name)
    for choice in gene.choices:
        if found == choice and isinstance(found, bool) == isinstance(choice, bool):
            return choice
    said = f"{gene.name} {found!r}" if gene.name in params else f"no {gene.name}"
    raise InputError(said, expected=f"one of {', '.join(map(str, gene.choices))}", hint=HINT)
