"""Searches through Ray Tune, on real clusters of this machine: real nodes, real trainings, real kills."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searches import PATIENCE, SPACE, Search, searching, until

from cspnas.candidates import admitted_sample
from cspnas.errors import InputError
from cspnas.runners.ray_cluster import Node
from cspnas.runners.ray_slots import slots_of
from cspnas.runners.workplace import Where
from cspnas.space_document import read_space


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Search]]:
    with searching(tmp_path) as make:
        yield make


def _rows(folder: Path, name: str = "tiny") -> list[dict[str, Any]]:
    """All evaluations, `result` read."""
    connection = sqlite3.connect(folder / "studies" / f"{name}.db")
    connection.row_factory = sqlite3.Row
    try:
        rows = [dict(row) for row in connection.execute("SELECT * FROM cspnas_evaluations ORDER BY id")]
    finally:
        connection.close()
    return [row | {"result": json.loads(row["result"] or "null")} for row in rows]


def _nodes(folder: Path) -> list[str]:
    """The node of each finished training."""
    return [row["result"]["node"] for row in _rows(folder) if row["result"]]


class Cluster:
    """Two nodes of one CPU each; the first, with the Ray Client server, is where a search on this machine joins."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as RayCluster

        self.client_port = _free_port()
        head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": self.client_port}
        self._cluster = RayCluster(initialize_head=True, head_node_args=head)
        self._second = self._cluster.add_node(num_cpus=1)
        self.address: str = self._cluster.address
        self.head: str = self._cluster.head_node.node_id
        self.second: str = self._second.node_id

    def kill_second(self) -> None:
        """As when its machine loses power."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def stop(self) -> None:
        """Both nodes."""
        self._cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One for the tests of this file; the last of them kills a node."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    made = Cluster()
    yield made
    made.stop()


def test_one_worker_trains_what_the_local_runner_trains(start: Callable[..., Search], tmp_path: Path) -> None:
    arguments = ["--trials", "6", "--epochs", "1", "--workers", "1"]
    local = start(*arguments, "--study", "local")
    through_ray = start(*arguments, "--runner", "ray", "--study", "through-ray")
    output, errors = through_ray.communicate(timeout=PATIENCE)
    assert through_ray.returncode == 0, errors
    local.communicate(timeout=PATIENCE)
    assert local.returncode == 0
    seen = [
        [(row["digest"], row["seed"], row["accuracy"], row["state"], row["result"]["correct"]) for row in rows]
        for rows in (_rows(tmp_path, "through-ray"), _rows(tmp_path, "local"))
    ]
    assert seen[0] == seen[1] and len(seen[0]) == 6
    assert len({row["result"]["node"] for row in _rows(tmp_path, "through-ray")}) == 1
    lines = errors.splitlines()
    assert lines[0].startswith("6 trainings, 1 workers on ray:cpu") and lines[-1].startswith("done: ")
    assert [line.split("]")[0] for line in lines[1:-1]] == [f"[{number}/6" for number in range(1, 7)]
    assert "ray" not in output.replace("through-ray", "").lower()
    (logs,) = (tmp_path / "studies" / "through-ray").iterdir()
    curves = sorted(path.parent.name[:5] for path in logs.glob("*/events.out.tfevents.*"))
    assert curves == [f"{number:05}" for number in range(1, 7)]
    assert "TERMINATED" in (logs / "tune.log").read_text()


def test_ctrl_c_ends_a_search_over_ray_client_and_keeps_what_is_finished(
    start: Callable[..., Search], cluster: Cluster, tmp_path: Path
) -> None:
    search = start(
        "--trials", "6", "--epochs", "4", "--runner", "ray", "--address", f"ray://127.0.0.1:{cluster.client_port}"
    )
    until(search, "[1/6]")
    began = time.monotonic()
    search.send_signal(signal.SIGINT)
    _, errors = search.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 10
    assert search.returncode == 130
    assert errors.endswith("everything finished is kept; the same command continues the search\n")
    assert "Traceback" not in errors
    states = [row["state"] for row in _rows(tmp_path)]
    assert "trained" in states and "in_flight" in states
    (logs,) = (tmp_path / "studies" / "tiny").iterdir()
    assert list(logs.glob("00001-*/events.out.tfevents.*"))


def test_a_node_killed_in_the_middle_costs_no_training(
    start: Callable[..., Search], cluster: Cluster, tmp_path: Path
) -> None:
    search = start("--trials", "8", "--epochs", "3", "--runner", "ray", "--address", cluster.address)
    for number in range(1, 7):
        until(search, f"[{number}/8]")
        if cluster.second in _nodes(tmp_path):
            break
    time.sleep(0.5)  # by now the free slot has its next training: both nodes are at work
    cluster.kill_second()
    _, errors = search.communicate(timeout=PATIENCE)
    assert search.returncode == 0, errors
    assert errors.count("failed (lost, trying again)") == 1
    rows = _rows(tmp_path)
    assert [row["state"] for row in rows] == ["trained"] * 8
    assert len({(row["digest"], row["seed"]) for row in rows}) == 8
    assert sorted(row["attempt"] for row in rows) == [1] * 7 + [2]
    assert set(_nodes(tmp_path)) == {cluster.head, cluster.second}
    again = next(row for row in rows if row["attempt"] == 2)
    assert again["result"]["node"] == cluster.head


def test_a_failure_is_a_crash_of_the_process_or_the_loss_of_a_node() -> None:
    """In Ray 2.60's own words."""
    from cspnas.runners.ray_worker import failure

    crash = (
        "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR ... enabling resource"
    )
    crash += " isolation via --enable-resource-isolation to prevent node deaths by resource contention"
    closed = (
        "The actor 0fc94621 is unavailable: The actor is temporarily unavailable: RpcError: RPC error: Socket closed"
    )
    died = "The actor died because its node has died. Node Id: 8b90a99c the actor's node was terminated unexpectedly"
    assert [failure(text)["kind"] for text in (crash, closed, died)] == ["crashed", "lost", "lost"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--runner", "ray", "--address", "127.0.0.1:{port}"], "found no Ray cluster at 127.0.0.1:{port}"),
        (["--runner", "ray", "--address", "ray://127.0.0.1:{port}"], "found no Ray cluster at ray://127.0.0.1:{port}"),
        (["--runner", "ray", "--address", "somewhere"], "expected ray://HOST:PORT, HOST:PORT, auto or local"),
    ],
)
def test_an_address_without_a_cluster_is_one_line_in_seconds_and_nothing_is_written(
    start: Callable[..., Search], tmp_path: Path, arguments: list[str], message: str
) -> None:
    port = str(_free_port())
    began = time.monotonic()
    search = start(*(argument.replace("{port}", port) for argument in arguments))
    _, errors = search.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 15
    assert search.returncode == 2
    assert message.replace("{port}", port) in errors and errors.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"runner": "rai"}, "did you mean ray?"),
        ({"address": "auto"}, "add --runner ray"),
        ({"runner": "ray", "device": "cuda:0"}, "auto, cpu or cuda with --runner ray"),
    ],
)
def test_a_runner_that_cannot_be_is_refused(where: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message.replace("?", r"\?")):
        Where(**where)


