"""Which devices a search trains on, and how many trainings share each."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path

from cspnas.errors import InputError
from cspnas.io.machine import free_memory, own_memory, usable_cpus
from cspnas.io.steps import Step, silent
from cspnas.runners.device_memory import DeviceBudget, check_budget, with_images
from cspnas.runners.local.gpu_probe import probe

MOST_PER_CORE = 4
MOST_PER_GPU = 64
# Bytes, more than a worker's process takes.
AMPLE = 2 << 30


def devices_for(
    choice: str,
    workers: int,
    per_gpu: int | None,
    training: Callable[[], int],
    step: Step = silent,
    *,
    data: Callable[[], int] = lambda: 0,
) -> list[str]:
    """One device a worker for `auto`, `cpu` or `cuda:0,1`; `workers` 0 and `per_gpu` None: as many as fit.

    `training`: bytes of the greatest training that is to be expected; `data`: of the images, which each worker of a GPU
    holds there if they fit, while those of the CPU map one file. Raises InputError for a device that is not there,
    and with the arithmetic for more workers than fit.
    """
    if per_gpu is not None and per_gpu > MOST_PER_GPU:
        raise InputError(f"{per_gpu} trainings on each GPU", expected=f"at most {MOST_PER_GPU}", where="--per-gpu")
    gpus = gpus_for(choice)
    if not gpus:
        return ["cpu"] * _cpu_workers(workers, training)
    step("asking the GPUs for their memory")
    cores = usable_cpus() // len(gpus)
    budgets = {}
    for gpu in gpus:
        free, process = probe(gpu)
        budget = DeviceBudget(f"cuda:{gpu}", free, process, training(), max(1, cores))
        budgets[gpu] = with_images(budget, data())
    for budget in budgets.values():
        check_budget(per_gpu or 1, budget, "--per-gpu")
    counts = {gpu: per_gpu or min(budget.together, MOST_PER_GPU) for gpu, budget in budgets.items()}
    slots = [f"cuda:{gpu}" for turn in range(max(counts.values())) for gpu in gpus if turn < counts[gpu]]
    if workers > len(slots):
        fit = sum(max(1, budget.by_memory) for budget in budgets.values())
        if workers > fit or per_gpu:
            each = ", ".join(f"{counts[gpu]} on {budget.name}" for gpu, budget in budgets.items())
            raise InputError(f"{workers} workers", expected=f"at most {len(slots)}: {each}", where="--workers")
        slots += [f"cuda:{gpu}" for gpu in gpus for _ in range(budgets[gpu].by_memory - counts[gpu])]
    return slots[:workers] if workers else slots


def _cpu_workers(workers: int, training: Callable[[], int]) -> int:
    """The number of processes on the CPU; each holds torch and the data, and trains with one thread."""
    cores = usable_cpus()
    if workers > MOST_PER_CORE * cores:
        raise InputError(
            f"{workers} workers",
            expected=f"at most {MOST_PER_CORE * cores}, {MOST_PER_CORE} for each of {cores} cores",
            where="--workers",
            hint="leave it out for one per core",
        )
    wanted = workers or cores
    if DeviceBudget("this machine", free_memory(), AMPLE, training(), cores).by_memory >= wanted:
        # torch, which takes longer to import than all else of a start, would only say that more fit.
        return wanted
    import torch  # noqa: F401 (a worker holds it too: it counts in what this process holds)

    budget = DeviceBudget("this machine", free_memory(), own_memory(), training(), cores)
    check_budget(workers, budget, "--workers")
    return workers or budget.together


def gpu_count() -> int:
    """How many GPUs torch sees here; it is not imported where there is neither NVIDIA's driver nor AMD's."""
    if not driver_found():
        return 0
    import torch

    return torch.cuda.device_count()


def driver_found() -> bool:
    """Whether a GPU's driver is installed: without one torch can see none."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True


def gpus_for(choice: str) -> list[int]:
    """The GPUs that `auto`, `cpu`, `cuda` or `cuda:0,1` says; none: the CPU. Raises InputError for one that is not there."""
    here = [] if choice == "cpu" else list(range(gpu_count()))
    if choice == "cpu" or (choice == "auto" and not here):
        return []
    if choice not in ("auto", "cuda"):
        names = choice.removeprefix("cuda:").split(",")
        if not choice.startswith("cuda:") or not all(re.fullmatch("[0-9]{1,4}", name) for name in names):
            shown = choice if len(choice) <= 60 else choice[:57] + "..."
            raise InputError(f"device {shown!r}", expected="auto, cpu, cuda or cuda:0,1", where="--device")
        chosen = list(dict.fromkeys(int(name) for name in names))
        missing = sorted(set(chosen) - set(here))
        if missing:
            raise InputError(f"GPU {missing[0]}", expected=f"one of the {len(here)} GPUs here", where="--device")
        return chosen
    if not here:
        raise InputError("no GPU", expected="at least one for cuda", where="--device", hint="use --device cpu")
    return here
