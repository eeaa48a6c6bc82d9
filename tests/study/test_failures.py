"""What follows from each kind of failure, with the driver of `test_driver.py`, and trainings in real processes."""

from __future__ import annotations

import json
import math
from collections import Counter
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from driven import Start, failing, train
from small_networks import architecture

from cspnas.data import datasets
from cspnas.data.image_settings import AS_THEY_ARE
from cspnas.network.serialization import architecture_to
from cspnas.network.wiring import wire
from cspnas.runners.oom_kills import MemoryKills, memory_kills
from cspnas.runners.protocol import Work
from cspnas.searching.time_limit import training_seconds
from cspnas.study.failures import micro_batch, validated_result
from cspnas.training.batches import InMemoryBatches
from cspnas.training.evaluation import Evaluator
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.recipe import Recipe
from cspnas.training.train import _gradients


def fails(work: Work) -> bool:
    return int(work.digest, 16) % 3 == 0


def test_out_of_memory_is_tried_once_more_in_quarter_batches_and_then_recorded(start: Start) -> None:
    run = start()
    driver, _, handed = run.go(failing("out of memory", fails))
    tries: dict[int, list[int | None]] = {}
    for work in handed:
        tries.setdefault(work.evaluation_id, []).append(work.micro_batch)
    failed = {row["id"]: row for row in run.evaluations if row["state"] == "failed"}
    assert failed and {key for key, found in tries.items() if found == [None, 16]} == set(failed)
    assert all(found == [None] for key, found in tries.items() if key not in failed)
    assert {(row["failure_kind"], row["attempt"], row["micro_batch"]) for row in failed.values()} == {
        ("out of memory", 1, 16)
    }
    assert len(run.trained) == driver.results.finished == 16


def test_what_fits_in_parts_is_a_training_like_any_other_with_its_parts_recorded(start: Start) -> None:
    """Same networks, seeds and recipe digests as where memory sufficed; the worker is told the parts."""
    run, roomy = start(), start()
    _, _, handed = run.go(failing("out of memory", lambda work: fails(work) and work.micro_batch is None))
    roomy.go()
    assert run.trained == roomy.trained
    assert {row["recipe_digest"] for row in run.evaluations} == {row["recipe_digest"] for row in roomy.evaluations}
    parts = {row["digest"]: row["micro_batch"] for row in run.evaluations}
    assert set(parts.values()) == {None, 16} and all(row["state"] == "trained" for row in run.evaluations)
    assert all(work.unit.get("micro_batch") == work.micro_batch for work in handed)


def test_a_driver_that_dies_between_the_two_tries_leaves_the_smaller_one(start: Start) -> None:
    run = start()
    first = run.driver()
    work = first.suggest()
    assert isinstance(work, Work)
    assert first.finish(work, {"failure": {"kind": "out of memory", "message": ""}}) is False
    again = run.driver().suggest()
    assert isinstance(again, Work) and again.evaluation_id == work.evaluation_id
    assert (again.micro_batch, again.unit["micro_batch"], again.unit["seed"]) == (16, 16, work.unit["seed"])
    assert micro_batch(2) == micro_batch(3) == 2  # batch norm needs two


@pytest.mark.parametrize(
    ("value", "kind"),
    [(math.nan, "diverged"), (math.inf, "diverged"), (-math.inf, "diverged"), (1.5, "diverged"), ("0.5", "crashed")],
)
def test_an_accuracy_that_is_none_is_a_failure_never_on_a_front(start: Start, value: Any, kind: str) -> None:
    run = start()
    driver, _, _ = run.go(
        lambda work: {**train(work), "accuracy": value, "curve": [value]} if fails(work) else train(work)
    )
    failed = [row for row in run.evaluations if row["state"] == "failed"]
    assert failed and {(row["failure_kind"], row["accuracy"]) for row in failed} == {(kind, None)}
    assert len(run.trained) == 16
    bad = {row["digest"] for row in failed}
    assert not bad & {network.digest for network in driver.results.front()}
    assert all(math.isfinite(network.accuracy) for network in driver.results.front())
    for row in failed:  # JSON has no NaN, and other programs read it
        json.dumps(run.database.result(row["id"]), allow_nan=False)
    assert validated_result({"accuracy": 0.5, "latency": math.nan})["failure"]["kind"] == "crashed"


def test_a_result_that_comes_twice_or_late_changes_nothing(start: Start) -> None:
    """The first result of the try that is under way counts; one of an earlier try, or a second one, is nobody's."""
    run = start()
    driver = run.driver()
    late = driver.suggest()
    assert isinstance(late, Work)
    assert driver.finish(late, {"failure": {"kind": "lost", "message": "its node is gone"}}) is False
    assert driver.finish(late, train(late)) is None  # not even before the next try begins
    now = driver.suggest()
    assert isinstance(now, Work) and (now.evaluation_id, now.attempt) == (late.evaluation_id, 2)
    assert driver.finish(late, train(late)) is None
    assert driver.finish(now, train(now)) is True
    before = run.evaluations
    assert driver.finish(now, {"accuracy": 0.99}) is None and driver.finish(late, {"accuracy": 0.99}) is None
    assert run.evaluations == before and driver.results.finished == 1


def test_a_network_whose_workers_die_is_quarantined_and_never_confirmed(start: Start) -> None:
    """It is trained well once; its second seed kills three workers; no third one is tried."""
    run = start(confirm_share=0.5)

    def poison(work: Work) -> dict[str, Any]:
        row = next(row for row in run.evaluations if row["id"] == work.evaluation_id)
        return {"failure": {"kind": "crashed", "message": "gone"}} if row["repeat"] and fails(work) else train(work)

    _, _, handed = run.go(poison)
    dead = [row for row in run.evaluations if row["state"] == "failed"]
    assert dead and all(run.database.result(row["id"])["failure"]["quarantined"] for row in dead)
    assert {work.attempt for work in handed if work.evaluation_id in {row["id"] for row in dead}} == {1, 2, 3}
    repeats = Counter(row["digest"] for row in run.evaluations)
    assert {repeats[row["digest"]] for row in dead} == {2}


