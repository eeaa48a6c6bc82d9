"""Opens where a search's trainings run: processes of this machine, or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path

from cspnas.data.registry import image_count
from cspnas.io.steps import Step, silent
from cspnas.runners.protocol import RunnerOptions
from cspnas.runners.runner import Runner
from cspnas.study.candidates import admitted_sample
from cspnas.study.settings import Study

# Networks that tell how much memory a training takes at most.
DRAWN = 200


@contextmanager
def open_runner(options: RunnerOptions, study: Study, folder: Path, step: Step = silent) -> Iterator[Runner]:
    """Open where the trainings will run; what a runner logs goes to `folder`. Writes nothing yet, and leaves no process.

    Raises InputError for a device or an address that is not there.
    """
    with ExitStack() as stack:
        runner: Runner
        if options.runner == "local":
            from cspnas.runners.local.devices import devices_for
            from cspnas.runners.local.runner import LocalRunner

            devices = devices_for(
                options.device,
                study.workers,
                options.per_gpu,
                partial(greatest_training, study),
                step,
                data=partial(data_bytes, study),
            )
            runner = LocalRunner(devices, folder, options.evaluator)
        else:
            from cspnas.runners.ray.capacity import slots_of
            from cspnas.runners.ray.cluster import cluster
            from cspnas.runners.ray.runner import RayRunner

            nodes = stack.enter_context(cluster(options.address or "local", study.workers, step))
            slots = slots_of(nodes, study, options.device, options.per_gpu)
            runner = RayRunner(replace(slots, evaluator=options.evaluator), folder)
        yield stack.enter_context(closing(runner))


def greatest_training(study: Study) -> int:
    """Bytes predicted for the greatest training among admitted networks drawn at random."""
    return int(max(drawn.costs["training_memory"] for drawn in admitted_sample(study, DRAWN)))


def data_bytes(study: Study) -> int:
    """Bytes of all images that a search trains and validates on."""
    return prod(study.space.input_shape) * image_count(study.recipe.dataset, study.recipe.images)
