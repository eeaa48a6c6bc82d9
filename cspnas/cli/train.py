"""`cspnas train`: an architecture file to weights (safetensors) and a JSON of results and what made them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspnas.api.training_job import prepare
from cspnas.api.trainings import TrainedNetwork, run_training
from cspnas.cli.training_progress import training_display
from cspnas.errors import InputError
from cspnas.io.atomic_write import check_output, remove, write_whole
from cspnas.io.file_lock import FileLock, HeldError
from cspnas.io.interrupts import exit_code
from cspnas.io.standard_streams import say, tell
from cspnas.io.steps import steps
from cspnas.reports.tensorboard_log import checked_log_folder
from cspnas.storage.locations import expanded


@dataclass(frozen=True, slots=True)
class TrainingOutputs:
    """What a training writes and where: the weights, a checkpoint every `checkpoint_seconds`, learning curves."""

    weights: Path | None
    force: bool
    checkpoint_seconds: float
    log_folder: str | None


def train_file(path: Path, changes: dict[str, Any], device: str, seed: int, outputs: TrainingOutputs) -> None:
    """Train on the training part, watch validation, then evaluate on the test part once.

    What could refuse the results (paths, test part) is looked at before the training. A training that was interrupted or
    killed goes on from its checkpoint beside the weights, which is deleted when they are there.
    """
    from cspnas.documents.architecture_file import read_architecture

    file = read_architecture(path)
    weights, _ = _targets(path, outputs)
    log_folder = None if outputs.log_folder is None else checked_log_folder(outputs.log_folder)
    with _alone(weights):
        # Another training may have ended since.
        weights, results = _targets(path, outputs)
        with steps() as step:
            job = prepare(file, changes, seed=seed, device=device, on_step=step)
        checkpoint = weights.with_name(f"{weights.name}.checkpoint")
        try:
            images = len(job.data.train.labels)
            with training_display(job.recipe.epochs, images, job.recipe.batch_size) as display:
                trained = run_training(
                    job,
                    checkpoint,
                    outputs.checkpoint_seconds,
                    display.epoch,
                    on_batch=display.batch,
                    log_folder=log_folder,
                )
        except KeyboardInterrupt:
            kept = f"the training is kept in {checkpoint}, and " if checkpoint.is_file() else ""
            tell(f"interrupted: {kept}the same command goes on with it")
            raise SystemExit(exit_code()) from None
        _write(weights, results, trained)
        remove(checkpoint)
    say(f"{_accuracies(trained)}\nweights: {weights}\nresults: {results}")


def _targets(path: Path, outputs: TrainingOutputs) -> tuple[Path, Path]:
    """Where weights and results go. Raises InputError where they cannot."""
    from cspnas.documents.architecture_file import shipped_architectures

    # Its folder is the package's, not the user's.
    shipped = path in shipped_architectures().values()
    beside = (Path(path.name) if shipped else path).with_suffix(".safetensors")
    weights = beside if outputs.weights is None else Path(expanded(str(outputs.weights)))
    check_output(weights, force=outputs.force, inputs=[path])
    results = weights.with_suffix(".json")
    if results == weights:
        raise InputError(
            "the name of the results (JSON)",
            expected="another ending than .json",
            where=f"-o {weights}",
            hint=f"choose {weights.with_suffix('.safetensors')}",
        )
    check_output(results, force=outputs.force, inputs=[path])
    return weights, results


@contextmanager
def _alone(weights: Path) -> Iterator[None]:
    """Raises InputError where a training is under way that writes the same weights or results."""
    lock = FileLock(weights.with_name(f"{weights.stem}.training.lock"))
    try:
        lock.acquire()
    except HeldError as holder:
        found, hint = f"a training of the same output ({holder})", "wait for it, or choose another -o"
        raise InputError(found, expected="one at a time", where=str(weights), hint=hint) from None
    except OSError as error:
        raise InputError(str(error.strerror), where=str(lock.path), hint="delete it, or choose another -o") from None
    try:
        yield
    finally:
        lock.release(delete=True)


def _accuracies(trained: TrainedNetwork) -> str:
    test, n = trained.test_accuracy, trained.test_images
    validation = f"validation {100 * trained.validation_accuracy:.2f}%"
    if test is None:
        return f"no test part; {validation}"
    error = 100 * (test * (1 - test) / n) ** 0.5
    return f"test accuracy {100 * test:.2f}% ± {error:.2f} (binomial, {n} images); {validation}"


def _write(weights: Path, results: Path, trained: TrainedNetwork) -> None:
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in trained.network.state_dict().items()}
    write_whole(weights, save(tensors, metadata={"format": "pt"}), force=True)
    write_whole(results, json.dumps(trained.report, indent=2) + "\n", force=True)
