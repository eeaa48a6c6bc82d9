"""`cspnas train`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from cspnas.cli.options import ArchitectureArgument, ImageSize, SkipUnreadable


def train(
    architecture: ArchitectureArgument,
    recipe: Annotated[
        str | None, typer.Option(help="full: a long training with all that helps one; the file's recipe if not given.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, max=10_000, help="Epochs; the recipe's if not given.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set; the file's if not given.")] = None,
    image_size: ImageSize = None,
    skip_unreadable: SkipUnreadable = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
    sync_bn: Annotated[
        bool, typer.Option("--sync-bn", help="Under torchrun: batch norm over the whole batch of all GPUs.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of weights and order.")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Weights; NAME.safetensors if not given.")
    ] = None,
    checkpoint: Annotated[
        float, typer.Option(min=0, help="Seconds between two checkpoints, from which a killed training goes on.")
    ] = 60.0,
    tensorboard: Annotated[
        str | None, typer.Option(help="Folder for this training's learning curves, which TensorBoard shows.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace existing files.")] = False,
) -> None:
    """Train an architecture, evaluate it on the test split, write weights (safetensors) and results (JSON).

    The same command goes on with a training that was killed.
    """
    from cspnas.api.training_job import TrainingPlace
    from cspnas.cli.train import TrainingOutputs, train_file
    from cspnas.documents.architecture_file import find_architecture
    from cspnas.training.processes import launched
    from cspnas.training.recipe import recipe_changes

    path = find_architecture(architecture)
    changes = recipe_changes(
        recipe, epochs=epochs, dataset=dataset, image_size=image_size, skip_unreadable=skip_unreadable
    )
    place = TrainingPlace(device, launched(), sync_bn)
    train_file(path, changes, place, seed, TrainingOutputs(output, force, checkpoint, tensorboard))
