"""`cspnas train`: an architecture file to weights (safetensors) and a JSON of results and what made them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.api.training_job import Job, TrainingPlace, prepare
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
from cspnas.training.processes import tells_the_end

if TYPE_CHECKING:
    from cspnas.documents.architecture_file import ArchitectureFile


@dataclass(frozen=True, slots=True)
class TrainingOutputs:
    """What a training writes and where: the weights, a checkpoint every `checkpoint_seconds`, learning curves."""

    weights: Path | None
    force: bool
    checkpoint_seconds: float
    log_folder: str | None


def train_file(
    path: Path, changes: Mapping[str, Any], place: TrainingPlace, seed: int, outputs: TrainingOutputs
) -> None:
    """Train on the training part, watch validation, then evaluate on the test part once.

    What could refuse the results (paths, test part) is looked at before the training. A training that was interrupted or
    killed goes on from its checkpoint beside the weights, which is deleted when they are there. Of several processes the
    first one alone prints and writes.
    """
    from cspnas.documents.architecture_file import read_architecture

    file = read_architecture(path)
    if not place.processes.first:
        _train_beside(file, changes, place, seed, outputs, _checkpoint_of(_weights(path, outputs)))
        return
    weights, _ = _targets(path, outputs)
    log_folder = None if outputs.log_folder is None else checked_log_folder(outputs.log_folder)
    with _alone(weights):
        # Another training may have ended since.
        weights, results = _targets(path, outputs)
        with steps() as step:
            job = prepare(file, changes, seed=seed, place=place, on_step=step)
        trained = _train_shown(job, _checkpoint_of(weights), outputs, log_folder)
        _write(weights, results, trained)
        remove(_checkpoint_of(weights))
    say(f"{_accuracies(trained)}\nweights: {weights}\nresults: {results}")


def _train_shown(job: Job, checkpoint: Path, outputs: TrainingOutputs, log_folder: Path | None) -> TrainedNetwork:
    """Train with a display; an interruption says where the training is kept, unless something else was the reason."""
    try:
        with training_display(job.recipe.epochs, len(job.data.train.labels), job.recipe.batch_size) as display:
            return run_training(
                job,
                checkpoint,
                outputs.checkpoint_seconds,
                display.epoch,
                on_batch=display.batch,
                log_folder=log_folder,
                force=outputs.force,
            )
    except KeyboardInterrupt:
        kept = f"the training is kept in {checkpoint}, and " if checkpoint.is_file() else ""
        if tells_the_end():
            tell(f"interrupted: {kept}the same command goes on with it")
        raise SystemExit(exit_code()) from None


def _train_beside(
    file: ArchitectureFile,
    changes: Mapping[str, Any],
    place: TrainingPlace,
    seed: int,
    outputs: TrainingOutputs,
    checkpoint: Path,
) -> None:
    """Train in silence beside the first process."""
    try:
        job = prepare(file, changes, seed=seed, place=place, on_note=lambda text: None)
        run_training(job, checkpoint, 0.0, lambda epoch: None, lambda text: None, force=outputs.force)
    except KeyboardInterrupt:
        raise SystemExit(exit_code()) from None


def _checkpoint_of(weights: Path) -> Path:
    return weights.with_name(f"{weights.name}.checkpoint")


def _weights(path: Path, outputs: TrainingOutputs) -> Path:
    from cspnas.documents.architecture_file import shipped_architectures

    # Its folder is the package's, not the user's.
    shipped = path in shipped_architectures().values()
    beside = (Path(path.name) if shipped else path).with_suffix(".safetensors")
    return beside if outputs.weights is None else Path(expanded(str(outputs.weights)))


def _targets(path: Path, outputs: TrainingOutputs) -> tuple[Path, Path]:
    """Where weights and results go. Raises InputError where they cannot."""
    weights = _weights(path, outputs)
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
