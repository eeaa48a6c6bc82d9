"""Where a graph's operations may run in more than one order: stretches between operations that divide all others into those
before and those after. They depend on the topology alone, not on widths.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from cspnas.network.graph import Topology
from cspnas.network.liveness import TOPOLOGIES, Plan, folding_of, plan_of


class Members(NamedTuple):
    """A set of numbers as a bit mask from the lowest one on, so that few of a long stretch take little."""

    lowest: int
    mask: int

    @classmethod
    def of(cls, mask: int) -> Members:
        """Of a bit mask from 0 on."""
        lowest = max(0, (mask & -mask).bit_length() - 1)
        return cls(lowest, mask >> lowest)


@dataclass(frozen=True, slots=True)
class Stretch:
    """`operations` between two that all others come before or after, numbered from 0 here.

    `alive`: the storages alive before. By operation: those of the stretch that it `reads`; the `readers` of it; whether it
    `makes` a storage; `frees`, the storages that it uses and that nothing later does, each with all who use it; and
    `inevitable`, the storages alive while it runs in any order.
    """

    operations: tuple[int, ...]
    alive: tuple[int, ...]
    reads: tuple[Members, ...]
    readers: tuple[tuple[int, ...], ...]
    makes: tuple[bool, ...]
    frees: tuple[tuple[tuple[int, Members], ...], ...]
    inevitable: tuple[tuple[int, ...], ...]


class Choices(NamedTuple):
    """A topology after folding: the operations `kept` (old indices), the plan of their storages, and the stretches in which
    more than one operation can be next.
    """

    kept: tuple[int, ...]
    layout: Plan
    stretches: tuple[Stretch, ...]


@lru_cache(TOPOLOGIES)
def choices_of(topology: Topology) -> Choices:
    """Of an unfolded topology, in inference."""
    folding = folding_of(topology)
    relations = _Relations.of(folding.topology)
    spans = (range(first + 1, last) for first, last in pairwise([*relations.dividing, len(folding.kept)]))
    stretches = (_stretch(folding.topology, relations, span) for span in spans if len(span) > 1)
    return Choices(folding.kept, plan_of(folding.topology, False), tuple(stretches))


@dataclass(frozen=True, slots=True)
class _Relations:
    """By operation: all that come `before` and `after` it in any order. By storage: its `users`, the operations whose values
    lie in it or that read one of them, with a bit beyond all operations where it is never freed.
    """

    before: list[int]
    after: list[int]
    users: dict[int, int]

    @classmethod
    def of(cls, topology: Topology) -> _Relations:
        count, layout = len(topology.inputs), plan_of(topology, False)
        relations = cls([0] * count, [0] * count, {})
        for index, sources in enumerate(topology.inputs):
            for source in sources:
                relations.before[index] |= relations.before[source] | 1 << source
            for storage in {layout.storage[one] for one in (index, *sources)}:
                relations.users[storage] = relations.users.get(storage, 0) | 1 << index
        for index in reversed(range(count)):
            for source in topology.inputs[index]:
                relations.after[source] |= relations.after[index] | 1 << index
        for storage, last in enumerate(layout.last_use):
            if last >= count:
                relations.users[storage] |= 1 << count
        return relations

    @property
    def dividing(self) -> list[int]:
        """Operations that every other one comes before or after; the image is the first."""
        others = len(self.before) - 1
        pairs = enumerate(zip(self.before, self.after, strict=True))
        return [index for index, (before, after) in pairs if before.bit_count() + after.bit_count() == others]


def _stretch(topology: Topology, relations: _Relations, span: range) -> Stretch:
    start, size = span.start, len(span)
    storage, every = plan_of(topology, False).storage, (1 << size) - 1
    # All later users are one bit more, which is never done.
    users = {
        one: mask >> start & every | (mask >> span.stop > 0) << size
        for one, mask in relations.users.items()
        if one < span.stop and mask >> start
    }
    readers: list[list[int]] = [[] for _ in span]
    frees: list[list[tuple[int, Members]]] = [[] for _ in span]
    inevitable: list[list[int]] = [[] for _ in span]
    for place in span:
        for source in {source for source in topology.inputs[place] if source >= start}:
            readers[source - start].append(place - start)
    for one, mask in users.items():
        made = every if one < start else (relations.after[one] | 1 << one) >> start & every
        later, members = mask >> size, Members.of(mask)
        needed = every if later else 0
        for place in _bits(mask & every):
            frees[place] += [] if later else [(one, members)]
            needed |= (relations.before[place + start] >> start | 1 << place) & every
        for place in _bits(made & needed):
            inevitable[place].append(one)
    return Stretch(
        tuple(span),
        tuple(one for one in users if one < start),
        tuple(Members.of(sum({1 << source >> start for source in topology.inputs[place]})) for place in span),
        tuple(map(tuple, readers)),
        tuple(storage[place] == place for place in span),
        tuple(map(tuple, frees)),
        tuple(map(tuple, inevitable)),
    )


def _bits(mask: int) -> Iterator[int]:
    """Those that are set, the lowest first."""
    return (place for place, bit in enumerate(reversed(f"{mask:b}")) if bit == "1")
