"""Architectures as vectors for a model of accuracy: resolved widths per stage, wiring, and exact costs on log scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import numpy as np

from cspnas.network.architecture import FUSIONS, SPLIT_KINDS, Architecture, Stage
from cspnas.network.operations import ACTIVATIONS
from cspnas.objectives.pareto import Array

# Costs that are another one in other units: two columns of one cost would weigh twice.
COPIES = frozenset({"weights_memory"})


def raw_features(architecture: Architecture, costs: Mapping[str, float]) -> list[float]:
    """One architecture's features before scaling; architectures of one space have equally many."""
    stem = architecture.stem
    found = [log(stem.channels), stem.kernel, stem.stride, stem.pool, len(stem.hidden), stem.kind == "pelee"]
    found += [architecture.norm == "before", *(architecture.activation == name for name in ACTIVATIONS)]
    for stage in architecture.stages:
        found += _stage_features(stage)
    kept = [value for name, value in sorted(costs.items()) if name not in COPIES]
    return [float(value) for value in found] + [log(max(value, 1e-9)) for value in kept]


def _stage_features(stage: Stage) -> list[float]:
    csp, size = stage.csp, stage.size
    found = [stage.depth, log(size), log(stage.depth * size), log(stage.bottleneck / size), log(stage.out)]
    found += [log(stage.groups), stage.pool_first, csp is not None]
    found.append(csp.part1 / (csp.part1 + csp.part2) if csp else 0.0)
    found += [csp is not None and csp.fusion == fusion for fusion in FUSIONS]
    found += [csp is not None and csp.split == way for way in SPLIT_KINDS]
    found.append(csp is not None and csp.taps == "all")
    return [*map(float, found), *(_residual_features(stage) if stage.kind == "residual" else ())]


def _residual_features(stage: Stage) -> list[float]:
    """How the stage begins, and widths that follow from no split ratio; all 0 or 1 where a space does not choose them."""
    csp, down, width = stage.csp, stage.downsample, stage.width or stage.out
    found = [log(down.stride if down else 1), down is not None and down.groups > 1, stage.shortcut == "common"]
    # A stage that is wider than what comes to its split or its blocks.
    found.append(log(stage.out / down.width) if down else 0.0)
    found += (
        [log((csp.part1 + csp.part2) / stage.out), log(width / csp.part2), csp.linear] if csp else [0.0, 0.0, False]
    )
    return list(map(float, found))


class Scaling:
    """Maps features to mean 0 and deviation 1 over a pool; features that never vary there are left out."""

    def __init__(self, pool: Sequence[Sequence[float]]) -> None:
        values = np.array(pool, float)
        spread = values.std(0)
        self._kept = spread > 1e-9
        self._mean, self._spread = values.mean(0)[self._kept], spread[self._kept]

    def __call__(self, rows: Sequence[Sequence[float]]) -> Array:
        """(n, d) scaled features."""
        values = np.array(rows, float).reshape(len(rows), len(self._kept))
        return np.asarray((values[:, self._kept] - self._mean) / self._spread)
