"""One proposal of a search, as the study keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from cspnas.space.search_space import Genotype

# The source of what trains a known network with a new seed.
CONFIRM = "confirm"


class FittedHyperparameters(TypedDict):
    """Logarithms of variance of the signal, length and variance of the noise, fitted to so many rows."""

    theta: list[float]
    rows: int


class SamplerState(TypedDict, total=False):
    """What a sampler needs to have again after a restart, as JSON: what the cost-aware one fitted for this suggestion;
    Optuna's attributes and parameters of the trial, and the parents of NSGA-II's generations by number.
    """

    hyperparameters: FittedHyperparameters
    system_attrs: Mapping[str, Any]
    params: Genotype
    parents: Mapping[str, list[int]]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One proposal of the search, numbered through the study.

    `source`: a sampler's name, `given:DIGEST`, `queued:TRIAL`, `baseline:plain`, `baseline:csp`, `uniform` or `confirm`.
    `state`: the sampler's own.
    `asked`: this driver's sampler made it and waits to be told what became of it.
    """

    number: int
    source: str
    genotype: Genotype
    state: SamplerState | None = None
    asked: bool = False


class SuggestionNote(TypedDict, total=False):
    """What is kept beside a suggestion, as JSON: the sampler's own state; the costs of what a constraint rejects; why a
    genotype is no network.
    """

    state: SamplerState
    costs: Mapping[str, float]
    reason: str


@dataclass(frozen=True, slots=True)
class RecordedSuggestion:
    """A suggestion and its `outcome`, one of `Outcome`. `digest` is None where it is no valid network."""

    number: int
    source: str
    genotype: Genotype
    outcome: str
    digest: str | None = None
    evaluation_id: int | None = None
    note: SuggestionNote | None = None

    @property
    def suggestion(self) -> Suggestion:
        """What was suggested; no sampler waits to be told of it."""
        return Suggestion(self.number, self.source, self.genotype, (self.note or {}).get("state"))