def test_time_for_a_training_grows_with_its_work_unless_it_is_said() -> None:
    """Ten minutes, and 3 operations of training for one of inference, at .25 GFLOP/s: 3 x 5 MFLOPs x 10,000 x 4 / .25e9."""
    assert training_seconds(0, 5e6, 10_000, 4) == pytest.approx(600 + 2400)
    assert training_seconds(7.5, 5e6, 10_000, 4) == 7.5


def test_gradients_of_a_batch_in_parts_are_those_of_the_whole() -> None:
    """In float64 and without batch norm's statistics, which see a part at a time, to rounding."""
    network = NetworkModule(wire(architecture())).double().eval()
    initialise(network, 0)
    images, labels = torch.randn(30, 1, 12, 12, dtype=torch.float64), torch.randint(2, (30,))
    found = []
    for parts in (1, 4):  # 8 + 8 + 7 + 7
        network.zero_grad()
        loss = _gradients(network, images, labels, Recipe(precision="float32"), parts)
        found.append(
            [torch.tensor(loss).double(), *(p.grad.clone() for p in network.parameters() if p.grad is not None)]
        )
    for whole, summed in zip(*found, strict=True):
        assert torch.allclose(whole, summed, rtol=1e-5, atol=1e-7)  # the loss is computed in float32


def test_in_parts_batch_norm_sees_a_part_at_a_time_and_all_else_is_the_whole_batchs() -> None:
    """In training, against torch's autograd of one mean over all the logits of the parts: the same gradients and the same
    running statistics. Those of the whole batch in one go are others, by what batch norm saw.
    """
    network = NetworkModule(wire(architecture())).double().train()
    initialise(network, 0)
    twin, whole = deepcopy(network), deepcopy(network)
    images, labels = torch.randn(30, 1, 12, 12, dtype=torch.float64), torch.randint(2, (30,))
    _gradients(network, images, labels, Recipe(precision="float32"), 4)
    for other, sizes in ((twin, [8, 8, 7, 7]), (whole, [30])):
        logits = torch.cat([other(part) for part in images.split(sizes)])
        (-logits.log_softmax(1)[torch.arange(30), labels].mean()).backward()

    def close(other: NetworkModule) -> list[bool]:
        pairs = zip(network.parameters(), other.parameters(), strict=True)
        return [torch.allclose(a.grad, b.grad, rtol=1e-5, atol=1e-7) for a, b in pairs if a.grad is not None]

    assert all(close(twin)) and not all(close(whole))
    for a, b in zip(network.buffers(), twin.buffers(), strict=True):
        assert torch.allclose(a.double(), b.double(), rtol=1e-12)


@pytest.mark.parametrize(
    ("membership", "file", "text"),
    [
        ("9:name=systemd:/\n4:memory:/a/b\n0::/\n", "memory/a/b/memory.oom_control", "under_oom 0\noom_kill 5\n"),
        ("0::/a/b\n", "a/b/memory.events", "oom 9\noom_kill 5\noom_group_kill 0\n"),
        ("0::/\n", "memory.events", "oom_kill 5\n"),
    ],
)
def test_the_kernels_kills_are_read_where_the_process_itself_is_counted(
    tmp_path: Path, membership: str, file: str, text: str
) -> None:
    """In the lines of /proc/self/cgroup of both versions, as the kernel writes them."""
    (tmp_path / "cgroup").write_text(membership)
    (tmp_path / "fs" / file).parent.mkdir(parents=True)
    (tmp_path / "fs" / file).write_text(text)
    assert memory_kills(tmp_path / "cgroup", tmp_path / "fs") == 5
    (tmp_path / "fs" / file).unlink()
    assert memory_kills(tmp_path / "cgroup", tmp_path / "fs") == memory_kills(Path("/nothing")) >= 0


def test_each_kill_of_the_kernels_explains_the_end_of_one_worker() -> None:
    """Worked out by hand: one kill and two dead workers, a kill before the work began, two kills and two dead workers."""
    count = 0
    kills = MemoryKills(lambda: count)
    count = 1
    assert [kills.explain(0), kills.explain(0)] == [True, False]
    assert not kills.explain(1)
    count = 3
    assert [kills.explain(1), kills.explain(1), kills.explain(1)] == [True, True, False]


def test_parts_change_no_seeded_order_and_a_part_of_a_whole_batch_changes_nothing() -> None:
    """Micro-batches as large as the batch give the same bits as none."""
    recipe = Recipe(epochs=1, batch_size=500, precision="float32")
    unit = {"architecture": architecture_to(replace(architecture(), input_shape=(1, 28, 28), classes=10)), "seed": 3}
    evaluate = Evaluator("cpu")
    evaluate._data["fashion-mnist-mini", AS_THEY_ARE] = _few()
    results = [evaluate({**unit, "recipe": asdict(recipe), "micro_batch": parts}) for parts in (None, 500, 100)]
    whole, same, parts = [([e["loss"] for e in r["curve"]], r["correct"]) for r in results]
    assert whole == same and whole != parts


def _few() -> InMemoryBatches:
    data = datasets.load("fashion-mnist-mini")
    few = replace(
        data,
        train=replace(data.train, images=data.train.images[:1000], labels=data.train.labels[:1000]),
        validation=replace(data.validation, images=data.validation.images[:200], labels=data.validation.labels[:200]),
    )
    return InMemoryBatches(few, torch.device("cpu"))
