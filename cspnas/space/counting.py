"""How many architectures a search space holds: distinct networks, not genotypes, of which several may round to one."""

from __future__ import annotations

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

COUNTED = 200_000  # resolved stages up to which the count is exact
WALKS = 400  # of an estimate


@dataclass(frozen=True, slots=True)
class Census:
    """The number of distinct valid architectures; `exact`, or estimated by random walks."""

    architectures: int
    exact: bool


def census(space: SearchSpace) -> Census:
    """Counts by channels: how a stage resolves depends on its genes and on the channels that it gets alone.

    Stages multiply, so that few thousand stages count billions of networks. Where even the stages are too many, the mean
    over random walks, each the product of the numbers of ways at its steps, is an unbiased estimate (Knuth, 1975).
    """
    stages = _Stages(space)
    stems = [stem for stem in space.stems if stages.fits(stem)]
    networks = len(space.activations) * len(space.norms)
    try:
        return Census(networks * sum(stages.count(1, stem.out_channels) for stem in stems), True)
    except _TooManyError:
        random = Random(0)
        total = sum(stages.walk(stem.out_channels, random) for stem in stems for _ in range(WALKS))
        return Census(round(networks * total / WALKS), False)


class _TooManyError(Exception):
    """More stages than are counted."""


class _Stages:
    """The distinct stages of a space by number and input channels."""

    def __init__(self, space: SearchSpace) -> None:
        self._space, self._resolved = space, 0
        self.count = cache(self._count)
        self._ways = cache(self._distinct)

    def fits(self, stem: Stem) -> bool:
        """Whether the maps that `stem` leaves are large enough for the stages: their sizes depend on no other gene."""
        random = Random(0)
        for _ in range(200):
            try:
                wire(self._space.decode({**self._space.sample(random), "stem": stem.label}))
            except ArchitectureError:
                continue
            return True
        return False

    def _count(self, number: int, channels: int) -> int:
        """Ways to choose stage `number` and all after it."""
        if number > len(self._space.stages):
            return 1
        self._resolved += prod(map(len, self._choices(number)))
        if self._resolved > COUNTED:
            raise _TooManyError
        return sum(self.count(number + 1, stage.out) for stage in self._ways(number, channels))

    def walk(self, channels: int, random: Random) -> float:
        """The product of the numbers of ways along one random choice of stages; 0 where it ends before the last."""
        ways = 1.0
        for number in range(1, len(self._space.stages) + 1):
            stages = self._ways(number, channels)
            if not stages:
                return 0
            ways *= len(stages)
            channels = random.choice(stages).out
        return ways

    def _choices(self, number: int) -> list[tuple[Any, ...]]:
        choices = self._space.stages[number - 1]
        return [getattr(choices, field) for field in choices.fixed]

    def _distinct(self, number: int, channels: int) -> list[Stage]:
        names = [f"stage{number}.{field}" for field in self._space.stages[number - 1].fixed]
        found: dict[Stage, None] = {}
        for values in product(*self._choices(number)):
            try:
                found[self._space.stage(number, channels, dict(zip(names, values, strict=True)))] = None
            except ArchitectureError:
                continue
        return list(found)
