"""The learning curves of one training as TensorBoard shows them: a file of events in a folder of its own.

It is written event by event and not through torch's `SummaryWriter`: that one writes in a thread, and prints a traceback
where the disk is full.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.errors import InputError, one_line
from cspnas.io.extras import check_extra
from cspnas.storage.locations import expanded
from cspnas.training.optimization import learning_rate
from cspnas.training.recipe import Recipe

if TYPE_CHECKING:
    from cspnas.training.train import Epoch

_FLAG = "--tensorboard"


def checked_log_folder(text: str | Path) -> Path:
    """The folder `text`, with `~` expanded; it need not exist.

    Raises InputError where TensorBoard is not installed, or the folder cannot be made or written into. Writes nothing.
    """
    check_extra("tensorboard", ("tensorboard",), purpose="tensorboard, for learning curves", where=_FLAG)
    folder = Path(expanded(str(text)))
    found = _obstacle(folder) if str(text) else "no path"
    if found:
        hint = "choose a folder that can be written"
        raise InputError(found, expected="a folder", where=f"{_FLAG} {text}".rstrip(), hint=hint)
    return folder


def _obstacle(folder: Path) -> str:
    """Why nothing can be written into `folder`, made first where it is not there; empty where it can."""
    try:
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    except OSError as error:
        return str(error.strerror)
    if not nearest.is_dir():
        return "a file"
    return "" if os.access(nearest, os.W_OK | os.X_OK) else "no permission to write"


class TensorBoardLog:
    """Hears of every epoch of a training of `steps` an epoch and `images` training images; no `folder`: writes nothing.

    Each start writes all epochs anew, those first that a checkpoint knows: TensorBoard hides what an earlier start wrote.
    What cannot be written is said once, by `say`, and the training goes on without.
    """

    def __init__(
        self, folder: Path | None, recipe: Recipe, steps: int, images: int, say: Callable[[str], None]
    ) -> None:
        self._recipe, self._steps, self._images, self._say = recipe, steps, images, say
        self._epochs, self._silent, self._folder = 0, folder is None, folder or Path()
        # As TensorBoard names and sorts them, with nanoseconds: a second start is another file, and a later one.
        seconds, fraction = divmod(time.time_ns(), 10**9)
        self._file = (
            self._folder / f"events.out.tfevents.{seconds:010}.{fraction:09}.{socket.gethostname()}.{os.getpid()}"
        )
        self._write(file_version="brain.Event:2")
        self._write(step=1, session_log={"status": "START"})

    def epoch(self, epoch: Epoch) -> None:
        """One more is done. Its `images_per_second` are training images; the seconds are those of validation, too."""
        self._epochs += 1
        step = self._epochs * self._steps - 1
        validation = {} if epoch.validation_loss is None else {"loss/validation": epoch.validation_loss}
        self._scalars(
            self._epochs,
            {
                "loss/train": epoch.loss,
                **validation,
                "accuracy/validation": epoch.accuracy,
                "learning_rate": learning_rate(step, self._recipe.epochs * self._steps, self._recipe),
                "images_per_second": self._images / max(epoch.seconds, 1e-9),
            },
        )

    def end(self, settings: Mapping[str, Any], results: Mapping[str, float | None]) -> None:
        """The training ended: its `settings` as hyperparameters, beside its `results`, fractions."""
        plain = {key: value if isinstance(value, bool | int | float) else str(value) for key, value in settings.items()}
        known = {f"final/{name}": value for name, value in results.items() if value is not None}
        if self._silent:
            return
        with self._harmless():
            # Of the package's own `api`, which names these, the import fails without TensorFlow.
            from tensorboard.plugins.hparams.summary_v2 import HParam, Metric, hparams_config_pb, hparams_pb

            self._write(summary=hparams_config_pb([HParam(name) for name in plain], [Metric(tag) for tag in known]))
            self._write(summary=hparams_pb(plain))
        self._scalars(self._epochs, known)

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        for tag, value in values.items():
            self._write(step=step, summary={"value": [{"tag": tag, "simple_value": value}]})

    def _write(self, **fields: Any) -> None:
        """One event, in the file when this returns: whoever watches sees it at once."""
        if self._silent:
            return
        with self._harmless():
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.summary.writer.record_writer import RecordWriter

            self._folder.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                RecordWriter(file).write(Event(wall_time=time.time(), **fields).SerializeToString())

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 (whatever it is, hours of training are worth more)
            reason = getattr(error, "strerror", None) or one_line(str(error))
            if not self._silent:
                self._say(f"{self._file}: no learning curves are written any more ({reason}); the training goes on")
            self._silent = True
