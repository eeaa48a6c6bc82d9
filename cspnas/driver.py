"""The search as a value: `suggest() -> Work | Wait | Done` and `finish(work, result)`; no loop, no thread, one writer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Protocol

from cspnas.candidates import Candidate, admitted, baseline_curves, candidate, violations
from cspnas.database import Database, Row
from cspnas.errors import ArchitectureError
from cspnas.front import Reference
from cspnas.ledger import Ledger, Network
from cspnas.objectives import MEASURED
from cspnas.recipe import training_seed
from cspnas.space import Genotype
from cspnas.study import Study

MAX_ATTEMPTS = 3
PATIENCE = 50  # suggestions in a row without a training, then candidates are drawn evenly among the untried ones
UNDER_WAY: Row = {"state": "in_flight", "accuracy": None, "failure_kind": None}
TEACHING_FAILURES = ("diverged", "out of memory", "timeout")  # these say something about the network itself


class Sampler(Protocol):
    """What proposes genotypes."""

    def suggest(self, number: int) -> tuple[Genotype, dict[str, Any]]: ...
    def tell(self, number: int, values: Mapping[str, float], violations: Mapping[str, float]) -> None: ...
    def forget(self, number: int) -> None: ...
    def restore(
        self,
        number: int,
        genotype: Genotype,
        state: Mapping[str, Any] | None,
        values: Mapping[str, float] | None,
        violations: Mapping[str, float],
    ) -> None:
        """A suggestion that this sampler did not make itself; `values` None: it taught nothing (yet)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to start before a training in flight ends."""


@dataclass(frozen=True, slots=True)
class Done:
    """The search is over, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a training answers; `asked`: this driver's own sampler made it and waits for the result."""

    number: int
    genotype: Genotype
    state: Mapping[str, Any] | None = None
    asked: bool = False


@dataclass(slots=True)
class Work:
    """One training: `unit` is the JSON for a worker; the rest is the driver's own."""

    evaluation_id: int
    digest: str
    attempt: int
    unit: dict[str, Any]
    suggestion: Suggestion | None = None  # none where it confirms a known network


