"""The unit of work: JSON in, JSON out. It knows no database, no sampler and no runner, so any runner can run it."""

from __future__ import annotations

import base64
import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
import torch

from cspnas.data import datasets
from cspnas.data.image_settings import ImageSettings
from cspnas.errors import CspnasError, FailureKind, TrainingError
from cspnas.io.code_version import code_version
from cspnas.io.interrupts import stop_asked
from cspnas.io.standard_streams import tell
from cspnas.network.cost import cost_of
from cspnas.network.serialization import architecture_from
from cspnas.network.wiring import wire
from cspnas.training.batches import InMemoryBatches
from cspnas.training.checkpoint import Checkpointer, checkpoint_key
from cspnas.training.latency import device_name
from cspnas.training.measurement import Trained, measured
from cspnas.training.memory_check import check_fits
from cspnas.training.module import NetworkModule, initialise
from cspnas.training.payload import ResultPayload, UnitOfWork
from cspnas.training.recipe import Recipe
from cspnas.training.streamed_batches import batches_of
from cspnas.training.train import Epoch, train_network


class Evaluator:
    """Evaluates units of work on one device; a data set is loaded once and stays there."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self._data: dict[tuple[str, ImageSettings], InMemoryBatches] = {}

    def __call__(self, work: UnitOfWork, progress: Callable[[Epoch], None] = lambda epoch: None) -> ResultPayload:
        """The result of `work`; a training that fails is a result with `failure` set, never an exception."""
        start = time.monotonic()
        result: ResultPayload = {"device": device_name(self.device), "versions": versions(), "failure": None}
        try:
            result |= self._train(work, progress)
        except TrainingError as error:
            result["failure"] = {"kind": error.kind, "message": str(error)}
        except Exception as error:  # noqa: BLE001 (the worker lives on; the last lines say where)
            # Into the worker's log.
            traceback.print_exception(error)
            lines = "".join(traceback.format_exception(error)[-3:])[-2000:]
            enough = not is_out_of_memory(error)
            result["failure"] = (
                {"kind": FailureKind.CRASHED, "message": lines}
                if enough
                else {"kind": FailureKind.OUT_OF_MEMORY, "message": str(error)}
            )
        if self.device.type == "cuda":
            # A training that is tried again alone needs what idle neighbours hold.
            torch.cuda.empty_cache()
        return result | {"seconds": time.monotonic() - start, "micro_batch": work.get("micro_batch")}

    def _train(self, work: UnitOfWork, progress: Callable[[Epoch], None]) -> ResultPayload:
        recipe = Recipe(**work["recipe"])
        graph = wire(architecture_from(work["architecture"]))
        micro_batch = work.get("micro_batch")
        images = micro_batch or recipe.batch_size
        check_fits(graph, images, self.device)
        network = NetworkModule(graph)
        initialise(network, work["seed"])
        data = self._data_on_device(recipe, work.get("data_checksum"), cost_of(graph).training_memory(images))
        keeper = None
        if work.get("checkpoint"):
            key = checkpoint_key(graph.digest(), data, recipe, work["seed"], micro_batch)
            keeper = Checkpointer(Path(work["checkpoint"]), key, _say, interrupted=stop_asked.is_set)
        trained = train_network(network, data, recipe, work["seed"], progress, micro_batch=micro_batch, keeper=keeper)
        values = measured(work.get("measures", {}), Trained(network, self.device, data, trained))
        curve = [asdict(epoch) for epoch in trained.curve]
        told = {"accuracy": trained.accuracy, **values, "curve": curve, "correct": pack_bits(trained.correct)}
        return cast("ResultPayload", told)

    def _data_on_device(self, recipe: Recipe, checksum: str | None, training: int) -> InMemoryBatches:
        """Raises TrainingError (bad data) where they cannot be read or are not those of `checksum`; then read anew.

        Images that leave a GPU no room for `training`, in bytes, are streamed from now on.
        """
        name, key = recipe.dataset, (recipe.dataset, recipe.images)
        if key in self._data and not self._data[key].leaves_room(training):
            del self._data[key]
        if key not in self._data:
            try:
                found = datasets.load(name, recipe.images)
            except CspnasError as error:
                raise TrainingError(FailureKind.BAD_DATA, str(error)) from None
            if checksum not in (None, found.checksum):
                raise TrainingError(FailureKind.BAD_DATA, str(datasets.changed(name, found.checksum, checksum)))
            self._data[key] = batches_of(found, self.device, training)(found, self.device)
        return self._data[key]


def _say(text: str) -> None:
    """Into the worker's log."""
    tell(text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice; torch's allocator on the CPU says so by a plain RuntimeError."""
    signs = ("can't allocate memory", "not enough memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs)
    )


def versions() -> dict[str, str]:
    """What made a result: the code (version, digest, commit), torch and Python."""
    return {**code_version(), "torch": torch.__version__, "python": platform.python_version()}


def pack_bits(correct: np.ndarray) -> str:
    """Booleans as base64 of their packed bits, preceded by their count: `N:...`."""
    return f"{len(correct)}:{base64.b64encode(np.packbits(correct).tobytes()).decode()}"


def unpack_bits(text: str) -> np.ndarray:
    """The booleans of `pack_bits`."""
    count, _, packed = text.partition(":")
    bits = np.unpackbits(np.frombuffer(base64.b64decode(packed), np.uint8))
    return bits[: int(count)].astype(bool)
