"""Searches through Ray Tune, on real clusters of this machine: real nodes, real trainings, real kills."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from commands import draw_images
from driven import SPACE as SMALL
from driven import Run
from ray_evaluators import KINDS, kind_of
from searches import PATIENCE, SPACE, Search, searching, until

from cspnas import train
from cspnas.cli.app import main
from cspnas.documents.space_file import read_space
from cspnas.errors import InputError
from cspnas.runners.protocol import RunnerOptions, Work
from cspnas.runners.ray.capacity import slots_of
from cspnas.runners.ray.cluster import Node
from cspnas.runners.run_loop import run_loop
from cspnas.storage.database import Database
from cspnas.study.candidates import admitted_sample, reference_of
from cspnas.training.evaluation import Evaluator


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
        head = {"include_dashboard": False, "no_monitor": True, "ray_client_server_port": self.client_port}
        self._cluster = RayCluster(initialize_head=True, head_node_args=head | self._node())
        self._second = self._cluster.add_node(**self._node())
        self.address: str = self._cluster.address
        self.head: str = self._cluster.head_node.node_id
        self.second: str = self._second.node_id

    def _node(self) -> dict[str, Any]:
        """One CPU, the fewest processes, and ports that nobody has to say and be waited for: on a busy machine that fails."""
        ports = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port")
        return {"num_cpus": 1, "include_log_monitor": False, **{name: _free_port() for name in ports}}

    def kill_second(self) -> None:
        """As when its machine loses power; it stays away."""
        if self._second in self._cluster.worker_nodes:
            self._cluster.remove_node(self._second, allow_graceful=False)

    def stop(self) -> None:
        """Both nodes."""
        self._cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _started() -> Cluster:
    """Ray gives its agents 20 s to begin, which is fixed (2.60); on a busy machine they may come a little later."""
    for _ in range(3):
        try:
            return Cluster()
        except Exception as error:  # noqa: BLE001 (Ray has no class of its own for it)
            assert "timed out during startup" in str(error)
    raise AssertionError("Ray does not start")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One for the tests of this file; the third of them kills a node."""
    here = str(Path(__file__).parents[1] / "support")  # workers import `ray_evaluators` from here
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", path)
        made = _started()
        yield made
        made.stop()