class Driver:
    """Drives one study that it has to itself. `reuse` finds results of another study by evaluation key."""

    def __init__(
        self,
        study: Study,
        database: Database,
        row: Mapping[str, Any],
        sampler: Sampler,
        driver_id: int,
        *,
        reuse: Callable[[dict[str, Any]], dict[str, Any] | None] = lambda key: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.database, self.sampler, self.driver_id = study, database, sampler, driver_id
        self.study_id: int = row["id"]
        self.recipe_digest: str = row["facts"]["recipe_digest"]
        self.ledger = Ledger(Reference.from_json(row["facts"]["reference"]), database, self.study_id)
        self.outcomes: Counter[str] = Counter()
        self._reuse, self._clock, self._started = reuse, clock, clock()
        self._number = self._idle = 0
        suggestions = database.suggestions(self.study_id)
        self._restarts = self._cut_short(suggestions)
        self._baselines = self._restore_suggestions(suggestions)

    # Starting where the last driver stopped ------------------------------------------------------------------------

    def _cut_short(self, suggestions: list[Row]) -> list[Work]:
        """Trainings that no driver runs any more; whoever holds the lock takes them over."""
        first = {row["evaluation_id"]: row for row in reversed(suggestions)}
        found = []
        for network in self.ledger.networks.values():
            for row in network.evaluations:
                if row["state"] == "in_flight":
                    work = self._work(network, row["repeat"], row["id"], row["attempt"])
                    if row["repeat"] == 0:
                        made = first[row["id"]]
                        work.suggestion = Suggestion(
                            made["number"], made["genotype"], (made["note"] or {}).get("state")
                        )
                    found.append(work)
        return found

    def _restore_suggestions(self, suggestions: list[Row]) -> list[tuple[str, Candidate]]:
        """Teach the sampler all that was suggested; the baselines that are still to be trained."""
        done: Counter[str] = Counter()
        known: set[int | None] = set()
        for row in suggestions:
            self._number = row["number"] + 1
            self._idle = 0 if row["outcome"] == "training" else self._idle + 1
            done[row["source"]] += 1
            self.outcomes[row["outcome"]] += 1
            # "reused" with an evaluation of its own: the result came from another study
            first = row["outcome"] == "rejected" or row["evaluation_id"] not in known
            known.add(row["evaluation_id"])
            if row["source"] != "confirm":
                self._restore(row, first)
        waiting = []
        for kind, drawn in baseline_curves(self.study):
            if done[f"baseline:{kind}"]:
                done[f"baseline:{kind}"] -= 1
            else:
                waiting.append((kind, drawn))
        return waiting

    def _restore(self, row: Mapping[str, Any], first: bool) -> None:
        """Even what taught nothing goes to the sampler: its state may hold what later suggestions stand on."""
        note, network = row["note"] or {}, self.ledger.networks.get(row["digest"])
        values, costs = None, None
        if row["outcome"] == "rejected":
            costs = note.get("costs")
            values = costs and self._rejected_values(costs)
        elif first and network is not None and network.evaluations[0]["state"] != "in_flight":
            costs = network.costs
            values = self._told_values(network)
        broken = violations(self.study, costs) if costs else {}
        self.sampler.restore(row["number"], row["genotype"], note.get("state"), values, broken)

    # Suggesting ----------------------------------------------------------------------------------------------------

    def suggest(self) -> Work | Wait | Done:
        """The next training; it is in the database as in flight before it is returned."""
        if self._restarts:
            work = self._restarts.pop(0)
            self.database.restart(work.evaluation_id, work.attempt, self.driver_id)
            return work
        limit = self.study.time_limit
        if limit is not None and self._clock() - self._started >= limit:
            return self._out_of("time is up")
        if self.ledger.trainings >= self.study.trials:
            return self._out_of(f"all {self.study.trials} trainings are done")
        while self._baselines:
            kind, drawn = self._baselines.pop(0)
            started = self._propose(drawn, f"baseline:{kind}", {})
            if started is not None:
                return started
        while self._confirming():
            chosen = self.ledger.to_confirm()
            if chosen is None:
                break
            started = self._confirm(chosen)
            if started is not None:
                return started
        return self._explore()

    def _out_of(self, reason: str) -> Wait | Done:
        return Wait() if self.ledger.in_flight else Done(reason)

    @property
    def _quota(self) -> int:
        """Confirmations in all: `confirm_share` of the budget, rounded down (29 % of 100 is 29, whatever floats say).

        A reused confirmation fills the quota as a trained one does, so that a study ends whose every result is known; it
        costs no training, which leaves one more for a new network.
        """
        return int(round(self.study.confirm_share * self.study.trials, 9))

    def _confirming(self) -> bool:
        """The last of the trainings, or of the time, are for new seeds."""
        if self.ledger.confirmations >= self._quota:
            return False
        late = self.ledger.explored >= self.study.trials - self._quota
        if self.study.time_limit is not None:
            elapsed = self._clock() - self._started
            late = late or elapsed > (1 - self.study.confirm_share) * self.study.time_limit
        return late

    def _confirm(self, network: Network) -> Work | None:
        repeat = len(network.evaluations)
        drawn = Candidate(network.architecture, network.digest, network.costs, {})
        return self._start(drawn, "confirm", {}, repeat)

    def _explore(self) -> Work | Wait | Done:
        while self._idle < PATIENCE:
            genotype, state = self.sampler.suggest(self._number)
            try:
                drawn = candidate(self.study, genotype)
            except ArchitectureError as error:
                self._reject(genotype, None, {"state": state, "reason": str(error)})
                continue
            work = self._propose(drawn, getattr(self.sampler, "name", "sampler"), {"state": state}, asked=True)
            if work is not None:
                return work
        while True:
            drawn_evenly = self._draw_evenly()
            if drawn_evenly is not None:
                return drawn_evenly

    def _draw_evenly(self) -> Work | Wait | Done | None:
        """Uniformly among the untried admitted architectures: all of them where they can be listed; None: reused."""
        random = Random(self.study.seed * 1_000_003 + self._number)
        if self.study.space.size <= 20_000:
            untried = [drawn for drawn in map(self._admitted, self.study.space.enumerate()) if drawn is not None]
            drawn = random.choice(untried) if untried else None
        else:
            draws = (self._admitted(self.study.space.sample(random)) for _ in range(20_000))
            drawn = next((found for found in draws if found is not None), None)
        if drawn is None:
            chosen = self.ledger.to_confirm() if self.ledger.confirmations < self._quota else None
            if chosen is not None:
                return self._confirm(chosen)
            tried = len(self.ledger.networks)
            return self._out_of(f"no untried architecture is left: all {tried} admitted ones found are trained")
        return self._propose(drawn, "uniform", {})

    def _admitted(self, genotype: Genotype) -> Candidate | None:
        try:
            drawn = candidate(self.study, genotype)
        except ArchitectureError:
            return None
        new = drawn.digest not in self.ledger.networks
        return drawn if new and admitted(self.study, drawn.costs) else None

    def _propose(self, drawn: Candidate, source: str, note: dict[str, Any], *, asked: bool = False) -> Work | None:
        """Rejected, attached, reused (None), or the training to start."""
        if not admitted(self.study, drawn.costs):
            self._reject(drawn.genotype, drawn, {**note, "costs": drawn.costs})
            return None
        known = self.ledger.networks.get(drawn.digest)
        if known is not None:
            state = known.evaluations[0]["state"]
            outcome = "attached" if state == "in_flight" else "reused"
            self._record(drawn, source, outcome, note, evaluation_id=known.evaluations[0]["id"])
            if asked:
                self.sampler.forget(self._number - 1)
            return None
        return self._start(drawn, source, note, 0, asked=asked)

    def _reject(self, genotype: Genotype, drawn: Candidate | None, note: dict[str, Any]) -> None:
        number = self._number
        self._record(drawn, getattr(self.sampler, "name", "sampler"), "rejected", note, genotype=genotype)
        if drawn is None:
            self.sampler.forget(number)
        else:
            self.sampler.tell(number, self._rejected_values(drawn.costs), violations(self.study, drawn.costs))

    def _start(
        self, drawn: Candidate, source: str, note: dict[str, Any], repeat: int, *, asked: bool = False
    ) -> Work | None:
        seed = training_seed(self.study.seed, drawn.digest, repeat)
        key = {
            "digest": drawn.digest,
            "recipe_digest": self.recipe_digest,
            "seed": seed,
            "fidelity": self.study.recipe.epochs,
        }
        found = self._reuse(key)
        row: Row = {**key, "study_id": self.study_id, "repeat": repeat, "attempt": 1, "driver_id": self.driver_id}
        row |= {"started": time.time(), **(UNDER_WAY if found is None else _ended(found, "reused"))}
        number, architecture = self._number, drawn.row()
        kept = {name: value for name, value in row.items() if name != "result"}
        network = self.ledger.add(architecture, kept, source, drawn.genotype)
        # A reused result is recorded with its suggestion and the front: nothing between them can be cut short.
        front = None if found is None else self.ledger.snapshot()
        outcome = "training" if found is None else "reused"
        kept["id"] = self._record(drawn, source, outcome, note, architecture=architecture, evaluation=row, front=front)
        suggestion = Suggestion(number, drawn.genotype, note.get("state"), asked) if repeat == 0 else None
        if found is not None:
            self._teach(suggestion, network)
            return None
        work = self._work(network, repeat, kept["id"], 1)
        work.suggestion = suggestion
        return work

    def _work(self, network: Network, repeat: int, evaluation_id: int, attempt: int) -> Work:
        unit = {
            "architecture": network.document,
            "recipe": asdict(self.study.recipe),
            "seed": training_seed(self.study.seed, network.digest, repeat),
        }
        return Work(evaluation_id, network.digest, attempt, unit)

    def _record(
        self,
        drawn: Candidate | None,
        source: str,
        outcome: str,
        note: dict[str, Any],
        *,
        genotype: Genotype | None = None,
        architecture: Row | None = None,
        evaluation: Row | None = None,
        front: Row | None = None,
        evaluation_id: int | None = None,
    ) -> int | None:
        suggestion = {
            "study_id": self.study_id,
            "number": self._number,
            "source": source,
            "outcome": outcome,
            "digest": drawn.digest if drawn else None,
            "evaluation_id": evaluation_id,
            "genotype": drawn.genotype if drawn else genotype,
            "note": note or None,
        }
        identifier = self.database.record_suggestion(suggestion, architecture, evaluation, front)
        self._number += 1
        self._idle = 0 if outcome == "training" else self._idle + 1
        self.outcomes[outcome] += 1
        return identifier

    # Finishing -----------------------------------------------------------------------------------------------------

    def finish(self, work: Work, result: Mapping[str, Any]) -> bool:
        """Record a result with the front that it gives; False where the training is tried again (a crashed worker)."""
        failure = result.get("failure")
        if failure and failure["kind"] in ("crashed", "lost") and work.attempt < MAX_ATTEMPTS:
            work.attempt += 1
            self.database.restart(work.evaluation_id, work.attempt, self.driver_id)
            self._restarts.append(work)
            return False
        changes = _ended(result, "trained")
        network = self.ledger.finish(work.digest, work.evaluation_id, changes)
        self.database.finish(work.evaluation_id, changes, self.ledger.snapshot())
        self._teach(work.suggestion, network)
        return True

    def _teach(self, suggestion: Suggestion | None, network: Network) -> None:
        if suggestion is None:
            return
        values, broken = self._told_values(network), violations(self.study, network.costs)
        if not suggestion.asked:
            self.sampler.restore(suggestion.number, suggestion.genotype, suggestion.state, values, broken)
        elif values is None:
            self.sampler.forget(suggestion.number)
        else:
            self.sampler.tell(suggestion.number, values, broken)

    def _told_values(self, network: Network) -> dict[str, float] | None:
        """The first training's objectives; their worst where the network itself failed; None where it taught nothing."""
        first = network.evaluations[0]
        if first["accuracy"] is not None:
            return network.costs | {name: first[name] for name in MEASURED if first.get(name) is not None}
        return self._rejected_values(network.costs) if first["failure_kind"] in TEACHING_FAILURES else None

    def _rejected_values(self, costs: Mapping[str, float]) -> dict[str, float]:
        reference = self.ledger.reference
        return {**costs, **{name: reference.worst(name) for name in reference.objectives if name in MEASURED}}


def _ended(result: Mapping[str, Any], state: str) -> Row:
    """An evaluation's columns once its result is there; `state` where it is no failure."""
    failure = result.get("failure")
    return {
        "state": "failed" if failure else state,
        "accuracy": None if failure else float(result["accuracy"]),
        "result": dict(result),
        "failure_kind": failure["kind"] if failure else None,
        "finished": time.time(),
    }
