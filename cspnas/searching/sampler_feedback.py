"""What a sampler is told of its own suggestions, of others', and of earlier drivers'."""

from __future__ import annotations

from collections.abc import Mapping

from cspnas.errors import FailureKind
from cspnas.objectives.objectives import measured_names
from cspnas.samplers.protocol import Sampler
from cspnas.study.candidates import violations
from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.settings import Study
from cspnas.study.states import Outcome
from cspnas.study.suggestion import CONFIRM, RecordedSuggestion, Suggestion

# These say something about the network itself.
TEACHING_FAILURES = (
    FailureKind.DIVERGED,
    FailureKind.OUT_OF_MEMORY,
    FailureKind.TIMEOUT,
)


class SamplerFeedback:
    """Tells the sampler of one study; a rejected candidate has its exact costs, the worst accuracy, a broken constraint."""

    def __init__(self, study: Study, sampler: Sampler, results: StudyResults) -> None:
        self.study, self.sampler, self.results = study, sampler, results
        # Evaluations whose suggestion was told, or will be when they end.
        self.known: set[int | None] = set()

    def nothing(self, suggestion: Suggestion) -> None:
        """It taught nothing."""
        if suggestion.asked:
            self.sampler.forget(suggestion.number)

    def rejected(self, suggestion: Suggestion, costs: Mapping[str, float]) -> None:
        """It breaks a constraint."""
        self._tell(suggestion, self._worst(costs), costs)

    def ended(self, suggestion: Suggestion | None, network: NetworkRecord) -> None:
        """Its training ended; a confirmation's repeats what the first one said."""
        if suggestion is not None and suggestion.source != CONFIRM:
            self._tell(suggestion, self._values(network), network.costs)

    def restore(self, suggestions: list[RecordedSuggestion]) -> None:
        """All suggestions of earlier drivers, or more of other ones, oldest first.

        Even what taught nothing goes to the sampler: its state may hold what later suggestions stand on.
        """
        for one in suggestions:
            # "reused" with an evaluation of its own: the result came from another study
            first = one.evaluation_id not in self.known
            self.known.add(one.evaluation_id)
            if one.source != CONFIRM:
                self._restore(one, first)

    def _restore(self, one: RecordedSuggestion, first: bool) -> None:
        note, network = one.note or {}, self.results.networks.get(one.digest or "")
        if one.outcome == Outcome.REJECTED and "costs" in note:
            self.rejected(one.suggestion, note["costs"])
        elif one.outcome != Outcome.REJECTED and first and network and not network.evaluations[0].under_way:
            self.ended(one.suggestion, network)
        else:
            self._tell(one.suggestion, None, {})

    def _tell(self, suggestion: Suggestion, values: Mapping[str, float] | None, costs: Mapping[str, float]) -> None:
        broken = violations(self.study, dict(costs)) if values is not None else {}
        if not suggestion.asked:
            self.sampler.restore(suggestion.number, suggestion.genotype, suggestion.state, values, broken)
        elif values is None:
            self.sampler.forget(suggestion.number)
        else:
            self.sampler.tell(suggestion.number, values, broken)

    def _values(self, network: NetworkRecord) -> dict[str, float] | None:
        """The first training's objectives; their worst where the network itself failed; None where it taught nothing."""
        first = network.evaluations[0]
        if first.accuracy is not None:
            return {**network.costs, **first.measured}
        return self._worst(network.costs) if first.failure_kind in TEACHING_FAILURES else None

    def _worst(self, costs: Mapping[str, float]) -> dict[str, float]:
        reference = self.results.reference
        return {**costs, **{name: reference.worst(name) for name in reference.objectives if name in measured_names()}}
