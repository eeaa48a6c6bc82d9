"""All that the training of an architecture file needs, read and checked before it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cspnas.data.own_data import is_own
from cspnas.errors import InputError, TrainingError
from cspnas.io.standard_streams import tell
from cspnas.io.steps import Step, silent
from cspnas.training.processes import ONE_PROCESS, Processes
from cspnas.training.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from cspnas.data.datasets import DataSet, Split
    from cspnas.documents.architecture_file import ArchitectureFile


@dataclass(frozen=True, slots=True)
class TrainingPlace:
    """On what a network trains: `device` as `--device` says it, and the `processes` that torchrun started.

    `sync_bn`: batch norm sees the whole batch of all processes, and not the part of its own.
    """

    device: str
    processes: Processes = ONE_PROCESS
    sync_bn: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """All that a training needs, opened and checked before it starts; `test` None: the data set has no test part.
    `measured_precision`: the recipe left its precision to a measurement. `device` is this process's of the `place`.
    """

    file: ArchitectureFile
    recipe: Recipe
    seed: int
    place: TrainingPlace
    device: torch.device
    data: DataSet
    test: Split | None
    measured_precision: bool


def to_stderr(text: str) -> None:
    """Say a line."""
    tell(text)


def prepare(
    file: ArchitectureFile,
    changes: Mapping[str, Any],
    *,
    seed: int,
    place: TrainingPlace,
    on_step: Step = silent,
    on_note: Callable[[str], None] = to_stderr,
) -> Job:
    """Read and check all that the training of a file needs, with `changes` of its recipe; errors are those of `train`.

    Each of the processes of `place` does, the first one before the others.
    """
    # before torch is imported
    _check_flops(file)
    recipe = Recipe(**{**(file.document.get("recipe") or {}), **changes})
    processes = place.processes
    processes.check_batch(recipe.batch_size, str(file.path))
    on_step(f"reading the data set {recipe.dataset}")
    device = _device(place)
    _check_size(file, -(-recipe.batch_size // processes.count), device)
    data, test = processes.after_first("data", lambda: _data(recipe, on_step))
    _check_form(file, data)
    job = Job(file, recipe, seed, place, device, data, test, recipe.precision == "auto")
    for note in _notes(file, recipe, data, test):
        on_note(note)
    return _with_precision(job, on_step)


def _device(place: TrainingPlace) -> torch.device:
    """Raises InputError for one that is not there, and for batch norm over processes of the CPU."""
    import torch

    from cspnas.runners.local.devices import gpus_for

    gpus = gpus_for(place.device)
    if place.sync_bn and not gpus:
        hint = "leave it out: each process then normalises its part of a batch by itself"
        raise InputError("the CPU", expected="GPUs, which torch needs for it", where="--sync-bn", hint=hint)
    return torch.device("cuda", place.processes.choose_gpu(gpus)) if gpus else torch.device("cpu")


def _data(recipe: Recipe, step: Step) -> tuple[DataSet, Split | None]:
    """All parts of the data set; the test part is None where there is none."""
    from cspnas.data import datasets

    data = datasets.load(recipe.dataset, recipe.images, step=step)
    return data, datasets.load_test(recipe.dataset, recipe.images) if datasets.has_test(recipe.dataset) else None


def _with_precision(job: Job, step: Step) -> Job:
    """The same job in a precision that is said; where the recipe leaves it open, in the faster one."""
    if not job.measured_precision:
        return job
    from cspnas.training.train import faster_precision

    step("measuring which precision is faster")
    precision = job.place.processes.as_first("precision", lambda: faster_precision(job.device))
    return replace(job, recipe=replace(job.recipe, precision=precision))


def _check_size(file: ArchitectureFile, batch_size: int, device: torch.device) -> None:
    from cspnas.network.wiring import wire
    from cspnas.training.memory_check import check_fits

    try:
        check_fits(wire(file.architecture), batch_size, device)
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
        channels, height, width = architecture.input_shape
        if is_own(data.name) and data.input_shape[0] == channels and height == width != data.input_shape[1]:
            hint = f"bring the images to its size with --image-size {height}"
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
