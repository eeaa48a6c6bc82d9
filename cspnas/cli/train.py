"""`cspnas train`: an architecture file to weights (safetensors) and a JSON of results and what made them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.errors import CspnasError, InputError, TrainingError
from cspnas.io.atomic_write import check_output, remove, write_whole
from cspnas.io.steps import Step, on_terminal, steps
from cspnas.training.recipe import Recipe

if TYPE_CHECKING:
    import torch

    from cspnas.data.datasets import DataSet, Split
    from cspnas.documents.architecture_file import ArchitectureFile
    from cspnas.training.batches import InMemoryBatches
    from cspnas.training.checkpoint import Keeper
    from cspnas.training.module import Network
    from cspnas.training.train import Trained

SMALL = 100_000_000  # FLOPs of one image


@dataclass(frozen=True, slots=True)
class Job:
    """All that a training needs, opened and checked before it starts; `test` None: the data set has no test part."""

    file: ArchitectureFile
    recipe: Recipe
    seed: int
    device: torch.device
    data: DataSet
    test: Split | None


def run(
    path: Path,
    epochs: int | None,
    dataset: str | None,
    device: str,
    seed: int,
    output: Path | None,
    *,
    force: bool,
    checkpoint_seconds: float = 60.0,
) -> None:
    """Train on the training part, watch validation, then evaluate on the test part once.

    What could refuse the results (paths, test part) is looked at before the training. A training that was killed goes on
    from its checkpoint beside the weights, which is deleted when they are there.
    """
    from cspnas.documents.architecture_file import read_architecture

    file = read_architecture(path)
    weights, results = _targets(path, output, force=force)
    _check_flops(file)
    with steps() as step:
        job = _job(file, _recipe(file.document, epochs, dataset), device, seed, step)
    checkpoint = weights.with_name(f"{weights.name}.checkpoint")
    report, tensors = _train(job, checkpoint, checkpoint_seconds)
    _write(weights, results, report, tensors)
    remove(checkpoint)
    print(f"{_accuracies(report)}\nweights: {weights}\nresults: {results}")


def _targets(path: Path, output: Path | None, *, force: bool) -> tuple[Path, Path]:
    """Where weights and results go. Raises InputError where they cannot."""
    from cspnas.documents.architecture_file import shipped_architectures

    shipped = path in shipped_architectures().values()  # its folder is the package's, not the user's
    weights = output if output is not None else (Path(path.name) if shipped else path).with_suffix(".safetensors")
    check_output(weights, force=force, inputs=[path])
    results = weights.with_suffix(".json")
    if results == weights:
        raise InputError(
            "the name of the results (JSON)",
            expected="another ending than .json",
            where=f"-o {weights}",
            do=f"choose {weights.with_suffix('.safetensors')}",
        )
    check_output(results, force=force, inputs=[path])
    return weights, results


def _recipe(document: dict[str, Any], epochs: int | None, dataset: str | None) -> Recipe:
    recipe = Recipe(**(document.get("recipe") or {}))
    return replace(recipe, epochs=epochs or recipe.epochs, dataset=recipe.dataset if dataset is None else dataset)


def _job(file: ArchitectureFile, recipe: Recipe, device_name: str, seed: int, step: Step) -> Job:
    step(f"reading the data set {recipe.dataset}")
    import torch

    from cspnas.data import datasets
    from cspnas.runners.local.devices import gpus_for
    from cspnas.training.train import faster_precision

    gpus = gpus_for(device_name)
    device = torch.device("cuda", gpus[0]) if gpus else torch.device("cpu")
    _check_size(file, recipe, device)
    data = datasets.load(recipe.dataset)
    _check_form(file, data)
    test = datasets.load_test(recipe.dataset) if datasets.has_test(recipe.dataset) else None
    if recipe.precision == "auto":
        step("measuring which precision is faster")
        recipe = replace(recipe, precision=faster_precision(device))
    for note in _notes(file, recipe, data, test):
        sys.stderr.write(f"{note}\n")
    return Job(file, recipe, seed, device, data, test)


def _check_size(file: ArchitectureFile, recipe: Recipe, device: torch.device) -> None:
    from cspnas.network.wiring import wire
    from cspnas.training.memory_check import check_fits

    try:
        check_fits(wire(file.architecture), recipe.batch_size, device)
    except TrainingError as error:
        do = "lower recipe.batch_size in the file, or take a smaller network"
        raise InputError(str(error), expected="a network that fits", where=str(file.path), do=do) from None


def _check_flops(file: ArchitectureFile) -> None:
    """Before torch is imported."""
    from cspnas.network.cost import cost_of
    from cspnas.network.wiring import wire
    from cspnas.objectives.objectives import LARGEST, human

    flops = cost_of(wire(file.architecture)).flops
    if flops > LARGEST.bound:
        raise InputError(
            f"a network of {human('flops', flops)} FLOPs",
            expected=f"at most {human('flops', LARGEST.bound)}",
            where=str(file.path),
            do="take a smaller network, or smaller images",
        )


def _check_form(file: ArchitectureFile, data: DataSet) -> None:
    architecture = file.architecture
    if data.input_shape != architecture.input_shape or data.classes != architecture.classes:
        do = "choose the data set that it was made for with --dataset"
        if data.input_shape == architecture.input_shape:
            do += f", or set classes: {data.classes} in a copy of the file and remove its digest line"
        raise InputError(
            f"images {data.input_shape} of {data.classes} classes in {data.name}",
            expected=f"{architecture.input_shape} and {architecture.classes} classes, as in the architecture",
            where=str(file.path),
            do=do,
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


def _train(job: Job, checkpoint: Path, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    import torch

    from cspnas.network.wiring import wire
    from cspnas.training.batches import InMemoryBatches
    from cspnas.training.checkpoint import Keeper, key_of
    from cspnas.training.evaluation import versions
    from cspnas.training.module import Network, initialise

    network = Network(wire(job.file.architecture))
    initialise(network, job.seed)
    placed = InMemoryBatches(job.data, job.device)
    key = key_of(network.graph.digest(), placed, job.recipe, job.seed, None)
    keeper = Keeper(checkpoint, key, lambda text: print(text, file=sys.stderr), seconds=seconds)
    threads = keeper.threads or _threads(network)
    torch.set_num_threads(threads)
    with _failing_in_one_line(job.file.path):
        trained = _trained(network, placed, job, keeper)
        test = _tested(network, placed, job)
    report = {
        "architecture": job.file.document | {"measured": None},
        "recipe": asdict(job.recipe),
        "seed": job.seed,
        "validation_accuracy": trained.accuracy,
        **test,
        "curve": [asdict(epoch) for epoch in trained.curve],
        "data_checksum": job.data.checksum,
        "device": str(job.device),
        "threads": threads,
        "versions": versions(),
    }
    return report, {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def _threads(network: Network) -> int:
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
    return max(1, len(os.sched_getaffinity(0)) - round(os.getloadavg()[0]))


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


def _trained(network: Network, placed: InMemoryBatches, job: Job, keeper: Keeper) -> Trained:
    from cspnas.training.train import train

    with _bar(job.recipe.epochs) as advance:
        return train(network, placed, job.recipe, job.seed, advance, keeper=keeper)


def _tested(network: Network, placed: InMemoryBatches, job: Job) -> dict[str, Any]:
    from cspnas.training.train import VALIDATED_AT_ONCE, predict_correct

    if job.test is None:
        return {"test_accuracy": None, "test_images": 0}
    correct = predict_correct(network, placed.of(job.test, VALIDATED_AT_ONCE), job.recipe)
    return {"test_accuracy": float(correct.mean()), "test_images": len(correct)}


def _accuracies(report: dict[str, Any]) -> str:
    test, n = report["test_accuracy"], report["test_images"]
    validation = f"validation {100 * report['validation_accuracy']:.2f}%"
    if test is None:
        return f"no test part; {validation}"
    error = 100 * (test * (1 - test) / n) ** 0.5
    return f"test accuracy {100 * test:.2f}% ± {error:.2f} (binomial, {n} images); {validation}"


@contextmanager
def _bar(epochs: int) -> Iterator[Callable[[Any], None]]:
    """A progress bar on stderr; a line an epoch where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    live = on_terminal(sys.stderr)
    if not live:
        sys.stderr.write(f"training, {epochs} epoch{'s' * (epochs != 1)}\n")
        sys.stderr.flush()
    label = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    columns = (label, BarColumn(10), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=False, disable=not live) as progress:
        task, done = progress.add_task("training", total=epochs), [0]

        def advance(epoch: Any) -> None:
            done[0] += 1
            text = f"epoch {done[0]}/{epochs}: loss {epoch.loss:.4f}, validation {100 * epoch.accuracy:.2f}%"
            progress.update(task, advance=1, description=text)
            if not live:
                sys.stderr.write(f"{text}, {epoch.seconds:.1f} s\n")

        yield advance


def _write(weights: Path, results: Path, report: dict[str, Any], tensors: dict[str, Any]) -> None:
    from safetensors.torch import save

    write_whole(weights, save(tensors, metadata={"format": "pt"}), force=True)
    write_whole(results, json.dumps(report, indent=2) + "\n", force=True)
