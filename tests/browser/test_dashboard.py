"""optuna-dashboard on a study, in a real Chromium and by the HTTP interface that its page uses."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SPACE = """\
family: densenet
stem: {channels: 4, stride: 2}
stages:
  - {csp: [true, false], split_ratio: 0.5, fusion: [first, last, both], growth_rate: [2, 4], depth: [1, 2]}
  - {csp: [true, false], split_ratio: 0.5, fusion: [first, last, both], growth_rate: [4, 8], depth: [1, 2]}
proxy: {epochs: 2, batch_size: 250, precision: float32}
search: {sampler: random}
baselines: {widths: 1}
"""


def cspnas(*words: str) -> list[str]:
    return [sys.executable, "-m", "cspnas", *words]


def search(folder: Path, trials: int) -> None:
    command = cspnas("search", "small.yaml", "--trials", str(trials), "--workers", "2", "--device", "cpu")
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr


def front(folder: Path) -> set[str]:
    """The digests of `cspnas front`."""
    run = subprocess.run(cspnas("front", "small", "--json"), cwd=folder, capture_output=True, text=True, check=True)
    return {row["digest"] for row in json.loads(run.stdout)["front"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study `small`: 6 trainings."""
    path: Path = tmp_path_factory.mktemp("dashboard")
    (path / "small.yaml").write_text(SPACE)
    search(path, 6)
    return path


@contextlib.contextmanager
def dashboard(folder: Path) -> Iterator[str]:
    """The address that `cspnas dashboard` prints, while it serves."""
    command = cspnas("dashboard", "small", "--port", "0")
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[0]
        finally:
            process.terminate()


def ask(address: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """GET `address`, or PUT `body` to it."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        address, content, {"Content-Type": "application/json"}, method="GET" if body is None else "PUT"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        text = answer.read()
    return json.loads(text) if text else {}


def interface(address: str) -> str:
    """The study's address in the dashboard's HTTP interface."""
    return address.replace("/dashboard/studies/", "/api/studies/")


def best_digests(address: str) -> set[str]:
    """The digests of the trials that the dashboard calls best."""
    detail = ask(f"{interface(address)}?after=0")
    attributes = [{a["key"]: a["value"] for a in trial["user_attrs"]} for trial in detail["best_trials"]]
    return {found["digest"] for found in attributes}


def test_the_page_shows_the_study_with_its_metric_names_and_learning_curves(folder: Path, tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser is not None, "Chromium is missing: apt-get install -y chromium"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
    ]
    flags += [f"--user-data-dir={tmp_path}", "--virtual-time-budget=20000", "--dump-dom"]
    with dashboard(folder) as address:
        run = subprocess.run([browser, *flags, address], capture_output=True, text=True, timeout=150, check=False)
    for name in ("accuracy", "flops", "peak_memory", "Learning curves of the front"):
        assert name in run.stdout, run.stdout[-2000:] + run.stderr[-2000:]


def test_the_dashboards_best_trials_are_our_front(folder: Path) -> None:
    with dashboard(folder) as address:
        assert address.startswith("http://127.0.0.1:")
        assert ask(f"{interface(address)}?after=0")["objective_names"] == ["accuracy", "flops", "peak_memory"]
        assert best_digests(address) == front(folder)


def test_a_trials_intermediate_values_are_the_curve_of_its_trainings(folder: Path) -> None:
    """The mean over seeds after each epoch, read past cspnas from the tables."""
    query = (
        "select e.digest, epoch.key + 1, avg(epoch.value ->> 'accuracy') from cspnas_evaluations e, "
        "json_each(e.result, '$.curve') epoch group by e.digest, epoch.key order by epoch.key"
    )
    expected: dict[str, list[tuple[int, float]]] = {}
    with contextlib.closing(sqlite3.connect(folder / "studies" / "small.db")) as database:
        for digest, step, value in database.execute(query):
            expected.setdefault(digest, []).append((step, pytest.approx(value)))
    with dashboard(folder) as address:
        trials = ask(f"{interface(address)}?after=0")["trials"]
    found = {
        next(a["value"] for a in trial["user_attrs"] if a["key"] == "digest"): [
            (value["step"], value["value"]) for value in trial["intermediate_values"]
        ]
        for trial in trials
    }
    assert found == expected and {len(curve) for curve in found.values()} == {2}


def test_a_note_written_while_the_search_goes_on_harms_nothing(folder: Path, tmp_path: Path) -> None:
    own = shutil.copytree(folder, tmp_path / "copy")
    with dashboard(own) as address:
        running = subprocess.Popen(
            cspnas("search", "small.yaml", "--trials", "8", "--workers", "2", "--device", "cpu"),
            cwd=own,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        version = ask(f"{interface(address)}?after=0")["note"]["version"]
        while running.poll() is None:
            version += 1
            ask(f"{interface(address)}/note", {"version": version, "body": f"note {version}"})
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.wait(0.3)
        assert running.stderr is not None
        assert running.returncode == 0, running.stderr.read()
        running.stderr.close()
        detail = ask(f"{interface(address)}?after=0")
        assert detail["note"] == {"version": version, "body": f"note {version}"}
        assert version > 1  # written more than once
        assert best_digests(address) == front(own)
        trained = [a["value"] for trial in detail["trials"] for a in trial["user_attrs"] if a["key"] == "trainings"]
        assert sum(map(int, trained)) == 8
