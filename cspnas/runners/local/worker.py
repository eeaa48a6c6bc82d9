"""The life of a worker process: read a unit of work as JSON, evaluate it, answer as JSON; end when the parent ends."""

from __future__ import annotations

import json
import os
import pkgutil
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any

from cspnas.runners.oom_kills import offer_to_kernel
from cspnas.runners.protocol import Evaluate
from cspnas.runners.worker_log import print_to


def worker_main(connection: Connection, lifeline: Connection, device: str, evaluator: str, log: str) -> None:
    """Serve until the parent closes `connection` or dies; what this process prints goes to `log`. Ctrl-C is the parent's.

    `evaluator` is MODULE:NAME of what makes an evaluator from a device.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}  # read when torch is imported
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    print_to(log)
    offer_to_kernel()
    evaluate: Evaluate = pkgutil.resolve_name(evaluator)(device)
    while True:
        try:
            work = json.loads(connection.recv_bytes())
        except EOFError:
            return
        _send(connection, {"began": os.getpid()})
        print(f"training with seed {work.get('seed')}", flush=True)
        result = evaluate(work, lambda epoch: _send(connection, {"epoch": epoch.accuracy}))
        _send(connection, {"result": result})


def trainer(device: str) -> Evaluate:
    """What evaluates by training, with one torch thread: two workers with more are slower than one."""
    import torch

    torch.set_num_threads(1)
    from cspnas.training.evaluation import Evaluator

    return Evaluator(device)


def _send(connection: Connection, message: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())


def _end_with_parent(lifeline: Connection) -> None:
    """The parent never writes here: the pipe closes when it ends, however it ends, even in the middle of a training."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(0)
