"""The life of a worker process: read a unit of work as JSON, evaluate it, answer as JSON; end when the parent ends."""

from __future__ import annotations

import json
import os
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any


def worker_main(connection: Connection, lifeline: Connection, device: str, threads: int) -> None:
    """Serve until the parent closes `connection` or dies. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(lifeline,), daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    from cspnas.evaluation import Evaluator

    evaluate = Evaluator(device)
    while True:
        try:
            work = json.loads(connection.recv_bytes())
        except EOFError:
            return

        def report(epoch: Any) -> None:
            connection.send_bytes(json.dumps({"epoch": epoch.accuracy}).encode())

        connection.send_bytes(json.dumps({"result": evaluate(work, report)}).encode())


def _end_with_parent(lifeline: Connection) -> None:
    """The parent never writes here: the pipe closes when it ends, however it ends, even in the middle of a training."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(0)
