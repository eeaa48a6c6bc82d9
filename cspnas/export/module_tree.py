"""A graph as a tree by its operations' names: what reads what inside each module, and what enters and leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cspnas.network.graph import Graph, Operation


@dataclass(frozen=True, slots=True)
class Leaf:
    """An operation that stands directly in a module; `result` is its index in the graph."""

    key: str
    operation: Operation
    result: int

    @property
    def reads(self) -> tuple[int, ...]:
        """Indices of the values."""
        return self.operation.inputs

    @property
    def results(self) -> tuple[int, ...]:
        """The value that it gives."""
        return (self.result,)

    @property
    def is_layer(self) -> bool:
        """Whether it has weights, and so is a module of torch's at its name."""
        return self.operation.kind in ("conv", "norm", "linear")


@dataclass(slots=True)
class Branch:
    """A module at `key` with others in it, in an order in which they can run. `reads`: values from outside, in the order in
    which they are read first; `results`: values that are read outside.
    """

    key: str
    children: list[Leaf | Branch] = field(default_factory=list)
    reads: tuple[int, ...] = ()
    results: tuple[int, ...] = ()

    @property
    def is_chain(self) -> bool:
        """Whether its modules run one after the other with nothing between them, as those of `nn.Sequential` do."""
        runs = all(isinstance(child, Branch) or child.is_layer for child in self.children)
        single = all(len(child.reads) == len(child.results) == 1 for child in (self, *self.children))
        values = [self.reads, *(child.results for child in self.children)]
        return (
            runs and single and [child.reads for child in self.children] == values[:-1] and self.results == values[-1]
        )

    def branches(self) -> Iterator[Branch]:
        """Those inside first, itself last."""
        for child in self.children:
            if isinstance(child, Branch):
                yield from child.branches()
        yield self


def module_tree(graph: Graph) -> Branch:
    """The whole network; its only read is the image."""
    root = Branch("")
    for index, operation in enumerate(graph.operations[1:], start=1):
        *folders, key = operation.name.split(".")
        inside = root
        for folder in folders:
            inside = _branch(inside, folder)
        inside.children.append(Leaf(key, operation, index))
    _connect(root, _readers(graph))
    return root


def _branch(inside: Branch, key: str) -> Branch:
    found = next((child for child in inside.children if isinstance(child, Branch) and child.key == key), None)
    if found is None:
        inside.children.append(found := Branch(key))
    return found


def _readers(graph: Graph) -> dict[int, set[int]]:
    """Which operations read each value; the result is read by what comes after all."""
    readers: dict[int, set[int]] = {index: set() for index in range(len(graph.operations))}
    for index, operation in enumerate(graph.operations):
        for source in operation.inputs:
            readers[source].add(index)
    readers[graph.output].add(len(graph.operations))
    return readers


def _connect(branch: Branch, readers: dict[int, set[int]]) -> set[int]:
    """Fill in what enters and leaves, and bring the children in order; all values that are made inside."""
    made: set[int] = set()
    for child in branch.children:
        made |= {child.result} if isinstance(child, Leaf) else _connect(child, readers)
    branch.reads = tuple(dict.fromkeys(v for child in branch.children for v in child.reads if v not in made))
    branch.results = tuple(sorted(value for value in made if readers[value] - made))
    ready, waiting = set(branch.reads), branch.children
    branch.children = []
    while waiting:
        child = next(child for child in waiting if ready.issuperset(child.reads))
        waiting.remove(child)
        branch.children.append(child)
        ready.update(child.results)
    return made
