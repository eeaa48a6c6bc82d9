"""One torch thread for every test, and the fixtures that several files share."""

from __future__ import annotations

import itertools
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
import torch
from hypothesis import settings
from servers import Server, server, urls_on

from cspnas.io import interrupts

pytest_plugins = ["driven"]  # the fixture `start`

torch.set_num_threads(1)

# Ray's workers are nice to all others (15), and would stand still beside two busy tests.
os.environ.setdefault("RAY_worker_niceness", "0")

# Commands that a test interrupts hear it, though the tests run in the background or under nohup.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)

# The same examples in every run, so that a failure is of the change at hand; HYPOTHESIS_PROFILE=explore draws new ones.
settings.register_profile("repeat", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))


@pytest.fixture
def rng() -> random.Random:
    """A generator that draws the same values in every run."""
    return random.Random(20191127)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Torch's own generator starts each test in the same state, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is one line however busy the machine is: no command tells what it is doing, but for `test_terminal.py`."""
    monkeypatch.setenv("CSPNAS_QUIET", "1")


@pytest.fixture(autouse=True)
def forgotten_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that one test sent is not why a command of the next one ends: each command has a process of its own."""
    monkeypatch.setattr(interrupts, "_heard", [])


@pytest.fixture(autouse=True)
def disposed_engines() -> Iterator[None]:
    """What a test leaves open in the pools of its databases is closed, as at the end of a process."""
    engines: dict[int, sa.Engine] = {}

    def note(connection: sa.Connection) -> None:
        engines[id(connection.engine)] = connection.engine

    sa.event.listen(sa.Engine, "engine_connect", note)
    yield
    sa.event.remove(sa.Engine, "engine_connect", note)
    for engine in engines.values():
        engine.dispose()


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Prepared images are kept among the tests' own files, for all processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    monkeypatch.setenv("CSPNAS_DATA", str(shared / "data"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of the session's own."""
    with server() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Makes the URL of a new, empty database: of a file, and on a real server."""
    if request.param == "postgresql":
        with urls_on(request.getfixturevalue("postgresql")) as make:
            yield make
        return
    count = itertools.count()
    yield lambda: f"sqlite:///{tmp_path / f'{next(count)}.db'}"


@pytest.fixture
def new_server_url(postgresql: Server) -> Iterator[Callable[[], str]]:
    """Makes the URL of a new, empty database on a real server."""
    with urls_on(postgresql) as make:
        yield make
