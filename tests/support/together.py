"""Processes that torch connects as `torchrun` does, forked from one that has imported torch: that saves the imports."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from commands import FORKS
from searches import PATIENCE


def run_together(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What `work(*arguments)`, a module's own function, returns in each of `count` processes, by rank; no tensors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ends = []
    for rank in range(count):
        here, there = FORKS.Pipe()
        process = FORKS.Process(target=_main, args=(rank, count, port, there, work, arguments))
        process.start()
        there.close()
        ends.append((process, here))
    try:
        found = [here.recv() if here.poll(PATIENCE) else "no answer" for _, here in ends]
    finally:
        for process, here in ends:
            here.close()
            process.kill()
            process.join()
    failed = [told for told in found if isinstance(told, str)]
    assert not failed, "\n".join(failed)
    return [told for (told,) in found]


def _main(
    rank: int, count: int, port: int, there: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    names = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in names.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "test", "OMP_NUM_THREADS": "1"}
    try:
        there.send((work(*arguments),))
    except BaseException:  # noqa: BLE001 (the test that started it says what it was)
        there.send(traceback.format_exc())
    # Another one may still be speaking to this one.
    there.poll(PATIENCE)
