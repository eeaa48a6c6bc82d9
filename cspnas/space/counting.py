"""How many architectures a search space holds: distinct networks, not genotypes, of which several may round to one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod
from random import Random
from typing import Any

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Stage, Stem
from cspnas.network.wiring import wire
from cspnas.space.search_space import SearchSpace

# Stages up to which the count is exact.
COUNTED = 120_000
# Stages of an estimate.
RESOLVED = 100_000
# Genotypes of an estimate, where so many stages are enough for them.
DRAWS = 4_000
# Parts of a whole: a number of networks may be too large to be a float.
SHARES = 10**9
# Networks that are wired to learn whether a stem fits.
TRIES = 200

Variant = Mapping[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Census:
    """The number of distinct valid architectures: exact, or estimated from `draws` random genotypes (0 where exact)."""

    architectures: int
    draws: int = 0

    @property
    def exact(self) -> bool:
        """Whether all were counted."""
        return not self.draws


def census(space: SearchSpace) -> Census:
    """Counts by channels: how a stage resolves depends on its genes and on the channels that it gets alone.

    Stages multiply, so that few thousand stages count billions of networks. Where even the stages are too many, a random
    genotype counts as one network over the number of genotypes that round to the same one: the mean over genotypes is an
    unbiased estimate of how many networks there are to a genotype.
    """
    stages = _Stages(space)
    stems = [stem for stem in space.stems if stages.fits(stem)]
    networks = len(space.activations) * len(space.norms)
    try:
        return Census(networks * sum(stages.count(1, stem.out_channels) for stem in stems))
    except _TooManyError:
        genotypes = networks * len(stems) * prod(stage.size for stage in space.stages)
        share, draws = stages.estimate(stems, Random(0))
        return Census(genotypes * round(share * SHARES) // SHARES, draws)


class _TooManyError(Exception):
    """More stages than are counted."""


class _Stages:
    """The distinct stages of a space by number and input channels."""

    def __init__(self, space: SearchSpace) -> None:
        self._space, self._resolved = space, 0
        self._names = [[f"stage{n}.{field}" for field in one.fixed] for n, one in enumerate(space.stages, start=1)]
        self.count = cache(self._count)

    def fits(self, stem: Stem) -> bool:
        """Whether the maps that `stem` leaves are large enough for the stages: their sizes depend on no other gene, so that
        shallow networks are tried first.
        """
        random = Random(0)
        least = {f"stage{n}.depth": min(stage.depth) for n, stage in enumerate(self._space.stages, start=1)}
        for number in range(TRIES):
            genotype = {**self._space.sample(random), "stem": stem.label} | (least if number < TRIES / 2 else {})
            try:
                wire(self._space.decode(genotype))
            except ArchitectureError:
                continue
            return True
        return False

    def _count(self, number: int, channels: int) -> int:
        """Ways to choose stage `number` and all after it."""
        if number > len(self._space.stages):
            return 1
        self._resolved += self._space.stages[number - 1].size
        if self._resolved > COUNTED:
            raise _TooManyError
        return sum(self.count(number + 1, stage.out) for stage in set(self._all(number, channels)))

    def _all(self, number: int, channels: int) -> Iterator[Stage]:
        for variant in self._space.stages[number - 1].variants:
            for values in product(*variant.values()):
                stage = self._stage(number, channels, values)
                if stage is not None:
                    yield stage

    def _stage(self, number: int, channels: int, values: tuple[Any, ...]) -> Stage | None:
        try:
            return self._space.stage(number, channels, dict(zip(self._names[number - 1], values, strict=True)))
        except ArchitectureError:
            return None

    def estimate(self, stems: list[Stem], random: Random) -> tuple[float, int]:
        """(networks to a genotype, genotypes drawn); the more choices there are, the fewer are drawn."""
        self._resolved, shares = 0, list[float]()
        while stems and len(shares) < DRAWS and self._resolved < RESOLVED:
            shares.append(self._share(random.choice(stems).out_channels, random))
        return sum(shares) / max(1, len(shares)), len(shares)

    def _share(self, channels: int, random: Random) -> float:
        """1 over the number of genotypes that round to the network of a random one; 0 where that is no network."""
        share = 1.0
        for number, choices in enumerate(self._space.stages, start=1):
            sizes = [prod(map(len, variant.values())) for variant in choices.variants]
            variant = random.choices(choices.variants, sizes)[0]
            values = tuple(map(random.choice, variant.values()))
            stage = self._stage(number, channels, values)
            if stage is None:
                return 0.0
            share /= self._alike(number, channels, variant, values)
            channels = stage.out
        return share

    def _alike(self, number: int, channels: int, variant: Variant, values: tuple[Any, ...]) -> int:
        """How many ways to choose give one stage: each number of it is rounded from one ratio and from what the stage says
        itself, so that the ratios of each gene count for themselves.
        """
        stage, alike = self._stage(number, channels, values), 1
        self._resolved += 1
        for place, (field, choices) in enumerate(variant.items()):
            # These stand in the stage as they are.
            if field in ("depth", "growth_rate", "width"):
                continue
            others = (self._stage(number, channels, (*values[:place], c, *values[place + 1 :])) for c in choices)
            alike *= sum(other == stage for other in others)
            self._resolved += len(choices)
        return alike
