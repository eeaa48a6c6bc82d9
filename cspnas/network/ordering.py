"""The order of a graph's operations that needs the least memory at inference; exact.

What is alive depends on which operations have run, not on the order that they ran in. So an order is a path through the
sets of operations that can have run, and the best one is a path whose greatest step is least. Three rules keep the search
small, and none of them loses the best order:

- An operation that every other one comes before or after divides the search: the sets before and after it are on every
  path. The least peak of the whole is the greatest of the stretches between such operations, each ordered by itself.
- An operation that frees at least what it makes, and whose own step is no greater than what is inevitable, runs at once.
  Whatever runs before it can only make it free more, so that moving it forward raises no later step.
- Nothing is looked at that is no better than the stretch as written, which stays where it is among the best.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from cspnas.errors import InputError
from cspnas.network.deployment import Order
from cspnas.network.graph import Graph, Operation
from cspnas.network.liveness import live_of
from cspnas.network.stretches import Stretch, choices_of

# Sets of operations that one stretch may try: half a minute. A CSP stage of 1,024 layers has some ten thousand.
MOST_SETS = 1_000_000


def ordered(graph: Graph, order: Order) -> Graph:
    """`graph`, its norms not folded in it, in this order: a norm that folds runs right after its convolution.

    Raises InputError where `best` has too many orders to compare.
    """
    if order == "written":
        return graph
    kept = set(choices_of(graph.topology).kept)
    folded = {op.inputs[0]: index for index, op in enumerate(graph.operations) if index not in kept}
    run = [index for one in _best(graph).order for index in (one, folded.get(one)) if index is not None]
    place = {index: position for position, index in enumerate(run)}
    operations = (graph.operations[index] for index in run)
    moved = (Operation(op.form, op.name, tuple(place[source] for source in op.inputs)) for op in operations)
    return Graph(tuple(moved), place[graph.output])


def least_peak(graph: Graph) -> int:
    """Peak bytes of `graph`, its norms not folded in it, in its best order. Raises InputError as `ordered`."""
    return _best(graph).peak


class _Best(NamedTuple):
    """Operations in an order, and its peak in bytes."""

    order: list[int]
    peak: int


def _best(graph: Graph) -> _Best:
    """Of the operations that folding leaves."""
    kept, layout, stretches = choices_of(graph.topology)
    # Folding adds biases, which are weights: the results are as large as before.
    forms = [graph.operations[index].form for index in kept]
    live, sizes, order = live_of(forms, layout), [form.bytes for form in forms], list(kept)
    for stretch in stretches:
        places = stretch.operations
        found = _search(stretch, sizes, max([live[place] for place in places]))
        if found is not None:
            for place, operation in zip(places, found.order, strict=True):
                order[place], live[place] = kept[places[operation]], found.peak
    return _Best(order, max(live))


class _Run(NamedTuple):
    """The operations of a stretch that have run: the last one and the run before it, all as a set, the bytes alive after
    them, and the operations that can be next.
    """

    last: int
    earlier: _Run | None
    done: int
    memory: int
    ready: tuple[int, ...]

    @property
    def order(self) -> list[int]:
        """The operations, the first one first."""
        found, run = [], self
        while run.earlier is not None:
            found.append(run.last)
            run = run.earlier
        return found[::-1]


@dataclass(frozen=True, slots=True)
class _Bytes:
    """A stretch with the bytes that each operation makes, and that it frees where all others who use them are done."""

    stretch: Stretch
    makes: list[int]
    frees: list[list[tuple[int, int, int]]]

    @classmethod
    def of(cls, stretch: Stretch, sizes: list[int]) -> _Bytes:
        made = [sizes[place] * makes for place, makes in zip(stretch.operations, stretch.makes, strict=True)]
        return cls(stretch, made, [[(sizes[one], *users) for one, users in frees] for frees in stretch.frees])

    def freed(self, done: int, operation: int) -> int:
        """Bytes that are free once `operation` has run after those `done`."""
        left = ~(done | 1 << operation)
        return sum([size for size, lowest, users in self.frees[operation] if not left >> lowest & users])

    def after(self, run: _Run, operation: int) -> _Run:
        """`operation` has run too."""
        done, reads = run.done | 1 << operation, self.stretch.reads
        memory = run.memory + self.makes[operation] - self.freed(run.done, operation)
        new = [one for one in self.stretch.readers[operation] if not ~done >> reads[one].lowest & reads[one].mask]
        return _Run(operation, run, done, memory, (*[one for one in run.ready if one != operation], *new))

    def settled(self, run: _Run, inevitable: int) -> _Run:
        """What frees at least what it makes, in a step of at most `inevitable` bytes, has run too."""
        while True:
            room = inevitable - run.memory
            for operation in run.ready:
                if self.makes[operation] <= min(room, self.freed(run.done, operation)):
                    run = self.after(run, operation)
                    break
            else:
                return run


def _search(stretch: Stretch, sizes: list[int], bound: int) -> _Best | None:
    """The best order of a stretch if its peak is below `bound` bytes; `sizes` of the storages."""
    peak = max([sum([sizes[one] for one in alive]) for alive in stretch.inevitable])
    if peak >= bound:
        return None
    step_bytes, seen = _Bytes.of(stretch, sizes), set[int]()
    first = tuple(index for index, reads in enumerate(stretch.reads) if not reads.mask)
    run = _Run(-1, None, 0, sum([sizes[one] for one in stretch.alive]), first)
    # Of the runs with the least peak so far the longest is next.
    waiting: list[tuple[int, int, int, int, _Run]] = []
    while True:
        run = step_bytes.settled(run, peak)
        if not run.ready:
            return _Best(run.order, peak)
        if run.done not in seen:
            seen.add(run.done)
            _check_number(len(seen))
            for operation in run.ready:
                step = run.memory + step_bytes.makes[operation]
                if step < bound:
                    entry = (max(peak, step), -run.done.bit_count(), len(seen), operation, run)
                    heappush(waiting, entry)
        if not waiting:
            return None
        peak, _, _, operation, run = heappop(waiting)
        run = step_bytes.after(run, operation)


def _check_number(sets: int) -> None:
    """Raises InputError where a network has too many orders."""
    if sets > MOST_SETS:
        raise InputError(
            f"a network with more than {MOST_SETS:,} sets of operations that could have run",
            expected="fewer branches side by side",
            where="deployment.order: best",
            hint="say order: written",
        )
