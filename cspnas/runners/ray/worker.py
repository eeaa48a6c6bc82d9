"""A training in a worker process of the cluster: where it writes, what it tells, what remains of it. Imports Ray.

Ray must be able to import this module on every node, so that cspnas has to be installed there.
"""

from __future__ import annotations

import functools
import json
import os
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from cspnas.errors import FailureKind
from cspnas.io.machine import usable_cpus
from cspnas.network.architecture import Architecture
from cspnas.runners.oom_kills import memory_kills
from cspnas.runners.protocol import Evaluate
from cspnas.runners.ray.messages import RESULT, Beginning
from cspnas.runners.training_estimate import Speed, speed_here
from cspnas.runners.worker_log import print_to, tail
from cspnas.training.payload import ResultPayload, UnitOfWork
from cspnas.training.recipe import Recipe

# Between two looks at a checkpoint that has to be carried away.
WATCH_SECONDS = 1.0
# A file in Tune's folder that a worker reads to know whether it has the study's folder.
MARKER = ".here"


@dataclass(frozen=True, slots=True)
class Home:
    """Where the search is: the loop's actor by name, the study's `folder` and Tune's, and what the marker there says."""

    actor: str
    namespace: str
    folder: str
    tune: str
    token: str

    @property
    def shared(self) -> bool:
        """Whether this process has the study's folder: it is on the search's machine, or on a file system of both."""
        try:
            return (Path(self.tune) / MARKER).read_text() == self.token and os.access(self.folder, os.W_OK)
        except OSError:
            return False

    def loop(self) -> Any:
        """The actor of Tune's loop."""
        return ray.get_actor(self.actor, self.namespace)


@functools.cache
def evaluator(make: str, device: str) -> Evaluate:
    """One a process, so that a worker loads a data set once."""
    found: Evaluate = pkgutil.resolve_name(make)(device)
    return found


def train_unit(config: dict[str, str], make: str, device: str, home: Home) -> None:
    """The trainable: a unit of work as JSON; an epoch a report, the whole result in the last one."""
    evaluate, unit, ticket = evaluator(make, device), json.loads(config["unit"]), config["ticket"]
    node, loop, shared = ray.get_runtime_context().get_node_id(), home.loop(), home.shared
    # Tune gives each worker a working folder in Ray's own, on its node.
    place = Path(home.tune if shared else Path.cwd()) / ticket
    # Without a log a training goes on.
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True)
    log = place / "worker.log"
    print_to(log)
    about = Beginning(shared, node, os.getpid(), str(log), memory_kills())
    kept = ray.get(loop.began.remote(ticket, about))
    print(f"training with seed {unit.get('seed')}", flush=True)
    path = Path(config["checkpoint"]) if shared else place / "checkpoint.safetensors"
    with _carried(path, kept, None if shared else functools.partial(_carry, loop, ticket)):
        result = _evaluated(evaluate, unit | {"checkpoint": str(path)})
    failure = result.get("failure")
    if failure:
        result["failure"] = {**failure, "log": tail(log)}
    last = {"accuracy": result.get("accuracy"), "seconds": result.get("seconds")}
    told = {RESULT: json.dumps(result | {"node": node})}
    tune.report({key: value for key, value in last.items() if value is not None} | told)


def _evaluated(evaluate: Evaluate, unit: UnitOfWork) -> ResultPayload:
    """The result; an evaluator that raises is a result that says so, and the worker lives on."""
    try:
        return evaluate(unit, lambda epoch: tune.report({"accuracy": epoch.accuracy}))
    except Exception as error:  # noqa: BLE001 (the worker lives on, whatever the evaluator raises)
        traceback.print_exc()
        lines = "".join(traceback.format_exception(error)[-3:])[-2000:]
        return {
            "failure": {
                "kind": FailureKind.OUT_OF_MEMORY if _wants_memory(error) else FailureKind.CRASHED,
                "message": lines,
            }
        }


def _wants_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | ray.exceptions.OutOfMemoryError):
        return True
    # Then it is no error of torch's, whose import takes seconds.
    if "torch" not in sys.modules:
        return False
    from cspnas.training.evaluation import is_out_of_memory

    return is_out_of_memory(error)


def _carry(loop: Any, ticket: str, content: bytes) -> None:
    ray.get(loop.kept.remote(ticket, content))


@contextmanager
def _carried(path: Path, kept: bytes | None, carry: Callable[[bytes], None] | None) -> Iterator[None]:
    """A checkpoint on a node that has the study's folder lies there; else its bytes come from the search and go to it.

    `carry` None: nothing has to be carried. Through Ray's object store and not as Tune's checkpoints, which need a file
    system of all nodes, and are looked at only after an epoch.
    """
    if carry is None:
        yield
        return
    if kept is not None:
        path.write_bytes(kept)
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(path, carry, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        path.unlink(missing_ok=True)


def _watch(path: Path, carry: Callable[[bytes], None], done: threading.Event) -> None:
    """Carry each new state away; a file is replaced whole (`checkpoint.py`), and so is what is read here."""
    seen = _changed(path)
    while not done.wait(WATCH_SECONDS):
        changed = _changed(path)
        if changed != seen:
            seen = changed
            with suppress(
                OSError,
                ray.exceptions.RayError,
                # The training goes on without; the next state is tried again.
            ):
                carry(path.read_bytes())


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def last_words(log: str, hangs: int | None) -> tuple[str, int]:
    """On a worker's node: the end of its log, and how often the kernel has killed for want of memory.

    `hangs`: its pid where it was given up. One that is stopped does not hear Ray's request to end, and is killed.
    """
    with suppress(OSError):
        if hangs is not None and b"ray::" in Path(f"/proc/{hangs}/cmdline").read_bytes():
            os.kill(hangs, signal.SIGKILL)
    return tail(Path(log)), memory_kills()


def precision_of_node(device: str) -> str:
    """Measured on a node, with one torch thread."""
    import torch

    from cspnas.training import train as training

    torch.set_num_threads(1)
    return training.faster_precision(torch.device(device))


def speed_of_node(device: str, networks: list[Architecture], recipe: Recipe) -> Speed | None:
    """Measured on a node, of which each core is a worker."""
    return speed_here([device] * usable_cpus(), networks, recipe)


def device_kind(device: str) -> str:
    """The name of a node's device, that latencies are compared on."""
    import torch

    from cspnas.training.latency import device_name

    return device_name(torch.device(device))
