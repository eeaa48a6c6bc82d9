"""Five hundred random architectures of all families, far wider than the search spaces: every figure confirmed.

`python benchmarks/design_space.py oracles 10000` draws more.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import disagreements
from random_architectures import wide_architecture

from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture
from cspnas.network.cost import CostTable, cost_of
from cspnas.network.families import FAMILIES
from cspnas.network.graph import Graph
from cspnas.network.wiring import wire

ALL = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
# A seed draws the whole architecture: Hypothesis looks for the smallest that fails among seeds, and each draw is cheap.
seeds = st.integers(0, 2**48 - 1)
architectures = seeds.map(lambda seed: wide_architecture(random.Random(seed)))
TABLE = CostTable()


@pytest.mark.parametrize("hundred", range(5))
@settings(max_examples=100, deadline=None, database=None, suppress_health_check=ALL)
@given(seed=seeds)
def test_every_figure_is_what_other_counters_say(hundred: int, seed: int) -> None:
    """MACs, parameters, peak and training memory; the costs by stages; the canonical document and its digest."""
    architecture = wide_architecture(random.Random(seed + hundred * 2**48))  # each hundred has its own
    assert list(disagreements(architecture, TABLE)) == []


def same_network(first: Graph, second: Graph) -> bool:
    """Equal but for names."""
    return [(op.form, op.inputs) for op in first.operations] == [(op.form, op.inputs) for op in second.operations]


@settings(max_examples=300, deadline=None, database=None, suppress_health_check=ALL)
@given(architectures, st.randoms(use_true_random=False))
def test_digests_are_equal_where_networks_are_and_only_there(first: Architecture, rng: random.Random) -> None:
    """Beside an architecture: one that differs in one field at most."""
    field = rng.choice(("classes", "activation", "norm", "head", "stem", "stages"))
    other = wide_architecture(rng)
    try:
        second = replace(first, **{field: getattr(other, field)})
        graphs = wire(first), wire(second)
    except ArchitectureError:
        return
    assert (graphs[0].digest() == graphs[1].digest()) == same_network(*graphs)
    if same_network(*graphs):
        assert cost_of(graphs[0]) == cost_of(graphs[1])


def test_the_random_architectures_reach_everything() -> None:
    drawn = [wide_architecture(random.Random(seed)) for seed in range(400)]
    stages = [stage for one in drawn for stage in one.stages]
    csps = [stage.csp for stage in stages if stage.csp is not None]
    downsamples = [stage.downsample for stage in stages if stage.downsample is not None]
    seen = {
        "family": Counter(one.family for one in drawn),
        "norm": Counter(one.norm for one in drawn),
        "activation": Counter(one.activation for one in drawn),
        "head": Counter(one.head for one in drawn),
        "stem": Counter((one.stem.kind, one.stem.fuse) for one in drawn),
        "fusion and split": Counter((csp.fusion, csp.split) for csp in csps),
        "linear and taps": Counter((csp.linear, csp.taps) for csp in csps),
        "downsample": Counter((layer.kind, layer.stride, layer.groups > 1) for layer in downsamples),
        "pool": Counter((stage.pool, stage.pool_first) for stage in stages),
        "block": Counter((stage.shortcut, stage.stride, stage.groups > 1) for stage in stages if stage.width),
        "transition": Counter(stage.transition for stage in stages),
    }
    sizes = {name: len(values) for name, values in seen.items()}
    assert sizes == {
        "family": len(FAMILIES),
        "norm": 2,
        "activation": 6,
        "head": 2,
        "stem": 3,
        "fusion and split": 9,
        "linear and taps": 4,
        "downsample": 12,
        "pool": 3,
        "block": 8,
        "transition": 2,
    }
