"""Which devices a search trains on, and how many trainings share each."""

from __future__ import annotations

import os
import re

MOST_PER_CORE = 4
MOST_PER_GPU = 64


def _cpu_workers(workers: int) -> int:
    """The number of processes on the CPU; each holds torch and the data, and trains with one thread."""
    from cspnas.errors import InputError

    cores = len(os.sched_getaffinity(0))
    if workers > MOST_PER_CORE * cores:
        raise InputError(
            f"{workers} workers",
            expected=f"at most {MOST_PER_CORE * cores}, {MOST_PER_CORE} for each of {cores} cores",
            where="--workers",
            do="leave it out for one per core",
        )
    return workers or cores


def devices_for(choice: str, workers: int, per_gpu: int) -> list[str]:
    """One device a worker for `auto`, `cpu` or `cuda:0,1`. Raises InputError for a device that is not there."""
    import torch

    from cspnas.errors import InputError

    gpus = list(range(torch.cuda.device_count()))
    if choice == "cpu" or (choice == "auto" and not gpus):
        return ["cpu"] * _cpu_workers(workers)
    if per_gpu > MOST_PER_GPU:
        raise InputError(f"{per_gpu} trainings on each GPU", expected=f"at most {MOST_PER_GPU}", where="--per-gpu")
    if choice not in ("auto", "cuda"):
        names = choice.removeprefix("cuda:").split(",")
        if not choice.startswith("cuda:") or not all(re.fullmatch("[0-9]{1,4}", name) for name in names):
            shown = choice if len(choice) <= 60 else choice[:57] + "..."
            raise InputError(f"device {shown!r}", expected="auto, cpu, cuda or cuda:0,1", where="--device")
        missing = sorted({int(name) for name in names} - set(gpus))
        if missing:
            raise InputError(f"GPU {missing[0]}", expected=f"one of the {len(gpus)} GPUs here", where="--device")
        gpus = [int(name) for name in names]
    if not gpus:
        raise InputError("no GPU", expected="at least one for cuda", where="--device", do="use --device cpu")
    slots = [f"cuda:{gpu}" for _ in range(per_gpu) for gpu in gpus]
    return slots[:workers] if workers else slots
