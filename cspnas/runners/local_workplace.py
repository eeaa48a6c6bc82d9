"""Worker processes of this machine, as a search sees them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspnas.runners.local import LocalRunner, start, stop
from cspnas.runners.protocol import OnEvent, WorkSource
from cspnas.runners.slot import Slot


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
        """Workers import torch, which takes them longer than a search takes to read its study."""
        try:
            start(self._slots, self.devices, self._evaluator, self._folder)
            yield
        finally:
            stop(self._slots)

    def run(self, source: WorkSource, on_event: OnEvent) -> str:
        """As `LocalRunner.run`."""
        runner = LocalRunner(self.devices, on_event, folder=self._folder, evaluator=self._evaluator, slots=self._slots)
        return runner.run(source)