def test_slots_follow_cpus_and_what_fits_on_the_smallest_gpu(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SPACE)
    study = read_space(tmp_path / "tiny.yaml", {})
    greatest = max(drawn.costs["training_memory"] for drawn in admitted_sample(study))
    one, room = ((1 << 30) + 1.25 * greatest) / 0.9, 1 << 20  # a tenth is kept
    plain = Node("a", 4, 0, 0)
    slots = slots_of([plain, Node("b", 2, 0, 0)], study, "auto", None)
    assert (slots.count, slots.device, slots.gpu_share) == (6, "cpu", 0.0)
    large, small = Node("c", 16, 2, int(8 * one) + room), Node("d", 16, 1, int(3 * one) + room)
    slots = slots_of([plain, large, small], study, "auto", None)
    assert (slots.count, slots.device, slots.gpu_share) == (9, "cuda", 0.3333)
    assert slots_of([large, small], study, "auto", 2).gpu_share == 0.5
    with pytest.raises(InputError, match=r"--per-gpu: found 4 trainings at once x \(1GiB a process \+ 1\.25 x "):
        slots_of([large, small], study, "auto", 4)
    assert slots_of([Node("e", 3, 1, int(8 * one))], study, "cuda", None).count == 3  # a CPU each
    assert slots_of([Node("f", 3, 1, 0)], study, "auto", None).count == 1  # its memory is not known
    assert slots_of([large], replace(study, workers=2), "auto", None).count == 2
    assert slots_of([large], study, "cpu", None).device == "cpu"
    with pytest.raises(InputError, match="no GPU in the cluster"):
        slots_of([plain], study, "cuda", None)
