"""Where a long training stands, in one safetensors file, so that a killed one goes on; no pickle, checked before use."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cspnas.io.atomic_write import put_whole, temporary_name
from cspnas.io.interrupts import interrupts
from cspnas.training.batches import Batches
from cspnas.training.checkpoint_validation import check_progress, check_tensors
from cspnas.training.recipe import Recipe, recipe_digest
from cspnas.training.train import Epoch, TrainingState, steps_of

# What reading a checkpoint raises that is none, or none of this training.
DAMAGE = (SafetensorError, OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError)
EVERY_SECONDS = 60.0
Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """All that has to agree for two trainings to be one, bit by bit: network, recipe, data, seed, parts, code, device.

    `steps` are those of an epoch. How many processes train together is left out: with another number a training goes on
    to weights that are others in their last bits, and to no worse ones.
    """

    digest: str
    recipe_digest: str
    seed: int
    micro_batch: int | None
    epochs: int
    steps: int
    images: int
    code: str
    torch: str
    device: str


def checkpoint_key(digest: str, data: Batches, recipe: Recipe, seed: int, micro_batch: int | None) -> CheckpointKey:
    """Of a training on these data, with this version of the code."""
    return CheckpointKey(
        digest=digest,
        recipe_digest=recipe_digest(recipe, data.checksum),
        seed=seed,
        micro_batch=micro_batch,
        epochs=recipe.epochs,
        steps=steps_of(data, recipe),
        images=data.count,
        code=_code_digest(),
        torch=torch.__version__,
        device=data.device.type,
    )


class StoredProgress(TypedDict):
    """How far a training has come, as a checkpoint says it in JSON; `key` is that of `CheckpointKey`."""

    key: Mapping[str, object]
    epoch: int
    step: int
    losses: float
    seconds: float
    threads: int
    curve: Sequence[Mapping[str, Any]]


class Checkpointer:
    """Keeps a training's standing in `path` every `seconds`, and has the one that lies there.

    `say` hears a line of what was found, and of what could not be written: a training goes on without. `interrupted` says
    whether a training is to end once its standing is kept. Without `writes` it has what lies there, and keeps nothing.
    """

    def __init__(
        self,
        path: Path,
        key: CheckpointKey,
        say: Callable[[str], None],
        *,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        interrupted: Callable[[], bool] = lambda: False,
        writes: bool = True,
    ) -> None:
        self.path, self.interrupted, self._key, self._say, self._clock = path, interrupted, key, say, clock
        self._seconds = EVERY_SECONDS if seconds is None else seconds
        self._last, self._writes = clock(), writes
        self._found = self._read()

    @property
    def threads(self) -> int | None:
        """The torch threads of the training that lies there, without which it would not go on to the same bits."""
        return int(self._found[0]["threads"]) if self._found else None

    def restore(self, standing: TrainingState) -> None:
        """Put the training where it was."""
        if self._found is None:
            return
        about, tensors = self._found
        self._found = None
        try:
            check_tensors(tensors, dict(_weights(standing)), standing.optimizer, self._key.images)
        except DAMAGE as error:
            self._say_damaged(error)
            return
        with torch.no_grad():
            for name, tensor in _weights(standing):
                tensor.copy_(tensors[name])
            _restore_optimizer(standing.optimizer, tensors)
        standing.generator.set_state(tensors["generator"])
        standing.order = tensors["order"]
        standing.epoch, standing.step = about["epoch"], about["step"]
        standing.losses, standing.seconds = about["losses"], about["seconds"]
        standing.curve = [Epoch(**epoch) for epoch in about["curve"]]
        self._say(f"{self.path}: going on from epoch {standing.epoch + 1}, step {standing.step}")

    def keep(self, standing: TrainingState, *, ends: bool) -> None:
        """After a step: write, if it is time. Raises KeyboardInterrupt where the training `ends` here."""
        if not ends and self._clock() - self._last < self._seconds:
            return
        try:
            if self._writes:
                self._write(standing)
        except OSError as error:
            self._say(f"{self.path}: no checkpoint was written ({error.strerror}); the training goes on")
        self._last = self._clock()
        if ends:
            raise KeyboardInterrupt

    def _write(self, standing: TrainingState) -> None:
        """Whole or not at all: by a temporary name, fsync and rename."""
        about: StoredProgress = {
            "key": asdict(self._key),
            "epoch": standing.epoch,
            "step": standing.step,
            "losses": standing.losses,
            "seconds": standing.seconds,
            "threads": torch.get_num_threads(),
            "curve": [asdict(epoch) for epoch in standing.curve],
        }
        text, tensors = json.dumps(about), _tensors(standing)
        content = save(tensors, metadata={"cspnas": text, "sha256": _checksum(text, tensors)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        put_whole(self.path, content, temporary_name(self.path))

    def _read(self) -> tuple[StoredProgress, Tensors] | None:
        """What lies there, if it is whole and of this very training."""
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            text = metadata.get("cspnas", "")
            if metadata.get("sha256") != _checksum(text, tensors):
                raise ValueError("its checksum does not agree")
            about: StoredProgress = json.loads(text)
            other = [name for name, value in asdict(self._key).items() if about["key"].get(name) != value]
            if not other:
                check_progress(about, self._key.epochs, self._key.steps)
        except DAMAGE as error:
            self._say_damaged(error)
            return None
        if other:
            self._say(f"{self.path}: the checkpoint is another training's ({', '.join(other)} differ); starting anew")
            return None
        return about, tensors

    def _say_damaged(self, error: Exception) -> None:
        reason = " ".join(str(error).split())[:200]
        self._say(f"{self.path}: the checkpoint is damaged ({reason}); the training starts anew")


@contextmanager
def kept_when_interrupted(keeper: Checkpointer | None) -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP end the training after its step, which is kept; without a `keeper` at once."""
    if keeper is None:
        yield
        return
    with interrupts() as seen:
        keeper.interrupted = lambda: bool(seen)
        yield
        if seen:
            raise KeyboardInterrupt


