"""Opens where a search's trainings run: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cspnas.io.steps import Step, silent
from cspnas.runners.protocol import Where, Workplace
from cspnas.study.candidates import admitted_sample
from cspnas.study.settings import Study

DRAWN = 200  # networks, to say how much memory a training takes at most


@contextmanager
def workplace(where: Where, study: Study, folder: Path, step: Step = silent) -> Iterator[Workplace]:
    """Open where the trainings will run; what a runner logs goes to `folder`. Writes nothing yet.

    Raises InputError for a device or an address that is not there.
    """
    if where.runner == "local":
        from cspnas.runners.local.devices import devices_for
        from cspnas.runners.local.workplace import Here

        devices = devices_for(where.device, study.workers, where.per_gpu, lambda: greatest_training(study), step)
        yield Here(devices, folder, where.evaluator)
        return
    from cspnas.runners.ray.capacity import slots_of
    from cspnas.runners.ray.cluster import cluster
    from cspnas.runners.ray.runner import RayRunner

    with cluster(where.address or "local", study.workers, step) as nodes:
        slots = replace(slots_of(nodes, study, where.device, where.per_gpu), evaluator=where.evaluator)
        yield RayRunner(slots, folder)


def greatest_training(study: Study) -> int:
    """Bytes predicted for the greatest training among admitted networks drawn at random."""
    return int(max(drawn.costs["training_memory"] for drawn in admitted_sample(study, DRAWN)))
