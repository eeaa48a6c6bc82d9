"""Evaluators that Ray's worker processes import by name: trainings that hang, die, want memory, or are cut short."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SALT = 17806  # so that of the six trainings of `test_ray.py` two work and each other kind is met once
KINDS = ("works", "hangs", "dies", "wants memory", "raises")


def kind_of(unit: dict[str, Any]) -> str:
    """What becomes of a training: a function of its network."""
    text = json.dumps(unit["architecture"], sort_keys=True)
    return KINDS[hashlib.sha256(f"{SALT}{text}".encode()).digest()[0] % len(KINDS)]


class Faulty:
    """Real faults of real processes, each said in the log first."""

    def __init__(self, device: str) -> None:
        self.device = device

    def __call__(self, unit: dict[str, Any], progress: Callable[[Any], None]) -> dict[str, Any]:
        """A result, where there is one."""
        kind = kind_of(unit)
        print(f"process {os.getpid()} {kind}", flush=True)
        if kind == "hangs":
            os.kill(os.getpid(), signal.SIGSTOP)  # not even a signal handler runs any more
        elif kind == "dies":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif kind == "wants memory" and "micro_batch" not in unit:
            from ray.exceptions import OutOfMemoryError

            raise OutOfMemoryError("the node is running low on memory")
        elif kind == "raises":
            raise MemoryError
        return {"accuracy": 0.5, "failure": None}


class CutShort:
    """Trains for real, with a checkpoint three times a second; killed after its first epoch unless it goes on from one."""

    def __init__(self, device: str) -> None:
        from cspnas.runners.local.worker import trainer
        from cspnas.training import checkpoint

        checkpoint.EVERY_SECONDS = 0.3
        self._evaluate = trainer(device)

    def __call__(self, unit: dict[str, Any], progress: Callable[[Any], None]) -> dict[str, Any]:
        """The training's result, with what its worker printed."""
        again = Path(unit["checkpoint"]).exists()

        def killed(epoch: Any) -> None:
            progress(epoch)
            if not again:
                time.sleep(2.1)  # a look at the checkpoint, where it has to be carried away
                os.kill(os.getpid(), signal.SIGKILL)

        printed = Path("/proc/self/fd/2").resolve()
        return self._evaluate(unit, killed) | {"printed": printed.read_text()}
