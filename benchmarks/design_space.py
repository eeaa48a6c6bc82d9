"""The whole design space against its oracles, once, in more depth than the tests have time for.

    python benchmarks/design_space.py oracles 10000    random architectures of all families: every figure by other counters
    python benchmarks/design_space.py spaces 10000     of each shipped space (or of those named after it): built, forward,
                                                       backward at the smallest input

Works in two processes, in pieces, and writes after each piece what was done to benchmarks/results/design_space.json. A
failure ends it with the seed that shows it.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch

from cspnas.documents.space_file import read_space, shipped_spaces
from cspnas.errors import ArchitectureError
from cspnas.network.architecture import Architecture
from cspnas.network.cost import CostTable
from cspnas.network.wiring import wire
from cspnas.training.module import NetworkModule, initialise

RESULTS = Path(__file__).parent / "results" / "design_space.json"
PIECE = 250  # architectures of one piece
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))


def check_oracles(name: str, start: int) -> int:
    """Seeds `start` to `start` + PIECE; how many were confirmed, all of them. Raises AssertionError with the seed."""
    from oracles import disagreements
    from random_architectures import wide_architecture

    torch.set_num_threads(1)
    table = CostTable()
    for seed in range(start, start + PIECE):
        found = list(disagreements(wide_architecture(Random(seed)), table))
        assert not found, f"seed {seed}: {found}"
    return PIECE


def check_space(name: str, start: int) -> int:
    """Valid draws of a shipped space, each trained for a step on two images of its smallest size; how many."""
    torch.set_num_threads(1)
    space = read_space(shipped_spaces()[name]).space
    random, done = Random(start), 0
    while done < PIECE:
        try:
            architecture = space.decode(space.sample(random))
            wire(architecture)
        except ArchitectureError:
            continue
        _step(smallest(architecture), start + done)
        done += 1
    return done


def smallest(architecture: Architecture) -> Architecture:
    """The same network on the smallest square image that it takes."""
    channels, size, _ = architecture.input_shape
    for side in range(1, size + 1):
        small = replace(architecture, input_shape=(channels, side, side))
        try:
            wire(small)
        except ArchitectureError:
            continue
        return small
    raise AssertionError(f"no size fits {architecture}")


def _step(architecture: Architecture, seed: int) -> None:
    network = NetworkModule(wire(architecture)).train()
    initialise(network, seed)
    images = torch.randn(2, *architecture.input_shape, generator=torch.Generator().manual_seed(seed))
    network(images).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, (seed, name, architecture)
        assert torch.isfinite(parameter.grad).all(), (seed, name, architecture)


def run(check: Callable[[str, int], int], name: str, count: int) -> Iterator[int]:
    """How many are done after each piece."""
    done = 0
    with ProcessPoolExecutor(2) as pool:
        for piece in pool.map(check, [name] * (count // PIECE), range(0, count, PIECE)):
            done += piece
            yield done


def keep(key: str, done: int, seconds: float) -> None:
    """Write what was done so far."""
    document: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    document["machine"] = {
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    document[key] = {"architectures": done, "failures": 0, "wall_seconds": round(seconds)}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")


def main() -> None:
    """Parse, run, keep."""
    what, count = sys.argv[1], int(sys.argv[2])
    names = sys.argv[3:] or (["all families"] if what == "oracles" else list(shipped_spaces()))
    for name in names:
        began = time.monotonic()
        for done in run(check_oracles if what == "oracles" else check_space, name, count):
            keep(f"{what}: {name}", done, time.monotonic() - began)
            print(f"{what}: {name}: {done}/{count}", file=sys.stderr)


if __name__ == "__main__":
    main()
