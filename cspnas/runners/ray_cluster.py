"""A connection to a Ray cluster, or a cluster of one's own on this machine, and what its nodes offer."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cspnas import __version__
from cspnas.errors import CspnasError, InputError

REACH_SECONDS = 3.0  # for one connection to an address before Ray, which would try for minutes
PROBE_SECONDS = 120.0  # for a first process on every node


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
def cluster(address: str, workers: int) -> Iterator[list[Node]]:
    """The nodes of a cluster that is connected to, or of a local one with `workers` CPUs (0: as many as there are).

    Raises InputError for an address that is none or answers nobody, RayError for nodes without this cspnas.
    """
    ray = quiet_ray()
    _reach(address)
    try:
        _connect(ray, address, workers)
        yield _nodes(ray)
    finally:
        ray.shutdown()


def quiet_ray() -> Any:
    """Ray, quiet and without telemetry."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_LOG_TO_STDERR", "0")
    try:
        import ray
    except ImportError:
        raise InputError(
            "no Ray", expected="the ray package", where="--runner ray", do="pip install 'cspnas[ray]'"
        ) from None
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


def _reach(address: str) -> None:
    """One TCP connection to where the cluster should be."""
    known = address
    if address == "auto":
        current = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
        known = os.environ.get("RAY_ADDRESS") or (current.read_text().strip() if current.is_file() else "")
    if known in ("local", ""):
        return
    try:
        parts = urlsplit(known if "://" in known else f"//{known}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ("", "ray") or not host or not port:
        raise InputError(f"address {known!r}", expected="ray://HOST:PORT, HOST:PORT, auto or local", where="--address")
    try:
        socket.create_connection((host, port), REACH_SECONDS).close()
    except OSError as error:
        raise InputError(
            f"nobody at {known} ({error.strerror or error})",
            expected="a Ray cluster",
            where="--address",
            do="start one with `ray start --head`, or use --address local",
        ) from None


def _connect(ray: Any, address: str, workers: int) -> None:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address == "local":
        options |= {"include_dashboard": False, "num_cpus": workers or len(os.sched_getaffinity(0))}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, ImportError, OSError) as error:
        first = " ".join(str(error).split())[:300]
        raise InputError(f"no connection ({first})", expected="a Ray cluster", where=f"--address {address}") from None


def _nodes(ray: Any) -> list[Node]:
    """Every node with a CPU, after a process of ours has started on it."""
    alive = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not alive:
        raise RayError("found no node with a CPU in the Ray cluster; add one")
    probe = ray.remote(num_cpus=0, max_retries=0)(_probe)
    answers = [probe.options(**on_node(node["NodeID"])).remote() for node in alive]
    return [_node(ray, node, answer) for node, answer in zip(alive, answers, strict=True)]


def _node(ray: Any, node: dict[str, Any], answer: Any) -> Node:
    try:
        version, gpu_bytes = ray.get(answer, timeout=PROBE_SECONDS)
    except (ray.exceptions.RayError, ImportError) as error:
        last = str(error).strip().rpartition("\n")[2]
        raise RayError(f"node {node['NodeManagerAddress']}: cspnas does not start there ({last})") from None
    if version != __version__:
        raise RayError(f"node {node['NodeManagerAddress']}: found cspnas {version}, expected {__version__}")
    resources = node["Resources"]
    return Node(node["NodeID"], int(resources["CPU"]), int(resources.get("GPU", 0)), gpu_bytes)


def on_node(identifier: str) -> dict[str, Any]:
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
