"""Train one architecture in Python, and open the test part of its data once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.api.arguments import expect
from cspnas.errors import CspnasError, InputError, TrainingError
from cspnas.io.machine import usable_cpus
from cspnas.io.standard_streams import tell
from cspnas.io.steps import Step, silent
from cspnas.training.recipe import Recipe, recipe_changes

if TYPE_CHECKING:
    import torch

    from cspnas.data.datasets import DataSet, Split
    from cspnas.documents.architecture_file import ArchitectureFile
    from cspnas.training.batches import InMemoryBatches
    from cspnas.training.module import NetworkModule
    from cspnas.training.train import Epoch

# FLOPs of one image.
SMALL = 100_000_000


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
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """All that a training needs, opened and checked before it starts; `test` None: the data set has no test part.
    `measured_precision`: the recipe left its precision to a measurement.
    """

    file: ArchitectureFile
    recipe: Recipe
    seed: int
    device: torch.device
    data: DataSet
    test: Split | None
    measured_precision: bool = False


def to_stderr(text: str) -> None:
    """Say a line."""
    tell(text)


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
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    on_step: Step = silent,
    on_note: Callable[[str], None] = to_stderr,
) -> TrainedNetwork:
    """Train an architecture on the training part of a data set, watch validation, then evaluate the test part once.

    `architecture` is a file (as `cspnas export` writes it, with its recipe) or a reference's name. `recipe` names changes of
    that recipe: `full` is a long training with all that helps one. `dataset` and `epochs` replace those of the recipe;
    `device` is `auto`, `cpu` or `cuda:N`. The same `seed` on the same machine gives the same weights. With `checkpoint`, a
    training that was killed goes on from that file, written every `checkpoint_seconds`.
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
    checkpoint = None if checkpoint is None else Path(checkpoint)
    file = read_architecture(find_architecture(str(architecture)))
    changes = recipe_changes(recipe, dataset=dataset, epochs=epochs)
    job = prepare(file, changes, seed=seed, device=device, on_step=on_step, on_note=on_note)
    return run_training(job, checkpoint, checkpoint_seconds, on_epoch, on_note)


def prepare(
    file: ArchitectureFile,
    changes: Mapping[str, Any],
    *,
    seed: int,
    device: str,
    on_step: Step = silent,
    on_note: Callable[[str], None] = to_stderr,
) -> Job:
    """Read and check all that the training of a file needs, with `changes` of its recipe; errors are those of `train`."""
    # before torch is imported
    _check_flops(file)
    recipe = Recipe(**{**(file.document.get("recipe") or {}), **changes})
    return _job(file, recipe, device, seed, on_step, on_note)


def _job(
    file: ArchitectureFile, recipe: Recipe, device_name: str, seed: int, step: Step, say: Callable[[str], None]
) -> Job:
    step(f"reading the data set {recipe.dataset}")
    import torch

    from cspnas.data import datasets
    from cspnas.runners.local.devices import gpus_for
    from cspnas.training.train import faster_precision

    gpus = gpus_for(device_name)
    device = torch.device("cuda", gpus[0]) if gpus else torch.device("cpu")
    _check_size(file, recipe, device)
    data = datasets.load(recipe.dataset, recipe.images, step=step)
    _check_form(file, data)
    test = datasets.load_test(recipe.dataset, recipe.images) if datasets.has_test(recipe.dataset) else None
    measured = recipe.precision == "auto"
    if measured:
        step("measuring which precision is faster")
        recipe = replace(recipe, precision=faster_precision(device))
    for note in _notes(file, recipe, data, test):
        say(note)
    return Job(file, recipe, seed, device, data, test, measured)


def _check_size(file: ArchitectureFile, recipe: Recipe, device: torch.device) -> None:
    from cspnas.network.wiring import wire
    from cspnas.training.memory_check import check_fits

    try:
        check_fits(wire(file.architecture), recipe.batch_size, device)
    except TrainingError as error:
        hint = "lower recipe.batch_size in the file, or take a smaller network"
        raise InputError(str(error), expected="a network that fits", where=str(file.path), hint=hint) from None


