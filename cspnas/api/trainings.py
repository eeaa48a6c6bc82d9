"""Train one architecture in Python, and open the test part of its data once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cspnas.api.arguments import expect
from cspnas.api.checkpoint_file import check_same_training, checked_checkpoint
from cspnas.api.training_job import Job, TrainingPlace, prepare, to_stderr
from cspnas.errors import CspnasError, InputError, TrainingError
from cspnas.io.machine import usable_cpus
from cspnas.io.steps import Step, silent
from cspnas.reports.tensorboard_log import TensorBoardLog, checked_log_folder
from cspnas.training.processes import connected, is_lost
from cspnas.training.recipe import Recipe, recipe_changes, stated_keys

if TYPE_CHECKING:
    from cspnas.data.datasets import Split
    from cspnas.training.batches import InMemoryBatches
    from cspnas.training.checkpoint import CheckpointKey
    from cspnas.training.module import NetworkModule
    from cspnas.training.train import Epoch, TrainingResult, TrainingState

# FLOPs of one image.
SMALL = 100_000_000


class TrainingReport(TypedDict):
    """What a training gave and what made it, as JSON. Accuracies are fractions."""

    architecture: Mapping[str, Any]
    recipe: Mapping[str, Any]
    seed: int
    data_checksum: str
    device: str
    processes: int
    sync_bn: bool
    versions: Mapping[str, str]
    validation_accuracy: float
    test_accuracy: float | None
    test_images: int
    curve: Sequence[Mapping[str, Any]]
    threads: int


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """`network` is trained, in training mode, on the device that it was trained on. Accuracies are fractions;
    `test_accuracy` is None where the data set has no test part. `report` says what made them, as plain data.
    """

    network: NetworkModule
    validation_accuracy: float
    test_accuracy: float | None
    test_images: int
    curve: tuple[Epoch, ...]
    report: TrainingReport


def train(
    architecture: str | Path,
    *,
    recipe: str | None = None,
    dataset: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    checkpoint_seconds: float = 60.0,
    tensorboard: str | Path | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Step = silent,
    on_note: Callable[[str], None] = to_stderr,
) -> TrainedNetwork:
    """Train an architecture on the training part of a data set, watch validation, then evaluate the test part once.

    `architecture` is a file (as `cspnas export` writes it, with its recipe) or a reference's name. `recipe` names changes of
    that recipe: `full` is a long training with all that helps one. `dataset` and `epochs` replace those of the recipe;
    `device` is `auto`, `cpu` or `cuda:N`. The same `seed` on the same machine gives the same weights. With `checkpoint`, a
    training that was killed goes on from that file, written every `checkpoint_seconds`. `tensorboard` is a folder for the
    learning curves, one for each training.
    `on_epoch` hears each epoch's loss and validation accuracy, `on_note` what the user should know, a line each.

    Raises InputError before the training for wrong files, data and devices; CspnasError where the training fails.
    """
    from cspnas.documents.architecture_file import find_architecture, read_architecture

    expect(
        "cspnas.train",
        recipe=(recipe, str),
        epochs=(epochs, int, 1, 10_000),
        seed=(seed, int, 0, 2**63 - 1),
        dataset=(dataset, str),
    )
    expect("cspnas.train", device=(device, str), checkpoint_seconds=(checkpoint_seconds, float, 0))
    if not isinstance(architecture, str | Path):
        found = f"architecture={type(architecture).__name__}"
        raise InputError(found, expected="a file, or the name of a reference network", where="cspnas.train")
    checkpoint = None if checkpoint is None else checked_checkpoint(Path(checkpoint))
    log_folder = None if tensorboard is None else checked_log_folder(tensorboard)
    file = read_architecture(find_architecture(str(architecture)))
    changes = recipe_changes(recipe, dataset=dataset, epochs=epochs)
    job = prepare(file, changes, seed=seed, place=TrainingPlace(device), on_step=on_step, on_note=on_note)
    return run_training(job, checkpoint, checkpoint_seconds, on_epoch, on_note, log_folder=log_folder)


def run_training(
    job: Job,
    checkpoint: Path | None,
    checkpoint_seconds: float,
    on_epoch: Callable[[Epoch], None],
    on_note: Callable[[str], None] = to_stderr,
    *,
    on_batch: Callable[[TrainingState], None] = lambda standing: None,
    log_folder: Path | None = None,
    force: bool = False,
) -> TrainedNetwork:
    """Train what was prepared; arguments and errors are those of `train`. `on_batch` hears of every step. With `force` the
    checkpoint of another training is replaced, and not refused.
    """
    import torch

    from cspnas.network.cost import cost_of
    from cspnas.training.checkpoint import Checkpointer, kept_when_interrupted
    from cspnas.training.streamed_batches import batches_of
    from cspnas.training.train import steps_of, train_network

    network, together, recipe = _new_network(job), job.place.processes, job.recipe
    own_images = -(-recipe.batch_size // together.count)
    training = cost_of(network.graph).training_memory(own_images)
    placed, keeper = batches_of(job.data, job.device, training)(job.data, job.device), None
    if checkpoint is not None:
        recipe, key = _begun(job, placed, network.graph.digest(), checkpoint)
        if not force:
            check_same_training(checkpoint, key)
        keeper = Checkpointer(checkpoint, key, on_note, seconds=checkpoint_seconds, writes=together.first)
    threads = (keeper.threads if keeper else None) or _threads(network)
    torch.set_num_threads(threads)
    log = TensorBoardLog(log_folder, recipe, steps_of(placed, recipe), placed.count, on_note)

    def hear(epoch: Epoch) -> None:
        on_epoch(epoch)
        log.epoch(epoch)

    with _failing_in_one_line(job.file.path), connected(together, job.device):
        with kept_when_interrupted(keeper):
            trained = train_network(
                network, placed, recipe, job.seed, hear, on_batch=on_batch, keeper=keeper, processes=together
            )
        accuracy, images = _tested(network, placed, recipe, job.test if together.first else None)
    log.end(stated_keys(recipe), {"validation_accuracy": trained.accuracy, "test_accuracy": accuracy})
    report = _report(job, recipe, trained, (accuracy, images), threads)
    return TrainedNetwork(network, trained.accuracy, accuracy, images, trained.curve, report)


def _new_network(job: Job) -> NetworkModule:
    from torch import nn

    from cspnas.network.wiring import wire
    from cspnas.training.module import NetworkModule, initialise

    network = NetworkModule(wire(job.file.architecture))
    initialise(network, job.seed)
    if job.place.sync_bn and job.place.processes.count > 1:
        nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return network


def _report(
    job: Job, recipe: Recipe, trained: TrainingResult, tested: tuple[float | None, int], threads: int
) -> TrainingReport:
    from cspnas.training.evaluation import versions

    return {
        "architecture": {**job.file.document, "measured": None},
        "recipe": asdict(recipe),
        "seed": job.seed,
        "data_checksum": job.data.checksum,
        "device": str(job.device),
        "processes": job.place.processes.count,
        "sync_bn": job.place.sync_bn,
        "versions": versions(),
        "validation_accuracy": trained.accuracy,
        "test_accuracy": tested[0],
        "test_images": tested[1],
        "curve": [asdict(epoch) for epoch in trained.curve],
        "threads": threads,
    }


def _begun(job: Job, placed: InMemoryBatches, digest: str, checkpoint: Path) -> tuple[Recipe, CheckpointKey]:
    """Recipe and key of a training: what was begun in one precision goes on in it, whatever a second measurement says."""
    from cspnas.training.checkpoint import checkpoint_key, kept_key

    kept = kept_key(checkpoint) if job.measured_precision else None
    others = [replace(job.recipe, precision=precision) for precision in ("float32", "bfloat16")] if kept else []
    keys = [(recipe, checkpoint_key(digest, placed, recipe, job.seed, None)) for recipe in (*others, job.recipe)]
    return next((pair for pair in keys if pair[1] == kept), keys[-1])


def _tested(
    network: NetworkModule, placed: InMemoryBatches, recipe: Recipe, test: Split | None
) -> tuple[float | None, int]:
    """Accuracy on the test part, and its images."""
    from cspnas.training.train import VALIDATED_AT_ONCE, predict_correct

    if test is None:
        return None, 0
    correct = predict_correct(network, placed.of(test, VALIDATED_AT_ONCE), recipe)
    return float(correct.mean()), len(correct)


def _threads(network: NetworkModule) -> int:
    """Threads on the CPU; OMP_NUM_THREADS wins.

    Threads wait for each other after every operation. Where other programs run on the cores, that made a step of a
    small network (0.6 MFLOPs) 60 times slower with two threads than with one, and of CSPResNet-50 10 times (two cores,
    load 7): so only idle cores count, and a network of the size that a search trains gets one.
    """
    import torch

    from cspnas.network.cost import cost_of

    if os.environ.get("OMP_NUM_THREADS"):
        return torch.get_num_threads()
    if 2 * cost_of(network.graph).macs < SMALL:
        return 1
    return max(1, usable_cpus() - round(os.getloadavg()[0]))


@contextmanager
def _failing_in_one_line(path: Path) -> Iterator[None]:
    from cspnas.training.evaluation import is_out_of_memory

    try:
        yield
    except TrainingError as error:
        raise CspnasError(f"{path}: training {error.kind}: {error}; lower the learning rate") from None
    except Exception as error:
        if is_lost(error):
            raise CspnasError(
                f"{path}: another process of this training ended; run the same command again to go on"
            ) from None
        if not is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise CspnasError(f"{path}: out of memory ({reason}); lower recipe.batch_size in the file") from None
