"""The study database: `cspnas_` tables are the truth. All SQL of ours is here; one transaction a step."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import sqlalchemy as sa

from cspnas.errors import InputError
from cspnas.objectives.objectives import measured_names
from cspnas.storage.driver_rows import DriverRows, primary_key
from cspnas.storage.tables import (
    architectures_table,
    evaluations_table,
    fronts_table,
    late_table,
    studies_table,
    suggestions_table,
)
from cspnas.storage.transactions import Row, canonical_json
from cspnas.study.evaluation import BegunEvaluation, EvaluationEnd
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import FrontPoint, FrontSnapshot
from cspnas.study.states import State
from cspnas.study.study_record import StudyRecord
from cspnas.study.suggestion import RecordedSuggestion
from cspnas.training.payload import EvaluationKey, ResultPayload


@dataclass(frozen=True, slots=True)
class InFlight:
    """A training under way as the tables have it: its row's id, the driver that it is under way for, its try."""

    id: int
    digest: str
    attempt: int
    driver_id: int | None
    micro_batch: int | None


class Database(DriverRows):
    """The rows of all studies in one database, read and written."""

    def studies(self) -> list[StudyRecord]:
        """Every study in the database."""
        return [StudyRecord.of_row(row) for row in self.rows(sa.select(studies_table).order_by(studies_table.c.id))]

    def study(self, name: str) -> StudyRecord | None:
        """The study of this name."""
        found = self.rows(sa.select(studies_table).where(studies_table.c.name == name))
        return StudyRecord.of_row(found[0]) if found else None

    def chosen(self, name: str | None) -> StudyRecord:
        """The study `name`, or the only one. Raises InputError where it is not there or must be named."""
        rows = {study.name: study for study in self.studies()}
        if name is None and len(rows) == 1:
            return next(iter(rows.values()))
        if name is None or name not in rows:
            raise InputError(
                f"study {name!r}" if name else f"{len(rows)} studies",
                expected=f"one of {', '.join(rows) or 'none: the database is empty'}",
                where=self.shown_url,
                hint="name it after a #",
            )
        return rows[name]

    def create_study(self, name: str, identity: Mapping[str, object], facts: Mapping[str, object]) -> StudyRecord:
        """A new study; all its settings in one transaction."""
        with self.transaction() as connection:
            connection.execute(
                studies_table.insert().values(name=name, identity=identity, facts=facts, created=time.time())
            )
        study = self.study(name)
        assert study is not None
        return study

    def in_flight(self, study_id: int) -> list[InFlight]:
        """Evaluations under way, and whose they are; oldest first."""
        table = evaluations_table
        columns = (table.c.id, table.c.digest, table.c.attempt, table.c.driver_id)
        micro_batch = table.c.result["micro_batch"].as_integer().label("micro_batch")
        flying = (table.c.study_id == study_id) & (table.c.state == State.IN_FLIGHT)
        return [
            InFlight(**row) for row in self.rows(sa.select(*columns, micro_batch).where(flying).order_by(table.c.id))
        ]

    def evaluations(self, study_id: int, *, after: int = 0, among: list[int] | None = None) -> list[Row]:
        """All evaluations with their costs and documents, oldest first; of the bulky `result` only what was measured.

        A document is JSON text: of thousands few are ever looked at. `after`: of greater ids; `among`: of these ids.
        """
        result = evaluations_table.c.result
        kept = [column for column in evaluations_table.c if column is not result]
        kept += [result[name].as_float().label(name) for name in measured_names() if name not in evaluations_table.c]
        kept.append(result["micro_batch"].as_integer().label("micro_batch"))
        document = sa.cast(architectures_table.c.document, sa.Text).label("document")
        return self.rows(
            sa.select(*kept, document, architectures_table.c.costs)
            .join(architectures_table)
            .where(evaluations_table.c.study_id == study_id, *self._chosen_ids(after, among))
            .order_by(evaluations_table.c.id)
        )

    @staticmethod
    def _chosen_ids(after: int, among: list[int] | None) -> list[sa.ColumnElement[bool]]:
        column = evaluations_table.c.id
        return ([column > after] if after else []) + ([] if among is None else [column.in_(among)])

    def evaluation(self, study_id: int, key: EvaluationKey) -> Row | None:
        """Id and state of the evaluation with this key."""
        table = evaluations_table
        chosen = [table.c.study_id == study_id, *(table.c[name] == value for name, value in key.items())]
        found = self.rows(sa.select(table.c.id, table.c.state).where(*chosen))
        return found[0] if found else None

    def result(self, evaluation_id: int) -> ResultPayload:
        """Curve, correctness bits, seconds, device, versions and failure of one evaluation."""
        found = self.rows(sa.select(evaluations_table.c.result).where(evaluations_table.c.id == evaluation_id))
        result: ResultPayload = found[0]["result"] or {}
        return result

    def finished(self, study_id: int) -> Row:
        """How many trainings have ended, and when the last one did: the same until one more has."""
        table = evaluations_table
        columns: list[sa.ColumnElement[Any]] = [sa.func.count(table.c.finished), sa.func.max(table.c.finished)]
        named = [column.label(name) for column, name in zip(columns, ("count", "last"), strict=True)]
        return self.rows(sa.select(*named).where(table.c.study_id == study_id))[0]

    def curves(self, study_id: int, digests: list[str] | None) -> list[Row]:
        """digest and curve of every training that gave an accuracy, of some networks or of all."""
        table = evaluations_table
        chosen = [table.c.study_id == study_id, table.c.accuracy.is_not(None)]
        chosen += [] if digests is None else [table.c.digest.in_(digests)]
        return self.rows(sa.select(table.c.digest, table.c.result["curve"].label("curve")).where(*chosen))

    def suggestions(self, study_id: int, *, since: int = 0) -> list[RecordedSuggestion]:
        """All suggestions from number `since` on, in order."""
        table = suggestions_table
        chosen = (table.c.study_id == study_id) & (table.c.number >= since)
        return self._suggestions(chosen)

    def _suggestions(self, chosen: sa.ColumnElement[bool], most: int | None = None) -> list[RecordedSuggestion]:
        columns = [suggestions_table.c[field.name] for field in fields(RecordedSuggestion)]
        query = sa.select(*columns).where(chosen).order_by(suggestions_table.c.number).limit(most)
        return [RecordedSuggestion(**row) for row in self.rows(query)]

    def suggestion_for(self, study_id: int, evaluation_id: int) -> RecordedSuggestion:
        """The suggestion that an evaluation began with."""
        table = suggestions_table
        chosen = (table.c.study_id == study_id) & (table.c.evaluation_id == evaluation_id)
        return self._suggestions(chosen, most=1)[0]

    def first_suggestions(self, study_id: int) -> list[Row]:
        """digest, source and genotype of the suggestion that first gave each network."""
        table = suggestions_table
        first = (
            sa.select(sa.func.min(table.c.number))
            .where(table.c.study_id == study_id, table.c.evaluation_id.is_not(None))
            .group_by(table.c.digest)
        )
        columns = (table.c.digest, table.c.source, table.c.genotype)
        return self.rows(sa.select(*columns).where(table.c.study_id == study_id, table.c.number.in_(first)))

    def outcomes(self, study_id: int) -> dict[str, int]:
        """How many suggestions had each outcome."""
        table = suggestions_table
        counts = sa.select(table.c.outcome, sa.func.count().label("count")).where(table.c.study_id == study_id)
        return {row["outcome"]: row["count"] for row in self.rows(counts.group_by(table.c.outcome))}

    def kinds_of_suggestions(self, study_id: int) -> list[Row]:
        """Each source and outcome, with the first `number` of it and with the last."""
        table, found = suggestions_table, []
        for end in (sa.func.min, sa.func.max):
            ends = sa.select(end(table.c.number).label("number"), table.c.source, table.c.outcome)
            found += self.rows(ends.where(table.c.study_id == study_id).group_by(table.c.source, table.c.outcome))
        return found

    def orphans(self, study_id: int) -> list[Row]:
        """id and digest of evaluations of which there is no network."""
        table, known = evaluations_table, sa.select(architectures_table.c.digest)
        chosen = (table.c.study_id == study_id) & table.c.digest.not_in(known)
        return self.rows(sa.select(table.c.id, table.c.digest).where(chosen))

    def fronts(self, study_id: int) -> list[Row]:
        """Every snapshot of the front, oldest first."""
        table = fronts_table
        return self.rows(sa.select(table).where(table.c.study_id == study_id).order_by(table.c.id))

    def last_front(self, study_id: int) -> list[FrontPoint] | None:
        """The points of the newest snapshot: [digest, values...] of each member."""
        table = fronts_table
        found = self.rows(
            sa.select(table.c.points).where(table.c.study_id == study_id).order_by(table.c.id.desc()).limit(1)
        )
        return found[0]["points"] if found else None

    def record_suggestion(
        self,
        study_id: int,
        suggestion: RecordedSuggestion,
        begun: tuple[NetworkRecord, BegunEvaluation] | None = None,
        front: FrontSnapshot | None = None,
    ) -> int | None:
        """Record a suggestion and, where it starts or reuses one, its evaluation, with the front that a reused result
        gives; the evaluation's id.
        """
        identifier = suggestion.evaluation_id
        with self.writing() as connection:
            if begun is not None:
                self._add_architecture(connection, begun[0])
                row = _evaluation_columns(study_id, begun[1])
                identifier = primary_key(connection.execute(evaluations_table.insert().values(row)))
            columns = {field.name: getattr(suggestion, field.name) for field in fields(suggestion)}
            columns |= {"study_id": study_id, "evaluation_id": identifier}
            connection.execute(suggestions_table.insert().values(columns))
            if front is not None and identifier is not None:
                _insert_front(connection, front, identifier)
        return identifier

    def _add_architecture(self, connection: sa.Connection, network: NetworkRecord) -> None:
        table = architectures_table
        same = table.c.digest == network.digest
        known = connection.scalar(sa.select(table.c.costs).where(same))
        if known is None:
            row = {"digest": network.digest, "document": network.document, "costs": network.costs}
            connection.execute(table.insert().values(row))
        # An earlier study's row, from before some cost had a name.
        elif network.costs.keys() - known.keys():
            connection.execute(table.update().where(same).values(costs={**network.costs, **known}))

    def restart(self, evaluation_id: int, attempt: int, driver_id: int, micro_batch: int | None = None) -> None:
        """An evaluation that was cut short is in flight again, as this attempt and for this driver."""
        result = None if micro_batch is None else {"micro_batch": micro_batch}
        with self.writing() as connection:
            self.expect_one(
                connection,
                _under_way(evaluation_id).values(
                    attempt=attempt, driver_id=driver_id, state=State.IN_FLIGHT, started=time.time(), result=result
                ),
            )

    def reopen(self, study_id: int, kind: str, driver_id: int) -> None:
        """What failed of this kind is in flight again, for this driver."""
        table = evaluations_table
        fresh = {
            "state": State.IN_FLIGHT,
            "failure_kind": None,
            "finished": None,
            "result": None,
            "driver_id": driver_id,
        }
        with self.writing() as connection:
            of_kind = (table.c.study_id == study_id) & (table.c.state == State.FAILED) & (table.c.failure_kind == kind)
            connection.execute(table.update().where(of_kind).values(fresh))

    def keep_late(self, evaluation_id: int, driver_id: int, result: ResultPayload) -> None:
        """Keep a result whose evaluation has one already, where it is not that one. It is never counted."""
        if self.result(evaluation_id) == json.loads(canonical_json(result)):
            # recorded, but the server went away before it said so.
            return
        row = {"evaluation_id": evaluation_id, "driver_id": driver_id, "result": result, "finished": time.time()}
        with self.writing() as connection:
            connection.execute(late_table.insert().values(row))

    def finish(self, evaluation_id: int, end: EvaluationEnd, front: FrontSnapshot | None) -> None:
        """Record a result, and the front's new snapshot where it changed."""
        with self.writing() as connection:
            self.expect_one(connection, _under_way(evaluation_id).values(_end_columns(end)))
            if front is not None:
                _insert_front(connection, front, evaluation_id)


def _evaluation_columns(study_id: int, begun: BegunEvaluation) -> Row:
    row = {**begun.key, "study_id": study_id, "repeat": begun.repeat, "attempt": 1, "driver_id": begun.driver_id}
    row |= {"started": begun.started, "state": State.IN_FLIGHT}
    return row if begun.end is None else row | _end_columns(begun.end)


def _end_columns(end: EvaluationEnd) -> Row:
    row = {"state": end.state, "accuracy": end.measured.get("accuracy"), "result": end.result}
    return row | {"failure_kind": end.failure_kind, "finished": end.finished}


def _insert_front(connection: sa.Connection, front: FrontSnapshot, evaluation_id: int) -> None:
    connection.execute(fronts_table.insert().values({**asdict(front), "evaluation_id": evaluation_id}))


def _under_way(evaluation_id: int) -> sa.Update:
    """The evaluation, as long as it has no result: what has one is never changed."""
    table = evaluations_table
    return table.update().where(table.c.id == evaluation_id, table.c.state == State.IN_FLIGHT)
