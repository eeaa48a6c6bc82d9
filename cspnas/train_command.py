"""`cspnas train`: an architecture file to weights (safetensors) and a JSON of results and what made them."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cspnas.errors import CspnasError, InputError, TrainingError
from cspnas.recipe import Recipe


def run(
    path: Path, epochs: int | None, dataset: str | None, device: str, seed: int, output: Path | None, *, force: bool
) -> None:
    """Train on the training part, watch validation, then open the test split once."""
    from cspnas.document import read_architecture, shipped_architectures

    file = read_architecture(path)
    shipped = path in shipped_architectures().values()  # its folder is the package's, not the user's
    weights = output or (Path(path.name) if shipped else path).with_suffix(".safetensors")
    results = weights.with_suffix(".json")
    for target in (weights, results):
        if target.exists() and not force:
            raise InputError(
                "a file that exists", expected="a new path", where=str(target), do="add --force to replace it"
            )
    recipe = _recipe(file.document, epochs, dataset)
    report, tensors = _train(file, recipe, device, seed)
    _write(weights, results, report, tensors)
    test, n = report["test_accuracy"], report["test_images"]
    print(
        f"test accuracy {100 * test:.2f}% ± {100 * (test * (1 - test) / n) ** 0.5:.2f} (binomial, {n} images); "
        f"validation {100 * report['validation_accuracy']:.2f}%"
    )
    print(f"weights: {weights}\nresults: {results}")


def _recipe(document: dict[str, Any], epochs: int | None, dataset: str | None) -> Recipe:
    recipe = Recipe(**(document.get("recipe") or {}))
    return replace(recipe, epochs=epochs or recipe.epochs, dataset=dataset or recipe.dataset)


def _train(file: Any, recipe: Recipe, device_name: str, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    import torch

    from cspnas import data as datasets
    from cspnas.evaluation import versions
    from cspnas.families import wire
    from cspnas.network import Network, initialise
    from cspnas.runners.local import devices_for
    from cspnas.training import DeviceData, faster_precision, predict_correct, train

    device = torch.device(devices_for(device_name, 1, 1)[0])
    if recipe.precision == "auto":
        recipe = replace(recipe, precision=faster_precision(device))
    data = datasets.load(recipe.dataset)
    architecture = file.architecture
    if data.input_shape != architecture.input_shape or data.classes != architecture.classes:
        raise InputError(
            f"images {data.input_shape} of {data.classes} classes in {recipe.dataset}",
            expected=f"{architecture.input_shape} and {architecture.classes} classes, as in the architecture",
            where=str(file.path),
            do="choose the data set that it was made for with --dataset",
        )
    network = Network(wire(architecture))
    initialise(network, seed)
    placed = DeviceData(data, device)
    with _bar(recipe.epochs) as advance:
        try:
            trained = train(network, placed, recipe, seed, advance)
        except TrainingError as error:
            raise CspnasError(f"{file.path}: training {error.kind}: {error}; lower the learning rate") from None
    test = placed.place(datasets.load_test(recipe.dataset))
    correct = predict_correct(network, placed, test, recipe)
    report = {
        "architecture": file.document | {"measured": None},
        "recipe": asdict(recipe),
        "seed": seed,
        "validation_accuracy": trained.accuracy,
        "test_accuracy": float(correct.mean()),
        "test_images": len(correct),
        "curve": [asdict(epoch) for epoch in trained.curve],
        "data_checksum": data.checksum,
        "device": str(device),
        "versions": versions(),
    }
    return report, {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}


def _bar(epochs: int) -> Any:
    """A progress bar on stderr; a line an epoch where stderr is no terminal."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    @contextmanager
    def bar() -> Any:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            task, done = progress.add_task("training", total=epochs), [0]

            def advance(epoch: Any) -> None:
                done[0] += 1
                text = f"epoch {done[0]}/{epochs}: loss {epoch.loss:.4f}, validation {100 * epoch.accuracy:.2f}%"
                progress.update(task, advance=1, description=text)
                if not console.is_terminal:
                    sys.stderr.write(f"{text}, {epoch.seconds:.1f} s\n")

            yield advance

    return bar()


def _write(weights: Path, results: Path, report: dict[str, Any], tensors: dict[str, Any]) -> None:
    from safetensors.torch import save

    from cspnas.export import write_whole

    write_whole(weights, save(tensors, metadata={"format": "pt"}), force=True)
    write_whole(results, json.dumps(report, indent=2) + "\n", force=True)
