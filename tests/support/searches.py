"""Whole searches as processes, in a folder of their own: what the tests that kill and interrupt share."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SPACE = """
family: densenet
stem: {channels: 4, stride: 4}
stages:
  - csp: [true, false]
    split_ratio: 0.5
    fusion: [first, both]
    growth_rate: [2, 3, 4, 5]
    depth: 1
    bottleneck_ratio: 1
    compression: 1
objectives: [accuracy, flops]
baselines: {widths: 1}
proxy: {precision: float32}
"""
PATIENCE = 180.0  # seconds for one search to reach what is waited for, on a busy machine
Search = subprocess.Popen[str]


@contextmanager
def searching(folder: Path) -> Iterator[Callable[..., Search]]:
    """Starts searches of `tiny.yaml` in `folder`; whatever is left of them is killed at the end."""
    (folder / "tiny.yaml").write_text(SPACE)
    started: list[Search] = []

    def make(*arguments: str) -> Search:
        command = [sys.executable, "-m", "cspnas", "search", "tiny.yaml", "--device", "cpu", *arguments]
        pipe = subprocess.PIPE
        started.append(
            subprocess.Popen(command, cwd=folder, start_new_session=True, stdout=pipe, stderr=pipe, text=True)
        )
        return started[-1]

    yield make
    for search in started:
        if search.poll() is None:
            search.kill()
        search.communicate()


def until(search: Search, text: str) -> str:
    """All of stderr up to the first line that begins with `text`; a search that takes too long is killed."""
    assert search.stderr is not None
    timer = threading.Timer(PATIENCE, search.kill)
    timer.start()
    seen = ""
    try:
        for line in search.stderr:
            seen += line
            if line.startswith(text):
                return seen
    finally:
        timer.cancel()
    raise AssertionError(f"no {text}: {seen}")
