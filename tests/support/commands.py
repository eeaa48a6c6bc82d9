"""`cspnas WORDS` in a process of its own, forked from one that has imported everything: that saves each command the CPU
seconds of its imports, and a test that starts many of them most of its time. All else is as if it were typed: `cli.main`
with its arguments, the environment of the test, output on file descriptors, signals, the exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image
from searches import PATIENCE, SPACE

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "commands",
        "psycopg",
        # By torch's optimizers, at their first.
        "torch._dynamo",
        "cspnas.cli.app",
        "cspnas.cli.search",
        "cspnas.data.datasets",
        "cspnas.training.evaluation",
        "cspnas.storage.optuna_projection",
        "cspnas.cli.progress",
        "cspnas.samplers.registry",
        "cspnas.samplers.ehvi",
        "cspnas.runners.local.runner",
        "cspnas.runners.run_loop",
        "cspnas.searching.outage",
        "cspnas.reports.summary_table",
        "cspnas.reports.summary",
    ]
)


def _main(folder: str, words: tuple[str, ...], environment: dict[str, str], outputs: list[str]) -> None:
    os.setsid()
    for descriptor, path in enumerate(outputs, start=1):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["cspnas", *words]
    sys.modules["__main__"] = ModuleType("__main__")  # or its workers would import the test runner
    from cspnas.cli.app import main

    main()


class Command:
    """Like `subprocess.Popen`: `returncode` is a signal's negative number where one ended it, None before the end."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._outputs = tempfile.TemporaryDirectory(prefix="cspnas-command-")
        paths = [f"{self._outputs.name}/{name}" for name in ("out", "err")]
        self._out, self._err = (Path(path) for path in paths)
        for path in (self._out, self._err):
            path.touch()
        self._process = FORKS.Process(target=_main, args=(str(folder), words, dict(os.environ), paths))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        self._read = 0

    @property
    def returncode(self) -> int | None:
        """At once."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """As the kernel sends it."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float) -> None:
        """Raises TimeoutExpired after `timeout` seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("cspnas", timeout, self.unread())

    def communicate(self, timeout: float) -> tuple[str, str]:
        """All of stdout, and of stderr what `until` has not given yet, once it has ended."""
        self.wait(timeout)
        return self._out.read_text(), self.unread()

    def unread(self) -> str:
        """Of stderr what is there and was not given yet, in whole lines where it has not ended."""
        text = self._err.read_bytes()[self._read :]
        text = text if self._process.exitcode is not None else text[: text.rfind(b"\n") + 1]
        self._read += len(text)
        return text.decode()

    def until(self, start: str) -> str:
        """Of stderr what was not given yet, up to the first line that begins with `start`, which is waited for."""
        deadline, seen = time.monotonic() + PATIENCE, ""
        while time.monotonic() < deadline:
            ended = self._process.exitcode is not None
            seen += self.unread()
            lines = seen.splitlines(keepends=True)
            for number, line in enumerate(lines):
                if line.startswith(start):
                    self._read -= len("".join(lines[number + 1 :]).encode())
                    return "".join(lines[: number + 1])
            if ended:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {start}: {seen}")

    def close(self) -> None:
        """Killed if it is still there."""
        if self._process.exitcode is None:
            self._process.kill()
        self._process.join()
        self._outputs.cleanup()


@contextmanager
def commands(folder: Path) -> Iterator[Callable[..., Command]]:
    """Starts commands in `folder`, where `tiny.yaml` is a space; whatever is left of them is killed at the end."""
    (folder / "tiny.yaml").write_text(SPACE)
    started: list[Command] = []

    def make(*words: str) -> Command:
        started.append(Command(folder, *words))
        return started[-1]

    yield make
    for command in started:
        command.close()


BRIEF = (
    *("search", "tiny.yaml", "--dataset", "folder:images", "--epochs", "10"),
    *("--sampler", "random", "--device", "cpu"),
)


@contextmanager
def searching(folder: Path) -> Iterator[Callable[..., Command]]:
    """Starts searches of `tiny.yaml` in `folder`, each training of about a CPU second. Their data are a few images and many
    epochs, and a sampler that models nothing: to unpack the packaged images, and to cost a pool of candidates, takes every
    search longer than two trainings, and faults are not about either.
    """
    draw_images(folder / "images", 1200, 28)
    with commands(folder) as make:
        yield lambda *words: make(*BRIEF, *words)


def draw_images(folder: Path, count: int, size: int) -> None:
    """So many gray images of random pixels in two classes."""
    for name in "01":
        (folder / name).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (count, size, size), np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / str(number % 2) / f"{number}.png", compress_level=0)
