"""A connection to a Ray cluster, or a cluster of one's own on this machine, and what its nodes offer."""

from __future__ import annotations

import atexit
import functools
import gc
import logging
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspnas.errors import CspnasError, InputError
from cspnas.io.extras import check_extra
from cspnas.io.import_path import import_path
from cspnas.io.machine import usable_cpus
from cspnas.io.steps import Step, silent
from cspnas.runners.ray.address import reach
from cspnas.version import __version__

# For a first process on every node.
PROBE_SECONDS = 120.0


class RayError(CspnasError):
    """The cluster cannot be used, or went away."""


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster: `gpu_bytes` of memory on each of its `gpus`."""

    identifier: str
    cpus: int
    gpus: int
    gpu_bytes: int


@contextmanager
def cluster(address: str, workers: int, step: Step = silent) -> Iterator[list[Node]]:
    """The nodes of a cluster that is connected to, or of a local one with `workers` CPUs (0: as many as there are).

    Raises InputError for an address that is none or answers nobody, RayError for nodes without this cspnas.
    """
    reach(address)
    step("starting Ray on this machine" if address == "local" else f"connecting to Ray at {address}")
    ray = quiet_ray()
    try:
        _connect(ray, address, workers)
        yield _nodes(ray)
    finally:
        ray.shutdown()


@functools.cache
def quiet_ray() -> Any:
    """Ray, quiet and without telemetry. Raises InputError where it is not installed."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    modules = ("ray", "pandas", "pyarrow", "tensorboardX")
    check_extra("ray", modules, purpose="Ray with Ray Tune", where="--runner ray")
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    # Else Python's last collection of all that Ray and torch made takes seconds.
    atexit.register(gc.freeze)
    # No public switch keeps a lost node's logs off stderr.
    vars(ray._private.worker)["_worker_logs_enabled"] = False
    return ray


def _connect(ray: Any, address: str, workers: int) -> None:
    own = {"include_dashboard": False, "num_cpus": workers or usable_cpus()} if address == "local" else {}
    job = {} if address.startswith("ray://") else {"job_config": _job(ray)}
    try:
        with _silence():
            _init(ray, address=address, log_to_driver=False, logging_level=logging.CRITICAL, **own, **job)
    except (ConnectionError, RuntimeError, ValueError, ImportError, OSError) as error:
        first = " ".join(str(error).split())[:300]
        raise InputError(
            f"no connection ({first})",
            expected="a Ray cluster",
            where=f"--address {address}",
            hint="a cluster that asks for a token needs RAY_AUTH_MODE=token",
        ) from None


def _job(ray: Any) -> Any:
    """A job whose workers do not look for modules in the folder that the search is started in, unless `import_path` does:
    Ray puts it first on their path, before Python's own, but not where the job brings a folder. Ray Client leaves it out.
    """
    job = ray.job_config.JobConfig()
    if import_path()[-1] != str(Path.cwd()):
        job._runtime_env_has_working_dir = lambda: True
    return job


def _init(ray: Any, **options: object) -> None:
    """`ray.init`, twice where Ray Client's server lost the process that it began for us, as one of 25 was (Ray 2.60)."""
    try:
        ray.init(**options)
    except ConnectionError as error:
        if "Initialization failure from server" not in str(error):
            raise
        ray.init(**options)


@contextmanager
def _silence() -> Iterator[None]:
    """Nothing on stderr, not even from Ray's C++: an error that matters is raised."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _nodes(ray: Any) -> list[Node]:
    """Every node with a CPU, after a process of ours has started on it."""
    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not alive:
        raise RayError("found no node with a CPU in the Ray cluster; add one")
    probe = ray.remote(num_cpus=0, max_retries=0)(_probe)
    answers = [probe.options(**on_node(node["NodeID"])).remote() for node in alive]
    found = [_node(ray, node, answer) for node, answer in zip(alive, answers, strict=True)]
    nodes = [node for node in found if node is not None]
    if not nodes:
        raise RayError("all nodes of the Ray cluster went away as they were asked; see `ray status`")
    return nodes


def _node(ray: Any, node: Mapping[str, Any], answer: Any) -> Node | None:
    """What it offers; None where it is gone, which a cluster notices some seconds after a machine's end."""
    try:
        version, gpu_bytes = ray.get(answer, timeout=PROBE_SECONDS)
    except (ray.exceptions.RayError, ImportError) as error:
        if isinstance(error, ray.exceptions.TaskUnschedulableError) or not _is_alive(ray, node["NodeID"]):
            return None
        last = str(error).strip().rpartition("\n")[2]
        raise RayError(f"node {node['NodeManagerAddress']}: cspnas does not start there ({last})") from None
    if version != __version__:
        raise RayError(f"node {node['NodeManagerAddress']}: found cspnas {version}, expected {__version__}")
    resources = node["Resources"]
    return Node(node["NodeID"], int(resources["CPU"]), int(resources.get("GPU", 0)), gpu_bytes)


def _is_alive(ray: Any, identifier: str) -> bool:
    return any(node["NodeID"] == identifier and node["Alive"] for node in ray.nodes())


def on_node(identifier: str) -> dict[str, object]:
    """Options of a task or an actor that runs on this node only."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(identifier, soft=False)}


def _probe() -> tuple[str, int]:
    """On a node: its version of this package, and the bytes of its smallest GPU (0 where there is none)."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        mebibytes = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        mebibytes = []
    return __version__, min((int(number) for number in mebibytes if number.isdecimal()), default=0) << 20
