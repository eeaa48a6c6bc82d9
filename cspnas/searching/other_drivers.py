"""What a driver shares a study with: others that work on it at the same time, on a database that admits several.

All of it happens within the driver's step, so that nobody else writes meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from dataclasses import replace
from typing import Any

from cspnas.errors import FailureKind
from cspnas.runners.protocol import Work
from cspnas.searching.resume import work_again
from cspnas.storage.database import Database
from cspnas.storage.transactions import Row
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study
from cspnas.training.payload import ResultPayload


class OtherDrivers:
    """Brings results up to date with what other drivers wrote, and finds what dead or hung ones left under way."""

    def __init__(self, study: Study, database: Database, results: StudyResults, driver_id: int) -> None:
        self._study, self._database, self._results, self._driver_id = study, database, results, driver_id
        # The newest evaluation's id; what the tables say is under way, by id.
        self._last = 0
        self._flying: dict[int, Row] = {}

    def load(self) -> None:
        """The results were read anew just now."""
        ids = (one.id for network in self._results.networks.values() for one in network.evaluations)
        self._last = max(ids, default=0)
        self._flying = {row["id"]: row for row in self._database.in_flight(self._results.study_id)}

    def hear(self, since: int, open_: Collection[int]) -> tuple[list[Row], list[tuple[int, NetworkRecord]]]:
        """Others' suggestions from number `since` on, and trainings known before, by id, that others have ended: theirs, and
        of our own (`open_`) those that they took over.
        """
        study_id = self._results.study_id
        suggestions = self._database.suggestions(study_id, since=since)
        first = {row["evaluation_id"]: row for row in reversed(suggestions)}
        for row in self._database.evaluations(study_id, after=self._last):
            self._last = row["id"]
            self._add(row, first)
        before = self._flying
        self._flying = {row["id"]: row for row in self._database.in_flight(study_id)}
        gone = [
            identifier for identifier in {*before, *open_, *self._results.bad_data} if identifier not in self._flying
        ]
        ended = self._database.evaluations(study_id, among=gone) if gone else []
        return suggestions, [(row["id"], network) for row in ended if (network := self._finish(row)) is not None]

    def _add(self, row: Row, first: dict[int, Row]) -> None:
        digest = row["digest"]
        known = self._results.networks.get(digest)
        if known is not None and any(one.id == row["id"] for one in known.evaluations):
            return
        architecture = {"digest": digest, "document": row.pop("document"), "costs": row.pop("costs")}
        made = first[row["id"]]
        self._results.add(architecture, row, made["source"], made["genotype"])

    def _finish(self, row: Row) -> NetworkRecord | None:
        """The network of a training that somebody else has ended."""
        network = self._results.networks[row["digest"]]
        known = next(one for one in network.evaluations if one.id == row["id"])
        mended = known.failure_kind == FailureKind.BAD_DATA and row["failure_kind"] != FailureKind.BAD_DATA
        if not known.under_way and not mended:
            return None
        changes = {
            key: row[key]
            for key in ("state", "accuracy", "failure_kind", "finished", "driver_id", "attempt", "micro_batch")
        }
        return self._results.finish(row["digest"], row["id"], {**changes, "result": row})

    def owner(self, evaluation_id: int) -> int | None:
        """The driver that an evaluation is under way for; None where it has ended."""
        row = self._flying.get(evaluation_id)
        return None if row is None else row["driver_id"]

    def have(self, work: Work, result: ResultPayload, *, crashed: bool) -> bool:
        """Whether a training has a result by now, or is left to the driver that took it over while this one hung."""
        owner = self.owner(work.evaluation_id)
        if owner is None and not crashed:
            self._database.keep_late(work.evaluation_id, self._driver_id, dict(result))
        return owner is None or (crashed and owner != self._driver_id)

    def orphan(self, open_: Container[int]) -> Work | None:
        """A training that no driver does any more; `open_`: the ids of our own."""
        others = [row for row in self._flying.values() if row["id"] not in open_]
        if not others:
            return None
        running = self._database.running_drivers()
        row = next((row for row in others if row["driver_id"] not in running - {self._driver_id}), None)
        return None if row is None else self._again(row)

    def _again(self, row: dict[str, Any]) -> Work:
        made = self._database.suggestion_for(self._results.study_id, row["id"])
        row["driver_id"] = self._driver_id
        network = self._results.networks[row["digest"]]
        known = next(one for one in network.evaluations if one.id == row["id"])
        tried = replace(known, attempt=row["attempt"], micro_batch=row["micro_batch"])
        return work_again(self._study, network, tried, made)
