"""The life of a worker process: read a unit of work as JSON, evaluate it, answer as JSON; end when the parent ends."""

from __future__ import annotations

import faulthandler
import json
import os
import pkgutil
import signal
import threading
from multiprocessing.connection import Connection

from cspnas.io.interrupts import SIGNALS, stop_asked
from cspnas.io.standard_streams import never_fail
from cspnas.runners.oom_kills import offer_to_kernel
from cspnas.runners.protocol import Evaluate
from cspnas.training.payload import WorkerMessage

_busy = threading.Event()


def worker_main(work: int, lifeline: int, device: str, evaluator: str) -> None:
    """Serve until the parent closes the connection of descriptor `work`, asks for the end on `lifeline`, or dies.

    `evaluator` is MODULE:NAME of what makes an evaluator from a device.
    """
    # Who interrupts a search sends the signal to its whole process group; what follows is the parent's to say.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    never_fail("stdout", "stderr")
    faulthandler.enable()
    # Read when torch is imported.
    os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    threading.Thread(target=_hear_parent, args=(Connection(lifeline),), daemon=True).start()
    offer_to_kernel()
    try:
        _serve(Connection(work), pkgutil.resolve_name(evaluator)(device))
    except KeyboardInterrupt:
        # its standing is kept
        return


def _serve(connection: Connection, evaluate: Evaluate) -> None:
    while not stop_asked.is_set():
        try:
            work = json.loads(connection.recv_bytes())
        except EOFError:
            return
        _busy.set()
        _send(connection, {"began": os.getpid()})
        print(f"training with seed {work.get('seed')}", flush=True)
        result = evaluate(work, lambda epoch: _send(connection, {"epoch": epoch.accuracy}))
        _send(connection, {"result": result})
        _busy.clear()


def trainer(device: str) -> Evaluate:
    """What evaluates by training, with one torch thread: two workers with more are slower than one."""
    import torch

    torch.set_num_threads(1)
    from cspnas.training.evaluation import Evaluator

    return Evaluator(device)


def _send(connection: Connection, message: WorkerMessage) -> None:
    connection.send_bytes(json.dumps(message).encode())


def _hear_parent(lifeline: Connection) -> None:
    """One message asks for the end. The pipe closes when the parent ends, however that is; a training ends with it."""
    try:
        lifeline.recv_bytes()
        stop_asked.set()
        if _busy.is_set():
            lifeline.recv_bytes()
    except (EOFError, OSError):
        pass
    os._exit(0)
