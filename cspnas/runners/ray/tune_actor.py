"""The actor in which Ray Tune's loop runs, on the search's own machine where that is a node of the cluster."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
import traceback
from pathlib import Path
from queue import Empty
from typing import Any

from ray import tune
from ray.air.execution._internal import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError

from cspnas.runners.ray.capacity import Slots
from cspnas.runners.ray.messages import MAIL, Beginning, Event, Events, MailSearcher, Stopped, Training
from cspnas.runners.ray.worker import Home, train_unit
from cspnas.runners.worker_log import print_to
from cspnas.training.payload import Failure

# A killed search loses no more of Tune's logs than this.
SYNC_SECONDS = 60


class Loop:
    """`fit` in one thread of this actor; the other methods are called while it runs."""

    def __init__(self, folder: str | None, name: str) -> None:
        """Tune keeps its files in `folder`/`name`; in a temporary folder to be fetched where `folder` is None."""
        self._folder = Path(folder or tempfile.mkdtemp(prefix="cspnas-"))
        self._name = name
        (self._folder / name).mkdir(parents=True, exist_ok=True)
        print_to(self._folder / name / "tune.log")

    def give(self, training: Training) -> None:
        """One more training."""
        MAIL.units.put(training)

    def cancel(self, ticket: str, failure: Failure) -> None:
        """Kill the worker of a training, which fails of this."""
        MAIL.cancel(ticket, failure)

    def began(self, ticket: str, about: Beginning) -> bytes | None:
        """A worker says that it begins; the checkpoint to go on from, where it needs the bytes."""
        return MAIL.began(ticket, about)

    def kept(self, ticket: str, content: bytes) -> None:
        """A worker without the study's folder sends where its training stands."""
        MAIL.events.put(("kept", ticket, content))

    def close(self) -> None:
        """No more trainings: `fit` returns."""
        MAIL.units.put(None)

    def stop(self) -> None:
        """Cut the trainings short: `fit` returns in a moment."""
        MAIL.stopped = True

    def events(self, seconds: float) -> list[Event]:
        """What happened since the last call; waits for at most `seconds` where nothing did."""
        found: list[Event] = []
        try:
            found.append(MAIL.events.get(timeout=seconds))
            while True:
                found.append(MAIL.events.get_nowait())
        except Empty:
            return found

    def fit(self, slots: Slots, home: Home) -> None:
        """Run Tune until closed or stopped; anything else that ends it is an event."""
        survive_any_death()
        try:
            self._tuner(slots, home).fit()
        except Stopped:
            if MAIL.staging is not None:
                shutil.copytree(MAIL.staging, self._folder / self._name, dirs_exist_ok=True)
        except Exception:  # noqa: BLE001 (whatever ends Tune, the search is told)
            MAIL.events.put(("ended", "", traceback.format_exc()[-2000:]))

    def _tuner(self, slots: Slots, home: Home) -> tune.Tuner:
        evaluator, device = slots.evaluator, slots.device

        def trainable(config: dict[str, str]) -> None:
            train_unit(config, evaluator, device, home)

        def ticket(trial: Any) -> str:
            return MAIL.trainings[trial.trial_id].ticket

        resources = {"cpu": 1, "gpu": slots.gpu_share}
        return tune.Tuner(
            tune.with_resources(trainable, resources),
            tune_config=tune.TuneConfig(
                search_alg=MailSearcher(),
                num_samples=-1,
                max_concurrent_trials=slots.count,
                reuse_actors=True,
                trial_name_creator=ticket,
                trial_dirname_creator=ticket,
            ),
            run_config=tune.RunConfig(
                name=self._name,
                storage_path=str(self._folder),
                callbacks=[Events()],
                sync_config=tune.SyncConfig(sync_period=SYNC_SECONDS),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                verbose=1,
            ),
        )

    def packed(self) -> bytes:
        """All of Tune's files as a tar archive, and gone here: for a search that is on none of the cluster's machines."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.add(self._folder / self._name, arcname=self._name)
        shutil.rmtree(self._folder)
        return buffer.getvalue()


def survive_any_death() -> None:
    """Have Tune take a worker that Ray killed for want of memory as any other dead one: it knows only RayActorError
    (2.60), and everything else ends its loop with all trainings.
    """
    known = RayActorManager._actor_task_failed

    def failed(self: RayActorManager, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
            exception = RayActorError(error_msg=f"{type(exception).__name__}: {exception}")
        known(self, tracked_actor_task, exception)

    setattr(RayActorManager, "_actor_task_failed", failed)  # noqa: B010 (an assignment to a method)
