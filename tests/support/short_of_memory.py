"""Evaluators of networks that need more memory than there is, for real; `test_memory.py` says what follows.

`Trains`: real trainings whose process may have HEADROOM more bytes of addresses than it has when it begins.
`Eats`: takes EATEN times what a training is predicted to take, by touching it, in a control group that has as much left.
Its workers have no torch and so start in no time; but for the greater share the search's own process would be the largest.
`TrainsInGroup`: real trainings in such a group. Where no group can be made, what would be too much is SIGKILL by hand.
Each training is a line of `trainings.jsonl` when it ends, if it does.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cspnas.network.cost import cost_of
from cspnas.network.serialization import architecture_from
from cspnas.network.wiring import wire

# By growth rate, at a batch of 1,000 and in parts of 250: 2 needs 37 and 9 MiB, 3 needs 47 and 12, 16 needs 174 and 44,
# 96 needs 954 and 240.
SPACE = """
family: densenet
stem: {channels: 4, stride: 2}
stages: [{csp: false, growth_rate: [2, 3, 16, 96], depth: 2, bottleneck_ratio: 1}]
objectives: [accuracy, flops]
baselines: {widths: 0}
proxy: {precision: float32, epochs: 1, batch_size: 1000}
search: {sampler: random, confirm: 0}
"""
HEADROOM = 100 << 20
EATEN = 6
BY_HAND = 3  # the growth rate of the network whose worker somebody kills at its first try
GROUP = "CSPNAS_TEST_GROUP"  # the environment variable with the folder of the control group, empty where there is none


def predicted(work: dict[str, Any]) -> int:
    """Bytes, by the closed form of cost.py."""
    graph = wire(architecture_from(work["architecture"]))
    return cost_of(graph).training_memory(work.get("micro_batch") or work["recipe"]["batch_size"])


def growth_rate(work: dict[str, Any]) -> int:
    """The one gene of the space."""
    return int(work["architecture"]["stages"][0]["growth_rate"])


def noted(work: dict[str, Any], begin: float, failed: bool) -> None:
    """One line for a training that ended; seconds of a clock that all processes share."""
    line = {"growth_rate": growth_rate(work), "micro_batch": work.get("micro_batch"), "failed": failed}
    with Path("trainings.jsonl").open("a") as file:
        file.write(json.dumps(line | {"begin": begin, "end": time.monotonic()}) + "\n")


class Trains:
    """Real trainings on 2,000 of the images."""

    def __init__(self, device: str) -> None:
        import torch

        from cspnas.data import datasets as data
        from cspnas.training.batches import InMemoryBatches
        from cspnas.training.evaluation import Evaluator

        torch.set_num_threads(1)
        self.evaluator = Evaluator(device)
        found = data.load("fashion-mnist-mini")
        train = replace(found.train, images=found.train.images[:2000], labels=found.train.labels[:2000])
        validation = replace(
            found.validation, images=found.validation.images[:500], labels=found.validation.labels[:500]
        )
        few = replace(found, train=train, validation=validation)
        self.evaluator._data[found.name] = InMemoryBatches(few, self.evaluator.device)
        self.warm()
        self.limit()

    def warm(self) -> None:
        """One training of next to nothing: libraries are loaded when the limit is set."""
        from cspnas.network.architecture import Architecture, Stage, Stem
        from cspnas.network.serialization import architecture_to
        from cspnas.training.recipe import Recipe

        small = Architecture("densenet", (1, 28, 28), 10, Stem(4), (Stage(1, 4, 4, 8),))
        recipe = asdict(Recipe(precision="float32", epochs=1, batch_size=250))
        self.evaluator({"architecture": architecture_to(small), "recipe": recipe, "seed": 0})

    def limit(self) -> None:
        """Of addresses, which torch's allocator meets."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + HEADROOM,) * 2)

    def __call__(self, work: dict[str, Any], progress: Any) -> dict[str, Any]:
        """A training's result."""
        begin = time.monotonic()
        result = self.evaluator(work, progress)
        noted(work, begin, bool(result["failure"]))
        return dict(result)


class InGroup:
    """What both evaluators in a group share. `times` what is predicted is taken, and left."""

    times = 1

    def limit(self) -> None:
        """Once, for the search and its one worker together."""
        folder = os.environ[GROUP]
        if not folder:
            return
        from control_groups import Group

        group = Group(Path(folder))
        if not group.limited:
            group.limit(group.used + self.times * HEADROOM)

    def kills(self, work: dict[str, Any]) -> None:
        """By hand: once where that is what happens to the network; where there is no group, all that would be too much."""
        told = Path("killed")
        first = growth_rate(work) == BY_HAND and not told.exists()
        if first or (not os.environ[GROUP] and predicted(work) > HEADROOM):
            if first:
                told.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class TrainsInGroup(InGroup, Trains):
    """Real trainings."""

    def __call__(self, work: dict[str, Any], progress: Any) -> dict[str, Any]:
        """A training's result, if the kernel lets it end."""
        self.kills(work)
        return super().__call__(work, progress)


class Eats(InGroup):
    """Memory as a training, and nothing else of it."""

    times = EATEN

    def __init__(self, device: str) -> None:
        self.limit()

    def __call__(self, work: dict[str, Any], progress: Any) -> dict[str, Any]:
        """A result whose accuracy is made up, if the kernel lets it end."""
        self.kills(work)
        begin, taken = time.monotonic(), self.times * predicted(work) >> 20
        print(f"takes {taken} MiB", flush=True)
        eaten = [b"x" * (1 << 20) for _ in range(taken)]
        noted(work, begin, failed=not eaten)
        return {"accuracy": 0.5, "latency": 0.001, "failure": None, "curve": [], "correct": "1:gA=="}
