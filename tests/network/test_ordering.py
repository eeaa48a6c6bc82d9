"""The order of least memory: beside every order there is, beside tracked runs, and how long it takes (of random networks in
`tests/property`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cspnas.documents.architecture_file import read_architecture, shipped_architectures
from cspnas.errors import InputError
from cspnas.network import ordering
from cspnas.network.architecture import Architecture, Csp, Stage, Stem
from cspnas.network.cost import cost_of
from cspnas.network.deployment import ORDERS
from cspnas.network.graph import Graph, GraphBuilder
from cspnas.network.liveness import fold_norms
from cspnas.network.ordering import ordered
from cspnas.network.validation import MOST_LAYERS
from cspnas.network.wiring import wire
from cspnas.training.measured_memory import measured_peak
from cspnas.training.module import NetworkModule, fold, initialise

MAP = 4 * 4 * 4  # bytes of one channel: 4 x 4 elements, float32


def random_graph(rng: random.Random) -> Graph:
    """Up to 6 operations on an image of 4 x 4 that no family would wire; any of them is the output."""
    net = GraphBuilder((rng.randint(1, 3), 4, 4))
    for number in range(rng.randint(1, 6)):
        x, y = rng.randrange(len(net.forms)), rng.randrange(len(net.forms))
        kind = rng.choice(("conv", "conv", "conv", "norm", "act", "gelu", "slice", "concat", "add"))
        match kind:
            case "conv":
                net.add("conv", f"{number}", x, out_channels=rng.randint(1, 9))
            case "act" | "gelu":
                net.add("act", f"{number}", x, function="relu" if kind == "act" else "gelu")
            case "slice":
                net.add("slice", f"{number}", x, start=0, stop=rng.randint(1, net.channels(x)))
            case "add" if net.channels(x) != net.channels(y):
                net.add("concat", f"{number}", x, y)
            case "add" | "concat":
                net.add(kind, f"{number}", x, y)
            case _:
                net.add(kind, f"{number}", x)
    return Graph(net.graph().operations, rng.randrange(len(net.forms)))


def every_order(graph: Graph) -> Iterator[Graph]:
    """The graph in each of its orders."""

    def extend(run: list[int]) -> Iterator[list[int]]:
        if len(run) == len(graph.operations):
            yield run
        for index, operation in enumerate(graph.operations):
            if index not in run and all(source in run for source in operation.inputs):
                yield from extend([*run, index])

    for run in extend([0]):
        place = {index: position for position, index in enumerate(run)}
        operations = (graph.operations[index] for index in run)
        moved = (replace(op, inputs=tuple(place[source] for source in op.inputs)) for op in operations)
        yield Graph(tuple(moved), place[graph.output])


@settings(max_examples=150, deadline=None, database=None)
@given(st.integers(0, 2**48 - 1))
def test_the_best_order_needs_the_least_of_all_orders(seed: int) -> None:
    graph = random_graph(random.Random(seed))
    best, peaks = ordered(graph, "best"), [cost_of(other).peak_memory for other in every_order(graph)]
    assert cost_of(best).peak_memory == min(peaks) == measured_peak(best, device="cpu")


@pytest.mark.parametrize("name", shipped_architectures())
def test_the_best_order_of_a_reference_network_is_the_one_written_or_one_whose_peak_the_tracker_sees(name: str) -> None:
    graph = wire(read_architecture(shipped_architectures()[name]).architecture)
    best = ordered(graph, "best")
    assert replace(cost_of(best), order="best") == cost_of(graph, "best")
    assert cost_of(best).peak_memory == (measured_peak(best) if best != graph else cost_of(graph).peak_memory)


def test_a_projected_shortcut_runs_while_the_block_is_narrow() -> None:
    """Written: input 22, the block's result 14 and the shortcut 14. Best: the shortcut frees the input before the block's
    result is made, beside the bottleneck 1: 22 + 1 + 14.
    """
    block = Stage(1, None, 1, 14, width=14)
    network = Architecture("resnet", (3, 4, 4), 10, Stem(22), (block,))
    graph = wire(network)
    best, written = ordered(graph, "best"), cost_of(graph)
    assert (written.peak_memory, cost_of(best).peak_memory) == (MAP * (3 + 22 + 14 + 14), MAP * (3 + 22 + 1 + 14))
    names = [op.name for op in best.operations]
    assert names.index("stage1.block.layer1.shortcut.norm") < names.index("stage1.block.layer1.widen.conv")


def test_a_module_runs_in_the_best_order_with_the_weights_of_the_one_written() -> None:
    network = Architecture("resnet", (3, 8, 8), 10, Stem(22), (Stage(2, None, 1, 14, width=14),))
    graph = wire(network)
    modules = [NetworkModule(graph, order=order) for order in ORDERS]
    for module in modules:
        initialise(module, 3)
    written, best = (fold(module.eval()) for module in modules)
    assert written.graph != best.graph == fold_norms(ordered(graph, "best"))
    assert [*written.state_dict()] == [*best.state_dict()]
    image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(best(image), written(image), rtol=0, atol=0)


def test_the_deepest_stage_is_ordered_in_seconds() -> None:
    """A thousand dense layers beside a projected part: some 7,000 operations, any number of which may come before it."""
    stage = Stage(MOST_LAYERS, 4, 16, 40, csp=Csp("first", 30, 16, split="project"))
    graph = wire(Architecture("densenet", (3, 8, 8), 10, Stem(24), (stage,)))
    start = time.process_time()
    assert cost_of(graph, "best").peak_memory <= cost_of(graph).peak_memory
    assert time.process_time() - start < 10


def test_a_graph_of_too_many_orders_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ordering, "MOST_SETS", 1000)
    net = GraphBuilder((1, 4, 4))
    branches = [
        net.add("conv", f"{n}b", net.add("conv", f"{n}a", 0, out_channels=9 + n), out_channels=2) for n in range(9)
    ]
    net.add("concat", "join", *branches)
    with pytest.raises(
        InputError, match=r"^deployment.order: best: found a network with more than 1,000 sets .* written$"
    ):
        ordered(net.graph(), "best")
