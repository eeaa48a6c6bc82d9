"""What a sampler is: what proposes genotypes, and how it hears what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cspnas.space.search_space import Genotype
from cspnas.study.results import StudyResults
from cspnas.study.suggestion import SamplerState


class Sampler(Protocol):
    """What proposes genotypes. Each suggestion of its own is answered by `tell` or `forget`, once."""

    name: str

    def about(self) -> dict[str, str]:
        """Name and version, recorded with each driver."""

    def watch(self, results: StudyResults) -> None:
        """The study's results, now and later; comes before everything else."""

    def fresh(self) -> Sampler:
        """One like it that was told nothing yet."""

    def suggest(self, number: int) -> tuple[Genotype, SamplerState]:
        """The genotype of suggestion `number`, and what `restore` needs to have after a restart."""

    def tell(self, number: int, values: Mapping[str, float], violations: Mapping[str, float]) -> None:
        """Every objective of suggestion `number`; a constraint above 0 is broken."""

    def forget(self, number: int) -> None:
        """Suggestion `number` taught nothing: no network, one that is known, a crash."""

    def restore(
        self,
        number: int,
        genotype: Genotype,
        state: SamplerState | None,
        values: Mapping[str, float] | None,
        violations: Mapping[str, float],
    ) -> None:
        """A suggestion that this sampler did not make itself; `values` None: it taught nothing, or has not ended."""