def test_one_worker_trains_what_the_local_runner_trains(
    start: Callable[..., Search], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a table of images, from which the exported network is trained again in another folder. Neither runner imports
    modules of Python's names that lie in the folder in which the search is started.
    """
    # As the installed command has it; `python -m` would itself look there.
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    for name in ("gzip", "pkgutil", "timeit", "unittest", "signal", "socket"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({name!r})\n")
    draw_images(tmp_path / "images", 240, 28)
    rows = [f"images/{number % 2}/{number}.png,{'ab'[number % 2]}" for number in range(240)]
    (tmp_path / "table.csv").write_text("\n".join(rows))
    arguments = ["--dataset", "csv:table.csv", "--trials", "4", "--epochs", "1", "--workers", "1"]
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
    assert seen[0] == seen[1] and len(seen[0]) == 4
    assert len({row["result"]["node"] for row in _rows(tmp_path, "through-ray")}) == 1
    data, expected, *lines = errors.splitlines()
    assert data.startswith("data set csv:table.csv: 240 images")
    assert re.fullmatch("about [0-9.]+ (seconds|minutes) for 4 trainings by 1 worker", expected)
    assert lines[0].startswith("4 trainings, 1 worker on ray:cpu") and lines[-1].startswith("done: ")
    assert [line.split("]")[0] for line in lines[1:-1]] == [f"[{number}/4" for number in range(1, 5)]
    assert "ray" not in output.replace("through-ray", "").lower()
    (logs,) = (tmp_path / "studies" / "through-ray").iterdir()
    curves = sorted(path.parent.name[:5] for path in logs.glob("*/events.out.tfevents.*"))
    assert curves == [f"{number:05}" for number in range(1, 5)]
    assert "TERMINATED" in (logs / "tune.log").read_text()
    assert not (tmp_path / "imported").exists()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cspnas", "export", "through-ray", "--pick", "knee", "-o", "best.yaml"])
    with pytest.raises(SystemExit, match=r"^0$"):
        main()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "best.yaml").rename(elsewhere / "best.yaml")
    monkeypatch.chdir(elsewhere)
    notes: list[str] = []
    assert train("best.yaml", epochs=1, device="cpu", on_note=notes.append).test_accuracy is None
    assert not any("is not the data" in note for note in notes)


def test_ctrl_c_ends_a_search_over_ray_client_and_keeps_what_is_finished(
    start: Callable[..., Search], cluster: Cluster, tmp_path: Path
) -> None:
    search = start(
        "--trials", "6", "--epochs", "2", "--runner", "ray", "--address", f"ray://127.0.0.1:{cluster.client_port}"
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
    search = start("--trials", "6", "--epochs", "2", "--runner", "ray", "--address", cluster.address)
    for number in range(1, 5):
        until(search, f"[{number}/6]")
        if cluster.second in _nodes(tmp_path):
            break
    for _ in range(200):  # until the free slot has its next training: both nodes are at work
        if [row["state"] for row in _rows(tmp_path)].count("in_flight") == 2:
            break
        time.sleep(0.05)
    time.sleep(0.5)  # that it has begun there
    cluster.kill_second()
    _, errors = search.communicate(timeout=PATIENCE)
    assert search.returncode == 0, errors
    assert errors.count("failed (lost, trying again)") == 1
    rows = _rows(tmp_path)
    assert [row["state"] for row in rows] == ["trained"] * 6
    assert len({(row["digest"], row["seed"]) for row in rows}) == 6
    assert sorted(row["attempt"] for row in rows) == [1] * 5 + [2]
    assert set(_nodes(tmp_path)) == {cluster.head, cluster.second}
    again = next(row for row in rows if row["attempt"] == 2)
    assert again["result"]["node"] == cluster.head


def test_a_node_that_died_a_moment_ago_and_is_still_listed_is_left_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's list lags behind: here it says for good that the killed node is alive, and a task really cannot run there."""
    import ray

    from cspnas.runners.ray import cluster as ray_cluster

    cluster.kill_second()
    listed = ray.nodes
    monkeypatch.setattr(ray, "nodes", lambda: [node | {"Alive": True, "Resources": {"CPU": 1.0}} for node in listed()])
    with ray_cluster.cluster(cluster.address, 0) as nodes:
        assert cluster.second in {node["NodeID"] for node in ray.nodes()}
        assert [node.identifier for node in nodes] == [cluster.head]


class Studied:
    """A study in a file, driven by a real driver through the real runner, in this process; `texts` is what was printed."""

    def __init__(self, folder: Path, text: str, trials: int, **changes: Any) -> None:
        self.folder = folder
        (folder / "small.yaml").write_text(text)
        search = {"search.trials": trials, "search.sampler": "random", "search.confirm": 0.0, "proxy.epochs": 2}
        study = replace(read_space(folder / "small.yaml", search), **changes)
        database = Database(f"sqlite:///{folder / 'small.db'}", create=True)
        facts = {"reference": reference_of(study, admitted_sample(study, 50)).to_json(), "recipe_digest": "r" * 64}
        self.run = Run(study, database, database.create_study("small", study.identity(), facts))
        self.events: list[tuple[str, int, str | None]] = []

    def search(self, address: str, evaluator: str, folder: Path | None = None) -> list[dict[str, Any]]:
        """Drive it to its end, with one training a CPU of the cluster; the evaluations with their results."""
        from cspnas.runners.ray.cluster import cluster
        from cspnas.runners.ray.runner import RayRunner

        def on_event(kind: str, work: Work | None, detail: Any) -> None:
            if kind != "tick":
                assert work is not None
                failed = detail.get("failure") if isinstance(detail, dict) else None
                self.events.append((kind, work.evaluation_id, failed["kind"] if failed else None))

        with cluster(address, 0) as nodes:
            slots = replace(slots_of(nodes, self.run.study, "cpu", None), evaluator=f"ray_evaluators:{evaluator}")
            reason = run_loop(RayRunner(slots, folder or self.folder), self.run.driver(), on_event)
        assert reason.startswith(("all ", "the one training")), reason
        return [row | {"result": self.run.database.result(row["id"])} for row in self.run.evaluations]


def test_trainings_that_hang_die_or_want_memory_are_each_told_apart_and_their_slots_go_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    """SIGSTOP for good, SIGSEGV, Ray's error for want of memory and Python's, on a real cluster: a hung worker is killed
    and never tried again, a dead one is tried three times, want of memory in parts; each with its worker's last lines.
    """
    studied = Studied(tmp_path, SMALL, 6, timeout=3.0)
    rows = studied.search(cluster.address, "Faulty")
    found = {kind_of({"architecture": json.loads(row["document"])}): row for row in rows}
    assert set(found) == set(KINDS)
    ends = {kind: (row["failure_kind"], row["attempt"], row["micro_batch"]) for kind, row in found.items()}
    assert ends == {
        "works": (None, 1, None),
        "hangs": ("timeout", 1, None),
        "dies": ("crashed", 3, None),
        "wants memory": (None, 1, 16),
        "raises": ("out of memory", 1, 16),
    }
    failures = {kind: row["result"]["failure"] for kind, row in found.items() if row["failure_kind"]}
    for kind, training_failure in failures.items():
        assert f" {kind}" in training_failure.get("log", ""), training_failure
    assert "Segmentation fault" in failures["dies"]["log"] and failures["dies"]["quarantined"]
    assert failures["hangs"]["message"] == "no result after 3 s (search.timeout); its worker was replaced"
    (hung,) = re.findall(r"process (\d+) hangs", failures["hangs"]["log"])
    assert not _runs(int(hung))
    again = [(kind, failed) for kind, identifier, failed in studied.events if kind == "crashed"]
    assert sorted(again) == [("crashed", "crashed")] * 2 + [("crashed", "out of memory")] * 2


def _runs(pid: int) -> bool:
    """Whether a process is still there, within a few seconds; a zombie is not."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("near", [True, False])
def test_a_killed_training_goes_on_from_its_checkpoint_to_the_bits_of_one_never_killed(
    cluster: Cluster, tmp_path: Path, near: bool
) -> None:
    """Near: the workers have the study's folder. Else they have not (a path that only this process can follow, with Ray
    Client, as from another machine): the checkpoint goes through Ray to the search and back to the next worker.
    """
    studied = Studied(tmp_path, SPACE, 1)
    held = os.open(tmp_path, os.O_RDONLY)
    try:
        address = cluster.address if near else f"ray://127.0.0.1:{cluster.client_port}"
        (row,) = studied.search(address, "CutShort", tmp_path if near else Path(f"/proc/self/fd/{held}"))
    finally:
        os.close(held)
    assert (row["state"], row["attempt"]) == ("trained", 2)
    assert studied.events == [
        ("started", 1, None),
        ("crashed", 1, "crashed"),
        ("started", 1, None),
        ("finished", 1, None),
    ]
    recipe = asdict(studied.run.study.recipe)
    whole = Evaluator("cpu")({"architecture": json.loads(row["document"]), "recipe": recipe, "seed": row["seed"]})
    told = row["result"]
    assert "going on from epoch 1, step " in told["printed"]
    assert (told["accuracy"], told["correct"]) == (whole["accuracy"], whole["correct"])
    assert [epoch["loss"] for epoch in told["curve"]] == [epoch["loss"] for epoch in whole["curve"]]
    assert not any((tmp_path / "checkpoints").iterdir())


def test_two_searches_on_one_ray_cluster_share_a_study_on_postgresql(
    start: Callable[..., Search], cluster: Cluster, new_server_url: Callable[[], str]
) -> None:
    """Both begin at once on a server without any table, and there is one CPU: no network is trained twice, the budget is
    exact, and a search that waits for the other one's training does not keep the place that it needs.
    """
    cluster.kill_second()
    url = new_server_url()
    arguments = ["--trials", "6", "--epochs", "1", "--workers", "1", "--storage", url]
    searches = [start(*arguments, "--runner", "ray", "--address", cluster.address) for _ in range(2)]
    for search in searches:
        _, errors = search.communicate(timeout=PATIENCE)
        assert search.returncode == 0 and "done: all 6 trainings are done" in errors, errors
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(
            sa.text("SELECT state, digest, seed, driver_id, attempt FROM cspnas_evaluations")
        ).all()
    engine.dispose()
    assert [row[0] for row in found] == ["trained"] * 6 and {row[4] for row in found} == {1}
    assert len({(row[1], row[2]) for row in found}) == 6
    assert {row[3] for row in found} == {1, 2}


def test_a_cancelled_training_fails_of_what_it_was_cancelled_for_and_its_first_end_counts() -> None:
    """The loop is told that a worker has it, and that it begins; Tune calls a trial failed that it has called complete."""
    from cspnas.runners.ray.messages import Beginning, Loss, Mail, Training

    begins = Beginning(shared=False, node="n", pid=1, log="worker.log", kills=0)
    mail, timeout = Mail(), {"kind": "timeout", "message": "no result after 10 s"}
    mail.take("trial", Training("ticket", "{}", "path", kept=b"standing"))
    mail.take("other", Training("whole", "{}", "path"))
    mail.started("trial")
    assert mail.began("ticket", begins) == b"standing"
    mail.cancel("ticket", timeout)
    assert mail.cancelled.get_nowait() == "trial"
    mail.post("failed", "trial", {"kind": "crashed", "message": "The actor died"})
    mail.post("finished", "trial", {})
    mail.post("finished", "other", {"accuracy": 0.5})
    mail.cancel("whole", timeout)
    mail.cancel("ticket", timeout)
    assert mail.cancelled.empty() and mail.began("ticket", begins) is None
    heard = [mail.events.get_nowait() for _ in range(mail.events.qsize())]
    assert heard == [
        ("placed", "ticket", None),
        ("began", "ticket", None),
        ("failed", "ticket", Loss(timeout, begins)),
        ("finished", "whole", {"accuracy": 0.5}),
    ]


def test_a_worker_that_ray_kills_for_want_of_memory_is_a_dead_worker_to_tune(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tune's own manager of actors knows nothing of that error and would end its loop, with all trainings: it gets one that
    it knows, which says the same.
    """
    from ray.air.execution import PlacementGroupResourceManager
    from ray.air.execution._internal import RayActorManager, TrackedActor
    from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
    from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError

    from cspnas.runners.ray.messages import training_failure
    from cspnas.runners.ray.tune_actor import survive_any_death

    manager, task = RayActorManager(PlacementGroupResourceManager()), TrackedActorTask(TrackedActor(0))
    with pytest.raises(RuntimeError, match="unexpected exception"):
        manager._actor_task_failed(task, OutOfMemoryError("low"))
    heard: list[Exception] = []
    monkeypatch.setattr(RayActorManager, "_actor_task_failed", lambda self, task, error: heard.append(error))
    survive_any_death()
    manager._actor_task_failed(
        tracked_actor_task=task, exception=OutOfMemoryError("Memory on the node was 15.3GB / 16.0GB")
    )
    assert isinstance(heard[0], RayActorError) and training_failure(str(heard[0]))["kind"] == "out of memory"
    own = RayTaskError("train", "Traceback", ValueError())
    manager._actor_task_failed(task, own)
    assert heard[1] is own


