"""What the trainings of a study take where they run, before any of them begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cspnas.data.registry import part_counts
from cspnas.errors import InputError, TrainingError
from cspnas.io.machine import usable_cpus
from cspnas.io.steps import Step, silent
from cspnas.network.architecture import Architecture
from cspnas.network.cost import STEP_OVER_INFERENCE
from cspnas.study.candidates import Candidate
from cspnas.study.settings import Study
from cspnas.training.recipe import Recipe

UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


@dataclass(frozen=True, slots=True)
class TrainingEstimate:
    """`seconds` of one training of the smallest, the median and the greatest network, and their mean over all; predicted
    bytes of the one that needs most `memory`; how many trainings `at_once` go as fast as one alone.
    """

    seconds: tuple[float, float, float]
    mean: float
    memory: int
    at_once: int

    def whole(self, trainings: int) -> float:
        """Seconds of so many trainings."""
        return trainings * self.mean / max(1, min(self.at_once, trainings))


def about(seconds: float) -> str:
    """In words, to two digits: `about 12 minutes`."""
    size, unit = next((entry for entry in UNITS if seconds >= 2 * entry[0]), UNITS[-1])
    return f"about {float(f'{seconds / size:.2g}'):g} {unit}"


@dataclass(frozen=True, slots=True)
class Speed:
    """`seconds` for an image of a training step, of each of some networks; how many trainings `at_once` go as fast as one
    alone.
    """

    seconds: list[float]
    at_once: int


# Measures networks where trainings run; None where one of them does not fit into memory.
Speedometer = Callable[[Sequence[Architecture], Recipe], Speed | None]


def speed_here(devices: Sequence[str], networks: Sequence[Architecture], recipe: Recipe) -> Speed | None:
    """In this process, on the first of the `devices`, one for each worker."""
    import torch

    from cspnas.training.training_time import seconds_of_each

    try:
        seconds = seconds_of_each(networks, recipe, torch.device(devices[0]))
    except TrainingError:
        return None
    # Trainings that share a GPU, or a core, take each other's time.
    return Speed(seconds, min(len(devices), usable_cpus()) if devices[0] == "cpu" else len(set(devices)))


def training_estimate(
    study: Study, networks: Sequence[Candidate], measure: Speedometer, step: Step = silent
) -> TrainingEstimate | None:
    """Of a study that trains these `networks`; None where the data are not there, or where nothing can be measured."""
    try:
        images = _images(study)
    except InputError:
        return None
    step("measuring how long a training takes")
    ordered = sorted(networks, key=lambda one: one.costs["flops"])
    chosen = [ordered[0], ordered[len(ordered) // 2], ordered[-1]]
    speed = measure([one.architecture for one in chosen], study.recipe)
    if speed is None:
        return None
    seconds = [images * each for each in speed.seconds]
    flops = [one.costs["flops"] for one in chosen]
    mean = float(np.mean(np.interp([one.costs["flops"] for one in ordered], flops, seconds)))
    memory = int(max(one.costs["training_memory"] for one in ordered))
    return TrainingEstimate((seconds[0], seconds[1], seconds[2]), mean, memory, speed.at_once)


def _images(study: Study) -> float:
    """Images that one training steps over, with what its validations are in such steps."""
    training, validation = part_counts(study.recipe.dataset, study.recipe.images)
    return study.recipe.epochs * (training + validation / STEP_OVER_INFERENCE)
