"""How long a trained network takes for one image on a device, measured."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import torch

from cspnas.training.measurement import Trained
from cspnas.training.module import NetworkModule, fold

# The first runs choose kernels and fill caches.
WARM_UP = 5
# At least RUNS runs and LEAST seconds of them, but no longer than MOST seconds.
RUNS, LEAST, MOST = 20, 0.1, 1.0


def of_trained(trained: Trained) -> float:
    """Of a network that a search trained."""
    return latency(trained.network, trained.device)


def latency(network: NetworkModule, device: torch.device) -> float:
    """Median seconds of one inference: batch 1, norms folded, float32, channels_last; on a CPU with one thread.

    It is as quiet as the device: what else runs there at that time slows it. The median leaves single disturbances out.
    """
    folded = fold(network)
    folded.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.randn(1, *network.graph.operations[0].shape, generator=torch.Generator().manual_seed(0))
    image = image.to(device).contiguous(memory_format=torch.channels_last)

    def run() -> None:
        folded(image)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    with torch.inference_mode(), one_thread(device):
        return median(timed(run, time.perf_counter))


def timed(run: Callable[[], None], clock: Callable[[], float]) -> list[float]:
    """Seconds of each of enough runs after the warm-up."""
    for _ in range(WARM_UP):
        run()
    times: list[float] = []
    while not enough(times):
        start = clock()
        run()
        times.append(clock() - start)
    return times


def enough(times: list[float]) -> bool:
    """Whether these runs tell the median."""
    return sum(times) >= MOST or (len(times) >= RUNS and sum(times) >= LEAST)


@contextmanager
def one_thread(device: torch.device) -> Iterator[None]:
    """Torch with one thread on a CPU, as before afterwards."""
    before = torch.get_num_threads()
    try:
        if device.type == "cpu":
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)


def device_name(device: torch.device) -> str:
    """What latencies are compared on: the GPU's name, or the processor's."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"cpu {_processor()}"


def _processor() -> str:
    """The model name that Linux gives; elsewhere the kind of machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
