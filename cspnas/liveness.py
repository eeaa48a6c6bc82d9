"""Which storages a graph's values lie in, how long each lives, and what that takes: the one plan that the memory figures
and the running module share.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate

from cspnas.graph import IN_PLACE_ACTIVATIONS, OPERATIONS, Graph, Operation

BYTES = 4  # float32

OWNED = frozenset({"new", "activation", "add"})


def fold_norms(graph: Graph) -> Graph:
    """The graph with every norm folded that alone reads a convolution: the convolution gets a bias, the norm goes.

    The graph's output counts as a reader. Any other norm stays and makes a tensor of its own.
    """
    if not any(operation.kind == "norm" for operation in graph.operations):
        return graph
    readers = graph.readers()
    operations: list[Operation] = []
    place: list[int] = []  # where each old operation's value is now
    for old in graph.operations:
        source = old.inputs[0] if old.inputs else -1
        if old.kind == "norm" and graph.operations[source].kind == "conv" and len(readers[source]) == 1:
            conv = operations[place[source]]
            attributes = {**dict(conv.attributes), "bias": True}
            operations[place[source]] = replace(conv, attributes=tuple(sorted(attributes.items())))
            place.append(place[source])
        else:
            inputs = tuple([place[index] for index in old.inputs])
            same = inputs == old.inputs
            place.append(len(operations))
            operations.append(old if same else Operation(old.kind, old.name, inputs, old.shape, old.attributes))
    return Graph(tuple(operations), place[graph.output])


@dataclass(frozen=True, slots=True)
class Plan:
    """For each operation: the storage of its value (named by the operation that made it), the input that it overwrites
    (position among its inputs, or None), and the last operation that reads it.
    """

    storage: tuple[int, ...]
    overwrites: tuple[int | None, ...]
    last_read: tuple[int, ...]
    last_use: tuple[int, ...]  # by storage: the last operation that needs it; -1 where the operation made no storage

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
    readers = graph.readers()
    storage: list[int] = []
    overwrites: list[int | None] = []
    for index, operation in enumerate(graph.operations):
        memory, position = OPERATIONS[operation.kind].memory, None
        if memory in ("activation", "add"):
            position = _overwritten(graph, operation, readers, training)
        overwrites.append(position)
        if position is not None:
            storage.append(storage[operation.inputs[position]])
        elif memory == "view":
            storage.append(storage[operation.inputs[0]])
        else:
            storage.append(index)
    last_read = [uses[-1] if uses else index for index, uses in enumerate(readers)]
    last_use = _last_use(storage, last_read)
    if graph.operations[0].kind == "input":
        last_use[0] = len(storage)  # the image is the caller's
    return Plan(tuple(storage), tuple(overwrites), tuple(last_read), tuple(last_use))


def _overwritten(graph: Graph, operation: Operation, readers: list[list[int]], training: bool) -> int | None:
    """The position of the input whose storage takes the result of an activation or a sum, or None."""
    if operation.kind == "act" and operation["function"] not in IN_PLACE_ACTIVATIONS:
        return None
    common = operation.kind == "add" and operation["common"]  # the second operand has another shape
    for position, source in enumerate(operation.inputs[:1] if common else operation.inputs):
        maker = graph.operations[source]
        if OPERATIONS[maker.kind].memory not in OWNED or len(readers[source]) > 1:
            continue
        # Autograd reads an activation's result (relu) or a pool's (its indices) again in the backward pass.
        if training and maker.kind in ("act", "pool"):
            continue
        return position
    return None


def _last_use(storage: list[int], last_read: list[int]) -> list[int]:
    last = [-1] * len(storage)
    for value, base in enumerate(storage):
        if last_read[value] > last[base]:
            last[base] = last_read[value]
    return last


def live_bytes(graph: Graph, layout: Plan) -> list[int]:
    """Bytes of the live storages while each operation runs, its inputs and its output both alive; one float32 image."""
    change = [0] * (len(graph.operations) + 2)
    for base, last in enumerate(layout.last_use):
        if last >= 0:
            size = graph.operations[base].elements * BYTES
            change[base] += size
            change[last + 1] -= size
    live = list(accumulate(change[: len(graph.operations)]))
    for index, operation in enumerate(graph.operations):
        if operation.kind == "part":
            held = layout.last_use[layout.storage[operation.inputs[0]]] > index
            live[index] += operation["cost"].above_held if held else operation["cost"].above
    return live


@dataclass(frozen=True, slots=True)
class Saved:
    """Bytes that autograd keeps for the backward pass: inside the graph, and of its input and its output (0: not kept).
    A neighbour in a larger graph may keep the same storage, which counts once.
    """

    per_image: int
    per_batch: int
    input: int
    output: int

    @property
    def ends(self) -> str:
        """Which of `input` and `output` are kept."""
        return f"{'input' if self.input else ''} {'output' if self.output else ''}"


def saved_bytes(graph: Graph) -> tuple[int, int]:
    """Bytes that autograd keeps for the backward pass of the unfolded graph: (per image, per batch)."""
    saved = saved_storages(graph)
    return saved.per_image + saved.input + saved.output, saved.per_batch


def saved_storages(graph: Graph, inference: Plan | None = None) -> Saved:
    """What autograd keeps of the unfolded graph. `inference`: its plan, if known: where that overwrites nothing, the plan
    for training, which may overwrite less, is the same.
    """
    layout = inference
    if layout is None or any(position is not None for position in layout.overwrites):
        layout = plan(graph, training=True)
    bases: set[int] = set()
    per_image = per_batch = 0
    for index, operation in enumerate(graph.operations):
        row = OPERATIONS[operation.kind]
        saves = row.saves(operation)
        if saves == "input" and operation.kind == "act" and layout.overwrites[index] is not None:
            per_image += BYTES * operation.elements  # autograd clones what it needs and the result overwrites
        elif "input" in saves:
            bases.add(layout.storage[operation.inputs[0]])
        if "output" in saves:
            bases.add(layout.storage[index])
        extra_image, extra_batch = row.saved_extra(operation)
        per_image += extra_image
        per_batch += extra_batch
    output = layout.storage[graph.output]
    inside = bases - {0, output}
    per_image += BYTES * sum(graph.operations[base].elements for base in inside)
    sizes = [BYTES * graph.operations[base].elements * (base in bases) for base in (0, output)]
    return Saved(per_image, per_batch, sizes[0], sizes[1] if output else 0)
