"""The search as a value: `suggest() -> Work | Wait | Done` and `finish(work, result)`; no loop, no thread, one writer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Unpack

from cspnas.errors import ArchitectureError, FailureKind
from cspnas.runners.protocol import Done, Wait, Work
from cspnas.samplers.protocol import Sampler
from cspnas.searching.confirmation import to_confirm
from cspnas.searching.data_faults import DataFaults
from cspnas.searching.exhaustive_draw import UntriedCandidates
from cspnas.searching.other_drivers import OtherDrivers
from cspnas.searching.policy import Baseline, Confirm, Explore, NextStep, SearchPolicy, SearchState
from cspnas.searching.queued_trials import QUEUED, QueuedTrials
from cspnas.searching.resume import cut_short, missing_baselines, missing_given, since_last_training
from cspnas.searching.reuse import Reuse
from cspnas.searching.sampler_feedback import SamplerFeedback
from cspnas.searching.time_limit import training_seconds
from cspnas.storage.database import Database
from cspnas.storage.load_results import load_results, load_suggestions, study_rows
from cspnas.study.candidates import Candidate, admitted, candidate
from cspnas.study.evaluation import BegunEvaluation, end_of
from cspnas.study.evaluation_key import begun_evaluation, evaluation_key, unit_of
from cspnas.study.failures import MAX_ATTEMPTS, quarantined, validated_result
from cspnas.study.network_record import NetworkRecord
from cspnas.study.settings import Study
from cspnas.study.states import Outcome, State
from cspnas.study.study_record import StudyRecord
from cspnas.study.suggestion import CONFIRM, RecordedSuggestion, Suggestion, SuggestionNote
from cspnas.training.payload import ResultPayload


class Driver:
    """Drives one study, with others where the database is shared. `reuse` finds results of another study by its key.

    `clock` gives seconds, monotonic. Everything is in the database before it is returned or told.
    """

    def __init__(
        self,
        study: Study,
        database: Database,
        row: StudyRecord,
        sampler: Sampler,
        driver_id: int,
        *,
        reuse: Reuse = lambda key: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.study, self.database, self.sampler, self.driver_id = study, database, sampler, driver_id
        self.study_id = row.id
        self.recipe_digest = row.facts.recipe_digest
        self._reuse, self._clock = reuse, clock
        # The first suggestion, however long it took to read the study.
        self._started: float | None = None
        self._queue = QueuedTrials(study, database, row.name)
        self._policy = SearchPolicy(study.trials, study.confirm_share, study.time_limit)
        self._images = row.facts.training_images
        # By evaluation: handed out or to be tried again, with no end yet: the try that may end it.
        self._open: dict[int, Work] = {}
        self._restarts: list[Work] = []
        self._bad_data = DataFaults(study.recipe.dataset)
        self._data_checksum: str | None = row.facts.values.get("data", {}).get("checksum")
        with database.step(self.study_id) as shared:
            # The data were read just now, and are mended.
            database.reopen(self.study_id, FailureKind.BAD_DATA, driver_id)
            self.results = load_results(database, row)
            self._others = OtherDrivers(study, database, self.results, driver_id)
            suggestions = self._load()
            if not shared:
                self._restarts = cut_short(study, self.results, suggestions)
        self._stale = False

    def _load(self) -> list[RecordedSuggestion]:
        """All but the results, from the tables; the suggestions."""
        self.sampler.watch(self.results)
        suggestions = load_suggestions(self.database, self.study_id)
        self._feedback = SamplerFeedback(self.study, self.sampler, self.results)
        self._untried = UntriedCandidates(self.study)
        self._feedback.restore(suggestions)
        self.outcomes = Counter(one.outcome for one in suggestions)
        self._number = suggestions[-1].number + 1 if suggestions else 0
        self._idle = since_last_training(suggestions)
        self._all_tried: str | None = None
        self.baselines = missing_given(self.study, self.results.networks) + missing_baselines(self.study, suggestions)
        self._others.load()
        return suggestions

    @property
    def under_way(self) -> int:
        """Trainings handed out, or to be tried again, and not ended."""
        return len(self._open)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Alone with the tables and up to date with them; where a step fails, the next one reads everything anew."""
        with self.database.step(self.study_id) as shared:
            stale, self._stale = self._stale, True
            if shared:
                (self._load_anew if stale else self._hear)()
            yield
        self._stale = False

    def _load_anew(self) -> None:
        self.results.read(study_rows(self.database, self.study_id))
        self.sampler = self.sampler.fresh()
        for work in self._open.values():
            if work.suggestion is not None:
                work.suggestion = replace(work.suggestion, asked=False)
        self._load()

    def _hear(self) -> None:
        """Take over what other drivers suggested and ended since the last step."""
        suggestions, finished = self._others.hear(self._number, self._open)
        self._feedback.restore(suggestions)
        self._idle = since_last_training(suggestions, self._idle)
        for one in suggestions:
            self._number = one.number + 1
            self.outcomes[one.outcome] += 1
            place = next((n for n, (source, _) in enumerate(self.baselines) if source == one.source), None)
            if place is not None:
                del self.baselines[place]
        for identifier, network in finished:
            work = self._open.get(identifier)
            made = work.suggestion if work else self.database.suggestion_for(self.study_id, identifier).suggestion
            self._feedback.ended(made, network)

    def suggest(self) -> Work | Wait | Done:
        """The next training; it is in the database as in flight before it is returned."""
        with self._step():
            work = self._suggest()
        if isinstance(work, Work):
            flops, epochs = self.results.networks[work.digest].costs["flops"], self.study.recipe.epochs
            work.seconds = training_seconds(self.study.timeout, flops, self._images, epochs)
            work.unit = {**work.unit, "data_checksum": self._data_checksum}
            self._open[work.evaluation_id] = work
            self._restarts = [other for other in self._restarts if other is not work]
        return work

    def _suggest(self) -> Work | Wait | Done:
        # What is under way read its data when they were whole, and may end.
        if self._bad_data.ends(under_way=any(work not in self._restarts for work in self._open.values())):
            return Wait()
        if (work := self._again()) is not None:
            self.database.restart(work.evaluation_id, work.attempt, self.driver_id, work.micro_batch)
            return work
        while not isinstance(step := self._next(), Wait | Done):
            if (work := self._take(step)) is not None:
                return work
        return step

    def _next(self) -> NextStep:
        now = self._clock()
        self._started = now if self._started is None else self._started
        first = (*self._queue.next(self.results), *self.baselines)
        state = SearchState(now - self._started, bool(self._open), first, self._idle, self._all_tried)
        return self._policy.next(self.results, state, partial(to_confirm, self.results))

    def _take(self, step: Baseline | Confirm | Explore) -> Work | None:
        """The training that a step begins; None where it begins none."""
        match step:
            case Baseline(source, drawn):
                work = self._consider(Suggestion(self._number, source, drawn.genotype), drawn)
                if source.startswith(QUEUED):
                    self._queue.take(drawn.digest, self.results)
                else:
                    del self.baselines[0]
                return work
            case Confirm(network):
                return self._start(Suggestion(self._number, CONFIRM, {}), network, len(network.evaluations))
            case Explore(evenly=True):
                return self._draw_untried()
        return self._ask()

    def _again(self) -> Work | None:
        """A training that was cut short: our own, or one that its driver left."""
        if self._restarts:
            return self._restarts[0]
        return self._others.orphan(self._open) if self.database.shared else None

    def _draw_untried(self) -> Work | None:
        drawn = self._untried.draw(self.results.networks, self.study.seed * 1_000_003 + self._number)
        if drawn is None:
            self._all_tried = self._untried.all_of(len(self.results.networks))
            return None
        return self._consider(Suggestion(self._number, "uniform", drawn.genotype), drawn)

    def _ask(self) -> Work | None:
        genotype, state = self.sampler.suggest(self._number)
        suggestion = Suggestion(self._number, self.sampler.name, genotype, state, asked=True)
        try:
            drawn = candidate(self.study, genotype)
        except ArchitectureError as error:
            self._record(suggestion, Outcome.REJECTED, None, reason=str(error))
            self._feedback.nothing(suggestion)
            return None
        return self._consider(suggestion, drawn)

    def _consider(self, suggestion: Suggestion, drawn: Candidate) -> Work | None:
        """The training to start; None: rejected, attached or reused."""
        if not admitted(self.study, drawn.costs):
            self._record(suggestion, Outcome.REJECTED, drawn.digest, costs=drawn.costs)
            self._feedback.rejected(suggestion, drawn.costs)
            return None
        if (known := self.results.networks.get(drawn.digest)) is None:
            return self._start(suggestion, drawn.record(suggestion.source), 0)
        first = known.evaluations[0]
        outcome = Outcome.ATTACHED if first.under_way else Outcome.REUSED
        self._record(suggestion, outcome, drawn.digest, evaluation_id=first.id)
        self._feedback.nothing(suggestion)
        return None

    def _start(self, suggestion: Suggestion, network: NetworkRecord, repeat: int) -> Work | None:
        """The training of a network for the `repeat`-th time, counted from 0; None where another study has the result.

        A reused result is recorded with its suggestion and the front: nothing between them can be cut short.
        """
        key = evaluation_key(self.study, self.recipe_digest, network.digest, repeat)
        begun = begun_evaluation(key, repeat, self.driver_id, self._reuse(key))
        network = self.results.add(network, begun.evaluation, suggestion.genotype)
        outcome = Outcome.TRAINING if begun.end is None else Outcome.REUSED
        identifier = self._record(suggestion, outcome, network.digest, (network, begun))
        assert identifier is not None
        self.results.recorded(network.digest, identifier)
        if begun.end is None:
            return Work(identifier, network.digest, 1, unit_of(self.study, network, repeat), suggestion)
        self._feedback.ended(suggestion, network)
        return None

    def _record(
        self,
        suggestion: Suggestion,
        outcome: Outcome,
        digest: str | None,
        begun: tuple[NetworkRecord, BegunEvaluation] | None = None,
        *,
        evaluation_id: int | None = None,
        **note: Unpack[SuggestionNote],
    ) -> int | None:
        """Write a suggestion with what it starts, in one transaction; the id of its evaluation, if it has one."""
        if suggestion.state:
            note["state"] = suggestion.state
        recorded = RecordedSuggestion(
            suggestion.number, suggestion.source, suggestion.genotype, outcome, digest, evaluation_id, note or None
        )
        front = self.results.snapshot() if begun is not None and begun[1].end is not None else None
        identifier = self.database.record_suggestion(self.study_id, recorded, begun, front)
        self._feedback.known.add(identifier)
        self._number += 1
        self._idle = since_last_training([recorded], self._idle)
        self.outcomes[outcome] += 1
        return identifier

    def finish(self, work: Work, result: ResultPayload) -> bool | None:
        """Record a result with the front that it gives; False where the training is tried again (its worker crashed, or
        memory did not suffice), None where nobody waits for this result (it came twice, or after its worker was given up).
        """
        awaited = self._open.get(work.evaluation_id)
        if awaited is None or awaited.try_number != work.try_number:
            return None
        with self._step():
            again = self._finish(work, {"micro_batch": work.micro_batch, **validated_result(result)})
        if again is None:
            del self._open[work.evaluation_id]
            return True
        self._open[work.evaluation_id] = again
        self._restarts.append(again)
        return False

    def _finish(self, work: Work, result: ResultPayload) -> Work | None:
        """The next try, None where this one is the end."""
        failure = result.get("failure")
        if self.database.shared and self._others.have(
            work, result, crashed=bool(failure and quarantined(failure["kind"]))
        ):
            return None
        if failure and (again := work.again(failure["kind"])) is not None:
            self.database.restart(again.evaluation_id, again.attempt, self.driver_id, again.micro_batch)
            return again
        if failure and quarantined(failure["kind"]):
            failure["quarantined"] = f"{failure['kind']} {MAX_ATTEMPTS} times: this network is not trained again"
        self._bad_data.note(work.digest, failure)
        end = end_of(result, State.TRAINED)
        network = self.results.finish(work.digest, work.evaluation_id, end)
        self.database.finish(work.evaluation_id, end, self.results.snapshot())
        self._feedback.ended(work.suggestion, network)
        return None

    def give_back(self, works: Iterable[Work]) -> None:
        """Each is under way again as this try, for whichever search comes next."""
        with self._step():
            for work in works:
                self.database.restart(work.evaluation_id, work.attempt, self.driver_id, work.micro_batch)
