"""How many trainings fit on one device at once: arithmetic on bytes, without a device."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cspnas.errors import InputError
from cspnas.objectives.objectives import format_objective
from cspnas.training.residence import KEPT, MEMORY_SLACK, fits_beside


@dataclass(frozen=True, slots=True)
class DeviceBudget:
    """One device, bytes: `free` on it now, `process` of a worker before it trains (with libraries, or CUDA's context),
    `training` predicted for the greatest training. `cores`: of the machine, for each device's share.
    """

    name: str
    free: int
    process: int
    training: int
    cores: int

    @property
    def share(self) -> int:
        """Bytes of one worker at work."""
        return self.process + int(MEMORY_SLACK * self.training)

    @property
    def by_memory(self) -> int:
        """How many workers the memory admits."""
        return int(KEPT * self.free) // self.share

    @property
    def together(self) -> int:
        """How many trainings run at once where nobody said a number: as memory and cores admit, and one at the least."""
        return max(1, min(self.by_memory, self.cores))


def with_images(budget: DeviceBudget, images: int) -> DeviceBudget:
    """The budget of workers that each hold so many bytes of images, or, where not even one could, stream them."""
    resident = fits_beside(budget.process + images, budget.training, budget.free)
    return replace(budget, process=budget.process + images) if resident else budget


def check_budget(count: int, budget: DeviceBudget, flag: str) -> None:
    """Raises InputError, with the arithmetic, where `count` trainings at once need more memory than there is.

    One is always tried: what does not fit ends as `out of memory`, and in smaller parts.
    """
    if count <= max(1, budget.by_memory):
        return
    size = [
        format_objective("training_memory", value)
        for value in (budget.process, budget.training, count * budget.share, budget.free)
    ]
    raise InputError(
        f"{count} trainings at once x ({size[0]} a process + {MEMORY_SLACK:g} x {size[1]} predicted) = {size[2]}",
        expected=f"at most {KEPT:.0%} of the {size[3]} free on {budget.name}: {max(1, budget.by_memory)} trainings",
        where=flag,
        hint="lower it, or leave it out for as many as fit",
    )