def _check_flops(file: ArchitectureFile) -> None:
    from cspnas.network.cost import cost_of
    from cspnas.network.wiring import wire
    from cspnas.objectives.objectives import DEFAULT_LIMIT, format_objective

    flops = cost_of(wire(file.architecture)).flops
    if flops > DEFAULT_LIMIT.bound:
        raise InputError(
            f"a network of {format_objective('flops', flops)} FLOPs",
            expected=f"at most {format_objective('flops', DEFAULT_LIMIT.bound)}",
            where=str(file.path),
            hint="take a smaller network, or smaller images",
        )


def _check_form(file: ArchitectureFile, data: DataSet) -> None:
    architecture = file.architecture
    if data.input_shape != architecture.input_shape or data.classes != architecture.classes:
        hint = "choose the data set that it was made for with --dataset"
        if data.input_shape == architecture.input_shape:
            hint += f", or set classes: {data.classes} in a copy of the file and remove its digest line"
        raise InputError(
            f"images {data.input_shape} of {data.classes} classes in {data.name}",
            expected=f"{architecture.input_shape} and {architecture.classes} classes, as in the architecture",
            where=str(file.path),
            hint=hint,
        )


def _notes(file: ArchitectureFile, recipe: Recipe, data: DataSet, test: Split | None) -> Iterator[str]:
    """What the user should know before the training, a line each."""
    searched = file.document.get("data") or {}
    if searched.get("checksum") not in (None, data.checksum):
        yield (
            f"note: {recipe.dataset} is not the data of {searched.get('dataset')} that {file.path} was searched on "
            f"(checksum {data.checksum[:12]}, there {str(searched['checksum'])[:12]}): accuracies do not compare"
        )
    if test is None:
        yield f"note: {recipe.dataset} has no folder test: the test accuracy will be null, weights are written all the same"
    yield from data.summary.lines(recipe.dataset)


def run_training(
    job: Job,
    checkpoint: Path | None,
    checkpoint_seconds: float,
    on_epoch: Callable[[Epoch], None],
    on_note: Callable[[str], None] = to_stderr,
) -> TrainedNetwork:
    """Train what was prepared; arguments and errors are those of `train`."""
    import torch

    from cspnas.network.wiring import wire
    from cspnas.training.batches import InMemoryBatches
    from cspnas.training.checkpoint import Checkpointer, kept_when_interrupted
    from cspnas.training.evaluation import versions
    from cspnas.training.module import NetworkModule, initialise
    from cspnas.training.train import train_network

    network = NetworkModule(wire(job.file.architecture))
    initialise(network, job.seed)
    placed, keeper = InMemoryBatches(job.data, job.device), None
    recipe = job.recipe
    if checkpoint is not None:
        recipe, key = _begun(job, placed, network.graph.digest(), checkpoint)
        keeper = Checkpointer(checkpoint, key, on_note, seconds=checkpoint_seconds)
    threads = (keeper.threads if keeper else None) or _threads(network)
    torch.set_num_threads(threads)
    with _failing_in_one_line(job.file.path):
        with kept_when_interrupted(keeper):
            trained = train_network(network, placed, recipe, job.seed, on_epoch, keeper=keeper)
        accuracy, images = _tested(network, placed, recipe, job.test)
    report = {
        "architecture": job.file.document | {"measured": None},
        "recipe": asdict(recipe),
        "seed": job.seed,
        "validation_accuracy": trained.accuracy,
        "test_accuracy": accuracy,
        "test_images": images,
        "curve": [asdict(epoch) for epoch in trained.curve],
        "data_checksum": job.data.checksum,
        "device": str(job.device),
        "threads": threads,
        "versions": versions(),
    }
    return TrainedNetwork(network, trained.accuracy, accuracy, images, trained.curve, report)


def _begun(job: Job, placed: InMemoryBatches, digest: str, checkpoint: Path) -> tuple[Recipe, dict[str, Any]]:
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
        if not is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:200]
        raise CspnasError(f"{path}: out of memory ({reason}); lower recipe.batch_size in the file") from None
