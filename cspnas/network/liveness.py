"""Which storages a graph's values lie in, how long each lives, and what that takes: the one plan that the memory figures
and the running module share.

A plan depends on the topology alone, not on widths, so that it is made once for all networks of one topology.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from cspnas.network.graph import Graph, Operation, Topology
from cspnas.network.operations import OperationSpec, form_of

# Remembered.
TOPOLOGIES = 4096
OWNED = frozenset({"new", "first", "any"})


@dataclass(frozen=True, slots=True)
class Folding:
    """A topology after folding: the operations that are `kept` (old indices), the convolutions that got a bias (old
    indices), and what is left.
    """

    kept: tuple[int, ...]
    biased: tuple[int, ...]
    topology: Topology


@lru_cache(TOPOLOGIES)
def folding_of(topology: Topology) -> Folding:
    """Every norm is folded that alone reads a convolution: the convolution gets a bias, the norm goes.

    The graph's output counts as a reader. Any other norm stays and makes a tensor of its own.
    """
    kinds, memories, inputs, output = topology
    reads = _reads(topology)[0]
    kept: list[int] = []
    biased: list[int] = []
    # Where each old operation's value is now.
    place: list[int] = []
    for index, (kind, sources) in enumerate(zip(kinds, inputs, strict=True)):
        if kind == "norm" and kinds[sources[0]] == "conv" and reads[sources[0]] == 1:
            biased.append(sources[0])
            place.append(place[sources[0]])
        else:
            place.append(len(kept))
            kept.append(index)
    rest = Topology(
        tuple(kinds[index] for index in kept),
        tuple(memories[index] for index in kept),
        tuple(tuple(place[source] for source in inputs[index]) for index in kept),
        place[output],
    )
    return Folding(tuple(kept), tuple(biased), rest)


def fold_norms(graph: Graph) -> Graph:
    """The graph with its norms folded (see `folding_of`)."""
    folding = folding_of(graph.topology)
    biased = frozenset(folding.biased)
    operations = []
    for index, inputs in zip(folding.kept, folding.topology.inputs, strict=True):
        old = graph.operations[index]
        form = old.form
        if index in biased:
            form = form_of("conv", graph.input_shapes(old), (*old.attributes, ("bias", True)))
        operations.append(Operation(form, old.name, inputs))
    return Graph(tuple(operations), folding.topology.output)


@dataclass(frozen=True, slots=True)
class Plan:
    """For each operation: the storage of its value (named by the operation that made it), the input that it overwrites
    (position among its inputs, or None), and the last operation that reads it.
    """

    storage: tuple[int, ...]
    overwrites: tuple[int | None, ...]
    last_read: tuple[int, ...]
    # By storage: the last operation that needs it; -1 where the operation made no storage.
    last_use: tuple[int, ...]

    @property
    def drops(self) -> tuple[tuple[int, ...], ...]:
        """For each operation the values that have had their last reader once it has run."""
        drops: list[list[int]] = [[] for _ in self.last_read]
        for value, last in enumerate(self.last_read):
            if last < len(drops):
                drops[last].append(value)
        return tuple(tuple(values) for values in drops)


def plan(graph: Graph, *, training: bool = False) -> Plan:
    """Lay the graph's values out in storages, by the rules of inference or of training (autograd's needs)."""
    return plan_of(graph.topology, training)


@lru_cache(TOPOLOGIES)
def plan_of(topology: Topology, training: bool) -> Plan:
    """The plan of every graph of this topology."""
    reads, last_read = _reads(topology)
    storage: list[int] = []
    overwrites: list[int | None] = []
    for index, (memory, sources) in enumerate(zip(topology.memories, topology.inputs, strict=True)):
        position = _overwritten(topology, index, reads, training)
        overwrites.append(position)
        if position is not None:
            storage.append(storage[sources[position]])
        elif memory == "view":
            storage.append(storage[sources[0]])
        else:
            storage.append(index)
    last_use = _last_use(storage, last_read)
    if topology.kinds[0] == "input":
        # The image is the caller's.
        last_use[0] = len(storage)
    return Plan(tuple(storage), tuple(overwrites), tuple(last_read), tuple(last_use))


def _reads(topology: Topology) -> tuple[list[int], list[int]]:
    """(number of readers, last reader) of each value. The output is read once more, at the end; a value that nobody reads
    has itself for its last reader.
    """
    count = len(topology.inputs)
    reads, last = [0] * count, list(range(count))
    for index, sources in enumerate(topology.inputs):
        for source in sources:
            reads[source] += 1
            last[source] = index
    reads[topology.output] += 1
    last[topology.output] = count
    return reads, last


def _overwritten(topology: Topology, index: int, reads: list[int], training: bool) -> int | None:
    """The position of the input whose storage takes the result, or None."""
    memory, sources = topology.memories[index], topology.inputs[index]
    if memory not in ("first", "any"):
        return None
    for position, source in enumerate(sources[:1] if memory == "first" else sources):
        if topology.memories[source] not in OWNED or reads[source] > 1:
            continue
        # Autograd reads an activation's result (relu) or a pool's (its indices) again in the backward pass.
        if training and topology.kinds[source] in ("act", "pool"):
            continue
        return position
    return None


def _last_use(storage: list[int], last_read: list[int]) -> list[int]:
    last = [-1] * len(storage)
    for value, base in enumerate(storage):
        last[base] = max(last[base], last_read[value])
    return last


def live_bytes(graph: Graph, layout: Plan) -> list[int]:
    """Bytes of the live storages while each operation runs, its inputs and its output both alive; one float32 image."""
    return live_of(graph.forms, layout)


def live_of(forms: Sequence[OperationSpec], layout: Plan) -> list[int]:
    """`live_bytes` of operations with these forms."""
    change = [0] * (len(forms) + 2)
    for base, last in enumerate(layout.last_use):
        if last >= 0:
            change[base] += forms[base].bytes
            change[last + 1] -= forms[base].bytes
    return list(accumulate(change[: len(forms)]))


@dataclass(frozen=True, slots=True)
class Saved:
    """Bytes that autograd keeps for the backward pass: inside the graph, and of its input and its output (0: not kept).
    A neighbour in a larger graph may keep the same storage, which counts once.
    """

    per_image: int
    per_batch: int
    input: int
    output: int


def saved_of(forms: Sequence[OperationSpec], topology: Topology) -> Saved:
    """What autograd keeps of an unfolded graph."""
    layout = plan_of(topology, True)
    bases: set[int] = set()
    per_image = 0
    for index, form in enumerate(forms):
        if form.keeps_input and form.kind == "act" and layout.overwrites[index] is not None:
            # Autograd clones what it needs and the result overwrites.
            per_image += form.bytes
        elif form.keeps_input:
            bases.add(layout.storage[topology.inputs[index][0]])
        if form.keeps_output:
            bases.add(layout.storage[index])
    output = layout.storage[topology.output]
    per_image += sum([form.saved_per_image for form in forms])
    per_image += sum([forms[base].bytes for base in bases - {0, output}])
    ends = [forms[base].bytes if base in bases else 0 for base in (0, output)]
    return Saved(per_image, sum([form.saved_per_batch for form in forms]), ends[0], ends[1] if output else 0)
