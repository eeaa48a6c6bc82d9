"""How long the exact costs of a candidate take, beside building it and counting with ptflops, in one run on one core.

    python benchmarks/cost_speed.py            prints JSON and keeps it in benchmarks/results/cost_speed.json

`pool`: decode, wire and cost of each of 10,000 fresh candidates with one table that is empty at the start. `first`: one
candidate with a table of its own. `ptflops`: build the module and count its MACs, which runs it once. The same networks at
CIFAR's and at ImageNet's size. Process CPU time; all medians.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import torch
from ptflops import get_model_complexity_info

from cspnas.documents.space_file import read_space
from cspnas.errors import ArchitectureError
from cspnas.network.cost import CostTable
from cspnas.network.wiring import wire
from cspnas.space.search_space import Genotype
from cspnas.study.candidates import candidate
from cspnas.study.settings import Study
from cspnas.training.module import NetworkModule

HERE = Path(__file__).parent
POOL, REPEATS, SINGLES, COUNTED = 10_000, 5, 300, 20


def valid_genotypes(study: Study, count: int, seed: int) -> list[Genotype]:
    """`count` random genotypes that decode to a network."""
    random = Random(seed)
    found: list[Genotype] = []
    while len(found) < count:
        genotype = study.space.sample(random)
        try:
            study.space.decode(genotype)
        except ArchitectureError:
            continue
        found.append(genotype)
    return found


def seconds(work: Callable[..., Any], *arguments: Any) -> float:
    """Process CPU time of `work(*arguments)`."""
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def pool_times(study: Study) -> list[float]:
    """Seconds a candidate, one value a cold pool, each pool of other candidates."""
    return [seconds(cost_all, study, valid_genotypes(study, POOL, repeat)) / POOL for repeat in range(REPEATS)]


def cost_all(study: Study, genotypes: list[Genotype]) -> None:
    """Cost a pool with one table."""
    table = CostTable()
    for genotype in genotypes:
        candidate(study, genotype, table)


def count_with_ptflops(study: Study, genotype: Genotype) -> None:
    """Build the network as a module and count its MACs."""
    network = NetworkModule(wire(study.space.decode(genotype)))
    with contextlib.redirect_stdout(io.StringIO()):
        get_model_complexity_info(
            network, study.space.input_shape, as_strings=False, print_per_layer_stat=False, backend="aten"
        )


def measured(study: Study) -> dict[str, Any]:
    """All figures, in microseconds of CPU time."""
    genotypes = valid_genotypes(study, SINGLES, 99)
    first = [seconds(candidate, study, genotype) for genotype in genotypes]
    pool = [1e6 * value for value in pool_times(study)]
    count_with_ptflops(study, genotypes[0])  # the first call imports and warms up
    counted = 1e6 * statistics.median(seconds(count_with_ptflops, study, genotype) for genotype in genotypes[:COUNTED])
    return {
        "operations_median": statistics.median(len(wire(study.space.decode(g)).operations) for g in genotypes),
        "pool_us_each": [round(value, 1) for value in pool],
        "pool_us_median": round(statistics.median(pool), 1),
        "first_us_median": round(1e6 * statistics.median(first)),
        "first_us_greatest": round(1e6 * max(first)),
        "build_and_ptflops_us_median": round(counted),
        "times_faster": round(counted / statistics.median(pool)),
    }


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    study = read_space(HERE / "deep_densenet.yaml")
    large = replace(study, space=replace(study.space, input_shape=(3, 224, 224), classes=1000))
    result = {"machine": machine(), "32x32": measured(study), "224x224": measured(large)}
    text = json.dumps(result, indent=2)
    print(text)
    (HERE / "results" / "cost_speed.json").write_text(text + "\n")
