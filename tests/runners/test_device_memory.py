"""How many trainings share a device: sums worked out by hand, and GPUs that are only said to be there."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from searches import SPACE

from cspnas.data.datasets import load
from cspnas.data.fashion_color import NAME
from cspnas.data.packaged_set import MINI
from cspnas.data.registry import image_count
from cspnas.documents.space_file import read_space
from cspnas.errors import InputError
from cspnas.runners.device_memory import DeviceBudget, check_budget
from cspnas.runners.factory import open_runner
from cspnas.runners.local import devices
from cspnas.runners.local.devices import devices_for
from cspnas.runners.protocol import RunnerOptions

GIB, MIB = 1 << 30, 1 << 20


def test_as_many_as_memory_and_cores_admit() -> None:
    """8 GiB free, of which 90 % count: 7372.8 MiB; a worker takes 500 + 1.25 x 400 = 1000 MiB: 7."""
    budget = DeviceBudget("cuda:0", 8 * GIB, 500 * MIB, 400 * MIB, 16)
    assert (budget.share, budget.by_memory, budget.together) == (1000 * MIB, 7, 7)
    assert DeviceBudget("cuda:0", 8 * GIB, 500 * MIB, 400 * MIB, 4).together == 4
    assert DeviceBudget("cuda:0", GIB, 500 * MIB, 4 * GIB, 4).together == 1  # tried: then in parts, alone


def test_too_many_are_refused_with_the_arithmetic() -> None:
    budget = DeviceBudget("cuda:0", 8 * GIB, 500 * MIB, 400 * MIB, 16)
    check_budget(7, budget, "--per-gpu")
    with pytest.raises(InputError) as caught:
        check_budget(8, budget, "--per-gpu")
    assert str(caught.value) == (
        "--per-gpu: found 8 trainings at once x (500MiB a process + 1.25 x 400MiB predicted) = 7.812GiB, expected at most "
        "90% of the 8GiB free on cuda:0: 7 trainings; lower it, or leave it out for as many as fit"
    )


@given(*(st.integers(1, 1 << 37) for _ in range(3)), st.integers(1, 64))
def test_what_is_admitted_fits_and_one_more_does_not(free: int, process: int, training: int, cores: int) -> None:
    budget = DeviceBudget("x", free, process, training, cores)
    together = budget.together
    check_budget(together, budget, "--per-gpu")
    assert together == 1 or together * (process + 1.25 * training) <= 0.9 * free + together
    assert together == cores or (together + 1) * budget.share > int(0.9 * free)


def gpus(monkeypatch: pytest.MonkeyPatch, free: dict[int, int], cores: int = 16) -> None:
    monkeypatch.setattr(devices, "driver_found", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(free))
    monkeypatch.setattr(devices, "probe", lambda gpu: (free[gpu] * GIB, 500 * MIB))
    monkeypatch.setattr(devices, "usable_cpus", lambda: cores)


def training() -> int:
    return 400 * MIB


def test_the_images_count_in_each_worker_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, {0: 4})  # 3 workers of 1000 MiB, or 2 of 1500 MiB with their images
    assert devices_for("cuda:0", 0, None, training, data=lambda: 500 * MIB) == ["cuda:0"] * 2


def test_images_that_fit_beside_no_training_are_streamed_and_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """3686 MiB count; a worker of 1000 MiB leaves room for 2686 MiB of images."""
    gpus(monkeypatch, {0: 4})
    assert devices_for("cuda:0", 0, None, training, data=lambda: 2686 * MIB) == ["cuda:0"]
    assert devices_for("cuda:0", 0, None, training, data=lambda: 2687 * MIB) == ["cuda:0"] * 3


@pytest.mark.parametrize("name", [NAME, MINI])
def test_the_images_of_a_data_set_known_by_name_are_counted_right(name: str) -> None:
    found = load(name)
    assert image_count(name) == len(found.train.labels) + len(found.validation.labels)


def test_gpus_are_filled_in_turn_each_with_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, {0: 4, 1: 2})  # 3 and 1 workers of 1000 MiB
    assert devices_for("auto", 0, None, training) == ["cuda:0", "cuda:1", "cuda:0", "cuda:0"]
    assert devices_for("cuda:0", 0, None, training) == ["cuda:0"] * 3
    assert devices_for("cuda", 2, None, training) == ["cuda:0", "cuda:1"]
    assert devices_for("cuda:0", 0, 2, training) == ["cuda:0"] * 2
    for words, shown in (
        (("cuda", 0, 2), "--per-gpu: found 2 trainings at once x (500MiB"),
        (("cuda", 5, None), "--workers: found 5 workers, expected at most 4: 3 on cuda:0, 1 on cuda:1"),
        (("cuda:0", 3, 2), "--workers: found 3 workers, expected at most 2: 2 on cuda:0"),
        (("cuda:2", 0, None), "--device: found GPU 2, expected one of the 2 GPUs here"),
    ):
        with pytest.raises(InputError) as caught:
            devices_for(*words, training)
        assert str(caught.value).startswith(shown)


def test_cores_bound_what_nobody_asked_for_and_not_what_somebody_did(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, {0: 4}, cores=2)
    assert len(devices_for("auto", 0, None, training)) == 2
    assert len(devices_for("auto", 3, None, training)) == len(devices_for("auto", 0, 3, training)) == 3


def test_workers_on_the_cpu_by_cores_and_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, {}, cores=4)
    monkeypatch.setattr(devices, "own_memory", lambda: 500 * MIB)
    monkeypatch.setattr(devices, "free_memory", lambda: 16 * GIB)
    assert devices_for("auto", 0, None, training) == ["cpu"] * 4
    assert devices_for("cpu", 7, None, training) == ["cpu"] * 7
    with pytest.raises(InputError, match="17 workers, expected at most 16, 4 for each of 4 cores"):
        devices_for("cpu", 17, None, training)
    monkeypatch.setattr(devices, "free_memory", lambda: 3 * GIB)  # 2 x 1000 MiB in 90 %
    assert devices_for("cpu", 0, None, training) == ["cpu"] * 2
    with pytest.raises(InputError, match=r"--workers: found 3 trainings .* the 3GiB free on this machine: 2 trainings"):
        devices_for("cpu", 3, None, training)


def test_where_much_is_free_torch_is_not_imported_to_say_so() -> None:
    """A search that goes on asks for the devices and compares the data: torch takes longer to import than all of that.
    Oracle: the modules of a fresh process, and what the arithmetic with the process's own memory says here.
    """
    code = """
