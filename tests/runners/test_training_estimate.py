"""How long trainings are said to take before they begin, beside how long they do take."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest
import torch
from small_studies import small_study

from cspnas.data import datasets
from cspnas.network.wiring import wire
from cspnas.runners.training_estimate import TrainingEstimate, about, speed_here, training_estimate
from cspnas.study.candidates import admitted_sample
from cspnas.training.batches import InMemoryBatches
from cspnas.training.latency import one_thread
from cspnas.training.module import NetworkModule
from cspnas.training.train import train_network

CPU = torch.device("cpu")
HERE = partial(speed_here, ["cpu"])


def test_the_estimate_is_near_what_a_training_takes_of_a_processor(tmp_path: Path) -> None:
    study = small_study(tmp_path, proxy__epochs=1, proxy__precision="float32")
    networks = admitted_sample(study)
    estimate = training_estimate(study, networks, HERE)
    greatest = max(networks, key=lambda one: one.costs["flops"])
    data = InMemoryBatches(datasets.load("fashion-mnist-mini"), CPU)
    with one_thread(CPU):
        start = time.process_time()
        train_network(NetworkModule(wire(greatest.architecture)), data, study.recipe, 0)
    assert estimate is not None
    assert 1 / 3 < estimate.seconds[2] / (time.process_time() - start) < 3
    assert min(estimate.seconds) <= estimate.mean <= max(estimate.seconds)
    assert estimate.memory == max(one.costs["training_memory"] for one in networks)


def test_epochs_multiply_the_time_and_workers_divide_it(tmp_path: Path) -> None:
    short, long = (
        training_estimate(study, admitted_sample(study), HERE)
        for study in (small_study(tmp_path, proxy__epochs=epochs) for epochs in (1, 50))
    )
    assert short is not None and long is not None
    assert 15 < long.mean / short.mean < 150
    estimate = TrainingEstimate((1.0, 2.0, 4.0), 2.5, 1, at_once=4)
    assert [estimate.whole(trainings) for trainings in (1, 3, 40)] == [2.5, 2.5, 25.0]


def test_data_that_are_not_there_give_no_estimate(tmp_path: Path) -> None:
    given = {"input": {"shape": [3, 32, 32], "classes": 4}, "proxy__dataset": "folder:nowhere"}
    study = small_study(tmp_path, **given)
    assert training_estimate(study, admitted_sample(study), HERE) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.3, "about 0.3 seconds"),
        (42.4, "about 42 seconds"),
        (119, "about 120 seconds"),
        (125, "about 2.1 minutes"),
        (726, "about 12 minutes"),
        (5 * 3600, "about 5 hours"),
        (40 * 86400, "about 40 days"),
    ],
)
def test_a_person_reads_two_digits_of_a_fitting_unit(seconds: float, text: str) -> None:
    assert about(seconds) == text
