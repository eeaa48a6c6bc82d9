"""The page of `cspnas front --plot`, drawn by a real Chromium without any network."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

from cspnas.reports.front_plot import front_page
from cspnas.reports.summary import NetworkSummary, StudySummary, network_class

SAID = {*(field.name for field in fields(NetworkSummary)), "wiring"}


def row(number: int) -> NetworkSummary:
    """A made-up network: the more parameters the more accurate, but for every third."""
    known = {"params": 1000 * (number + 1), "latency_seconds": 1e-4 * (number + 1)}
    return network_class()(
        trial=number,
        digest=f"{number:064x}",
        source="random",
        accuracy=0.5 + number / 1000 - (0.1 if number % 3 else 0.0),
        accuracy_standard_error=0.01,
        seeds=1,
        knee=number == 30,
        wiring="1x2 | 2x8",
        **{field.name: known.get(field.name) for field in fields(network_class()) if field.name not in SAID},
    )


def test_the_browser_draws_every_network_in_every_view(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser is not None, "Chromium is missing: apt-get install -y chromium"
    networks = [row(number) for number in range(60)]
    front = networks[::3]
    summary = StudySummary(
        study="made up",
        family="densenet",
        objectives=["accuracy", "params", "latency"],
        trainings=60,
        in_flight=0,
        networks=60,
        confirmations=0,
        failed=0,
        failures=[],
        suggestions={},
        hypervolume=0.5,
        front=front,
        front_confirmed=0,
        baselines={"plain": networks[:2], "csp": []},
        seed_standard_deviation=None,
        seed_degrees_of_freedom=0,
        confirmed_networks=0,
        seed_networks=0,
        between_network_standard_deviation=None,
        won_at_equal_flops={},
    )
    page = tmp_path / "front.html"
    page.write_text(front_page(summary, networks))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000", "--dump-dom"]
    run = subprocess.run([browser, *flags, page.as_uri()], capture_output=True, text=True, timeout=150, check=False)
    drawn = run.stdout[run.stdout.rindex("<svg", 0, run.stdout.index('class="scatterlayer')) :]
    # In both views: 60 networks, 20 of the front, its knee, 2 of the plain baseline.
    assert len(re.findall(r'<path class="point', drawn)) == 2 * (60 + 20 + 1 + 2)
    for title in (
        "trainable parameters, log scale",
        "latency of one inference (seconds), log scale",
        "validation accuracy",
    ):
        assert f">{title}</text>" in drawn