import sys
import threading
from cspnas.data.registry import known_data
from cspnas.runners.local import devices
devices.driver_found = lambda: False
devices.free_memory = lambda: 1 << 40
found = devices.devices_for("auto", 2, None, lambda: 1 << 28), devices.devices_for("cpu", 0, None, lambda: 1 << 28)
known_data("fashion-mnist-mini")
assert "torch" not in sys.modules
devices.AMPLE = 1 << 60
assert (devices.devices_for("auto", 2, None, lambda: 1), devices.devices_for("cpu", 0, None, lambda: 1)) == found
assert "torch" in sys.modules and devices.own_memory() < 2 << 30
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_workers_started_for_a_driver_that_cannot_be_made_are_ended(tmp_path: Path) -> None:
    """They get ready while the driver is made. Oracle: the processes of the machine."""
    (tmp_path / "tiny.yaml").write_text(SPACE)
    study = read_space(tmp_path / "tiny.yaml", {"search.workers": 2})
    before = _children()
    with (  # noqa: PT012 (the fault comes after workers were started)
        pytest.raises(KeyError),
        open_runner(RunnerOptions(device="cpu"), study, tmp_path / "logs") as runner,
    ):
        runner.start()
        assert len(children := _children() - before) == 2
        raise KeyError
    assert not children & _children()


def _children() -> set[int]:
    """Pids of this process's children that live, by the kernel."""
    return set(map(int, Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()))
