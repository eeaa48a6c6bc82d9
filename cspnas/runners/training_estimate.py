"""What the trainings of a study take on this machine, before any of them begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cspnas.data.registry import part_counts
from cspnas.errors import InputError, TrainingError
from cspnas.io.machine import usable_cpus
from cspnas.io.steps import Step, silent
from cspnas.network.cost import STEP_OVER_INFERENCE
from cspnas.network.wiring import wire
from cspnas.study.candidates import Candidate
from cspnas.study.settings import Study

# Seconds of a processor for measuring, after which the networks that are left are reckoned from those before, by their FLOPs.
LONG_MEASURING = 2.0
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


def training_estimate(
    study: Study, networks: Sequence[Candidate], devices: Sequence[str], step: Step = silent
) -> TrainingEstimate | None:
    """Measured on the first of the `devices`, one for each worker; None where the data are not there, or where one
    of the `networks` that it trains does not fit into memory.
    """
    try:
        images = _images(study)
    except InputError:
        return None
    step("measuring how long a training takes")
    ordered = sorted(networks, key=lambda one: one.costs["flops"])
    chosen = [ordered[0], ordered[len(ordered) // 2], ordered[-1]]
    try:
        seconds = [images * each for each in _seconds_an_image(study, chosen, devices[0])]
    except TrainingError:
        return None
    flops = [one.costs["flops"] for one in chosen]
    mean = float(np.mean(np.interp([one.costs["flops"] for one in ordered], flops, seconds)))
    memory = int(max(one.costs["training_memory"] for one in ordered))
    return TrainingEstimate((seconds[0], seconds[1], seconds[2]), mean, memory, _at_once(devices))


def _images(study: Study) -> float:
    """Images that one training steps over, with what its validations are in such steps."""
    training, validation = part_counts(study.recipe.dataset, study.recipe.images)
    return study.recipe.epochs * (training + validation / STEP_OVER_INFERENCE)


def _seconds_an_image(study: Study, chosen: Sequence[Candidate], device: str) -> list[float]:
    """Of each of these networks, the smallest first. Raises TrainingError for one that does not fit."""
    import torch

    from cspnas.training.training_time import seconds_an_image

    found: list[float] = []
    start = time.process_time()
    for one in chosen:
        if found and time.process_time() - start > LONG_MEASURING:
            found.append(found[-1] * one.costs["flops"] / chosen[len(found) - 1].costs["flops"])
        else:
            found.append(seconds_an_image(wire(one.architecture), study.recipe, torch.device(device)))
    return found


def _at_once(devices: Sequence[str]) -> int:
    """Trainings that share a GPU, or a core, take each other's time."""
    return min(len(devices), usable_cpus()) if devices[0] == "cpu" else len(set(devices))
