"""What a driver shares a study with: others that work on it at the same time, on a database that admits several.

All of it happens within the driver's step, so that nobody else writes meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import replace

from cspnas.errors import FailureKind
from cspnas.runners.protocol import Work
from cspnas.searching.resume import work_again
from cspnas.storage.database import Database, InFlight
from cspnas.storage.load_results import load_suggestions, trainings_in
from cspnas.study.evaluation import Evaluation
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study
from cspnas.study.suggestion import RecordedSuggestion
from cspnas.training.payload import ResultPayload


class OtherDrivers:
    """Brings results up to date with what other drivers wrote, and finds what dead or hung ones left under way."""

    def __init__(self, study: Study, database: Database, results: StudyResults, driver_id: int) -> None:
        self._study, self._database, self._results, self._driver_id = study, database, results, driver_id
        # The newest evaluation's id; what the tables say is under way, by id.
        self._last = 0
        self._flying: dict[int, InFlight] = {}

    def load(self) -> None:
        """The results were read anew just now."""
        ids = (one.id for network in self._results.networks.values() for one in network.evaluations)
        self._last = max(ids, default=0)
        self._flying = {one.id: one for one in self._database.in_flight(self._results.study_id)}

    def hear(
        self, since: int, open_: Collection[int]
    ) -> tuple[list[RecordedSuggestion], list[tuple[int, NetworkRecord]]]:
        """Others' suggestions from number `since` on, and trainings known before, by id, that others have ended: theirs, and
        of our own (`open_`) those that they took over.
        """
        study_id = self._results.study_id
        suggestions = load_suggestions(self._database, study_id, since)
        first = {one.evaluation_id: one for one in reversed(suggestions)}
        for network, evaluation in trainings_in(self._database, study_id, after=self._last):
            self._last = evaluation.id
            self._add(network, evaluation, first)
        before = self._flying
        self._flying = {one.id: one for one in self._database.in_flight(study_id)}
        gone = [
            identifier for identifier in {*before, *open_, *self._results.bad_data} if identifier not in self._flying
        ]
        ended = trainings_in(self._database, study_id, among=gone) if gone else []
        finished = [(one.id, self._finish(one)) for _, one in ended]
        return suggestions, [(identifier, network) for identifier, network in finished if network is not None]

    def _add(self, network: NetworkRecord, evaluation: Evaluation, first: dict[int | None, RecordedSuggestion]) -> None:
        known = self._results.networks.get(network.digest)
        if known is None or all(one.id != evaluation.id for one in known.evaluations):
            made = first[evaluation.id]
            self._results.add(replace(network, source=made.source), evaluation, made.genotype)

    def _finish(self, ended: Evaluation) -> NetworkRecord | None:
        """The network of a training that somebody else has ended."""
        known = self._results.evaluation(ended.digest, ended.id)
        mended = known.failure_kind == FailureKind.BAD_DATA and ended.failure_kind != FailureKind.BAD_DATA
        return self._results.replace(ended) if known.under_way or mended else None

    def owner(self, evaluation_id: int) -> int | None:
        """The driver that an evaluation is under way for; None where it has ended."""
        flying = self._flying.get(evaluation_id)
        return None if flying is None else flying.driver_id

    def have(self, work: Work, result: ResultPayload, *, crashed: bool) -> bool:
        """Whether a training has a result by now, or is left to the driver that took it over while this one hung."""
        owner = self.owner(work.evaluation_id)
        if owner is None and not crashed:
            self._database.keep_late(work.evaluation_id, self._driver_id, result)
        return owner is None or (crashed and owner != self._driver_id)

    def orphan(self, open_: Container[int]) -> Work | None:
        """A training that no driver does any more; `open_`: the ids of our own."""
        others = [one for one in self._flying.values() if one.id not in open_]
        if not others:
            return None
        running = self._database.running_drivers()
        left = next((one for one in others if one.driver_id not in running - {self._driver_id}), None)
        return None if left is None else self._again(left)

    def _again(self, left: InFlight) -> Work:
        made = self._database.suggestion_for(self._results.study_id, left.id).suggestion
        self._flying[left.id] = replace(left, driver_id=self._driver_id)
        known = self._results.evaluation(left.digest, left.id)
        tried = replace(known, attempt=left.attempt, micro_batch=left.micro_batch)
        return work_again(self._study, self._results.networks[left.digest], tried, made)