def kept_key(path: Path) -> CheckpointKey | None:
    """The key of the training whose checkpoint lies there; None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            return CheckpointKey(**json.loads((file.metadata() or {})["cspnas"])["key"])
    except (SafetensorError, OSError, ValueError, LookupError, TypeError):
        return None


def _tensors(standing: TrainingState) -> Tensors:
    found = dict(_weights(standing))
    for number, parameter in enumerate(standing.optimizer.param_groups[0]["params"]):
        for name, value in standing.optimizer.state[parameter].items():
            if isinstance(value, Tensor):
                found[f"optimizer.{number}.{name}"] = value
    assert standing.order is not None
    found |= {"generator": standing.generator.get_state(), "order": standing.order}
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in found.items()}


def _weights(standing: TrainingState) -> Iterator[tuple[str, Tensor]]:
    """Of the network, and the averaged ones."""
    for prefix, module in (("network", standing.network), ("averaged", standing.averaged)):
        for name, tensor in module.state_dict().items() if module is not None else ():
            yield f"{prefix}.{name}", tensor


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    parameters = optimizer.param_groups[0]["params"]
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            parameter = parameters[int(number)]
            # A count of steps is a number of its own; means of gradients lie in memory as the weights do.
            like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
            optimizer.state[parameter][name] = like.copy_(value).detach()


def _checksum(text: str, tensors: Tensors) -> str:
    """sha256 of everything in the file."""
    found = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


_CODE = (
    *("data/datasets", "network/operations"),
    *(
        f"training/{name}"
        for name in (
            *("augmentation", "batches", "checkpoint", "functions", "module"),
            *("optimization", "processes", "recipe", "streamed_batches", "train"),
        )
    ),
)


def _code_digest() -> str:
    """sha256 of the source that a training runs through."""
    package = Path(__file__).parent.parent
    sources = [(package / f"{module}.py").read_bytes() for module in _CODE]
    return hashlib.sha256(b"\0".join(sources)).hexdigest()
