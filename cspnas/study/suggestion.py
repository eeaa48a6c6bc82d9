"""One proposal of a search, as the study keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cspnas.space.search_space import Genotype

# The source of what trains a known network with a new seed.
CONFIRM = "confirm"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One proposal of the search, numbered through the study.

    `source`: a sampler's name, `given:DIGEST`, `queued:TRIAL`, `baseline:plain`, `baseline:csp`, `uniform` or `confirm`.
    `state`: the sampler's own, as JSON.
    `asked`: this driver's sampler made it and waits to be told what became of it.
    """

    number: int
    source: str
    genotype: Genotype
    state: Mapping[str, Any] | None = None
    asked: bool = False

    def columns(self) -> dict[str, Any]:
        """What the study database keeps of it as columns."""
        return {"number": self.number, "source": self.source, "genotype": self.genotype}
