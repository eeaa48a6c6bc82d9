"""Where a search's trainings run: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cspnas.candidates import admitted_sample
from cspnas.driver import Driver
from cspnas.errors import InputError
from cspnas.spelling import nearest
from cspnas.steps import Step, silent
from cspnas.study import Study
from cspnas.work import Work

if TYPE_CHECKING:
    from cspnas.runners.slot import Slot

RUNNERS = ("local", "ray")
DRAWN = 200  # networks, to say how much memory a training takes at most
TRAINER = "cspnas.runners.worker:trainer"
OnEvent = Callable[[str, Work | None, Any], None]


@dataclass(frozen=True, slots=True)
class Where:
    """What the command line says about it. `per_gpu` None: as many trainings on a GPU as fit.
    `evaluator`: MODULE:NAME of what makes an evaluator from a device; a search trains.
    """

    runner: str = "local"
    address: str | None = None
    device: str = "auto"
    per_gpu: int | None = None
    evaluator: str = TRAINER

    def __post_init__(self) -> None:
        """Raises InputError for a runner that is not known, and for what the other runner would need."""
        if self.runner not in RUNNERS:
            do = nearest(self.runner, RUNNERS)
            raise InputError(f"runner {self.runner!r}", expected="local or ray", where="--runner", do=do)
        if self.address is not None and self.runner != "ray":
            raise InputError(
                f"--address {self.address}",
                expected="none for the local runner",
                where="--address",
                do="add --runner ray",
            )
        if self.runner == "ray" and self.device not in ("auto", "cpu", "cuda"):
            raise InputError(
                f"device {self.device!r}", expected="auto, cpu or cuda with --runner ray", where="--device"
            )


class Workplace(Protocol):
    """`devices` has one entry for each training at once."""

    devices: list[str]

    def precision(self) -> str:
        """The faster precision where the trainings run."""

    def kinds(self) -> list[str]:
        """The different names of the devices' models."""

    def started(self) -> AbstractContextManager[None]:
        """Around the making of the driver and `run`: what trains gets ready meanwhile, and nothing of it is left behind."""

    def run(self, driver: Driver, on_event: OnEvent) -> str:
        """Work until the driver is done; its reason. Raises KeyboardInterrupt after Ctrl-C."""


class Here:
    """Worker processes of this machine."""

    def __init__(self, devices: list[str], folder: Path, evaluator: str) -> None:
        """What the workers print goes to `folder`."""
        self.devices, self._folder, self._evaluator = devices, folder, evaluator
        self._slots: list[Slot] = []

    def precision(self) -> str:
        """Measured in this process."""
        import torch

        from cspnas.training import faster_precision

        return faster_precision(torch.device(self.devices[0]))

    def kinds(self) -> list[str]:
        """Read in this process."""
        import torch

        from cspnas.latency import device_name

        return sorted({device_name(torch.device(device)) for device in self.devices})

    @contextmanager
    def started(self) -> Iterator[None]:
        """Workers import torch, which takes them longer than a driver takes to read its study."""
        from cspnas.runners.local import start, stop

        try:
            start(self._slots, self.devices, self._evaluator, self._folder)
            yield
        finally:
            stop(self._slots)

    def run(self, driver: Driver, on_event: OnEvent) -> str:
        """As `LocalRunner.run`."""
        from cspnas.runners.local import LocalRunner

        runner = LocalRunner(self.devices, on_event, folder=self._folder, evaluator=self._evaluator, slots=self._slots)
        return runner.run(driver)


@contextmanager
def workplace(where: Where, study: Study, folder: Path, step: Step = silent) -> Iterator[Workplace]:
    """Open where the trainings will run; what a runner logs goes to `folder`. Writes nothing yet.

    Raises InputError for a device or an address that is not there.
    """
    if where.runner == "local":
        from cspnas.runners.devices import devices_for

        devices = devices_for(where.device, study.workers, where.per_gpu, lambda: greatest_training(study), step)
        yield Here(devices, folder, where.evaluator)
        return
    from cspnas.runners.ray_cluster import cluster
    from cspnas.runners.ray_slots import slots_of
    from cspnas.runners.ray_tune import RayRunner

    with cluster(where.address or "local", study.workers, step) as nodes:
        slots = replace(slots_of(nodes, study, where.device, where.per_gpu), evaluator=where.evaluator)
        yield RayRunner(slots, folder)


def greatest_training(study: Study) -> int:
    """Bytes predicted for the greatest training among admitted networks drawn at random."""
    return int(max(drawn.costs["training_memory"] for drawn in admitted_sample(study, DRAWN)))


def checkpoint_of(folder: Path, work: Work) -> Path:
    """Where a long training's standing is kept while it is under way; `folder` is the study's."""
    return folder / "checkpoints" / f"{work.digest[:16]}-{work.unit['seed']}.safetensors"