def test_a_failure_is_a_crash_of_the_process_the_loss_of_a_node_or_want_of_memory() -> None:
    """In Ray 2.60's own words."""
    from cspnas.runners.ray.messages import training_failure

    crash = (
        "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR ... enabling resource"
    )
    crash += (
        " potential root causes include: (1) The process is killed by SIGKILL by OOM killer due to high memory usage."
    )
    crash += " isolation via --enable-resource-isolation to prevent node deaths by resource contention"
    closed = (
        "The actor 0fc94621 is unavailable: The actor is temporarily unavailable: RpcError: RPC error: Socket closed"
    )
    died = "The actor died because its node has died. Node Id: 8b90a99c the actor's node was terminated unexpectedly"
    memory = "RayActorError: OutOfMemoryError: Memory on the node was 8.3GB / 8.2GB" + "\n8240\t6.38\tray::train" * 200
    kinds = [training_failure(text)["kind"] for text in (crash, closed, died, memory)]
    assert kinds == ["crashed", "lost", "lost", "out of memory"]
    assert training_failure(memory)["message"].startswith("OutOfMemoryError: Memory on the node")


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
        RunnerOptions(**where)


def test_slots_follow_cpus_and_what_fits_on_the_smallest_gpu(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SPACE)
    study = read_space(tmp_path / "tiny.yaml", {})
    greatest = max(drawn.costs["training_memory"] for drawn in admitted_sample(study))
    one, room = ((1 << 30) + 1.25 * greatest) / 0.9, 1 << 20  # a tenth is kept
    plain = Node("a", 4, 0, 0)
    slots = slots_of([plain, Node("b", 2, 0, 0)], study, "auto", None)
    assert (slots.count, slots.device, slots.gpu_share) == (6, "cpu", 0.0)
    assert [slots.at_once(cores) for cores in (1, 2, 4)] == [2, 4, 6]
    large, small = Node("c", 16, 2, int(8 * one) + room), Node("d", 16, 1, int(3 * one) + room)
    slots = slots_of([plain, large, small], study, "auto", None)
    assert (slots.count, slots.device, slots.gpu_share) == (9, "cuda", 0.3333)
    assert slots.at_once(16) == 3
    assert slots_of([large, small], study, "auto", 2).gpu_share == 0.5
    with pytest.raises(InputError, match=r"--per-gpu: found 4 trainings at once x \(1GiB a process \+ 1\.25 x "):
        slots_of([large, small], study, "auto", 4)
    assert slots_of([Node("e", 3, 1, int(8 * one))], study, "cuda", None).count == 3  # a CPU each
    assert slots_of([Node("f", 3, 1, 0)], study, "auto", None).count == 1  # its memory is not known
    assert slots_of([large], replace(study, workers=2), "auto", None).count == 2
    assert slots_of([large], study, "cpu", None).device == "cpu"
    with pytest.raises(InputError, match="no GPU in the cluster"):
        slots_of([plain], study, "cuda", None)
