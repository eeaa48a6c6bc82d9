"""The page of `cspnas front --plot`, drawn by a real Chromium without any network."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from cspnas.reports.front_plot import front_page


def row(number: int) -> dict[str, Any]:
    """A made-up network: the more parameters the more accurate, but for every third."""
    return {
        "trial": number,
        "digest": f"{number:064x}",
        "accuracy": 0.5 + number / 1000 - (0.1 if number % 3 else 0.0),
        "accuracy_standard_error": 0.01,
        "seeds": 1,
        "knee": number == 30,
        "params": 1000 * (number + 1),
        "latency_seconds": 1e-4 * (number + 1),
        "wiring": "1x2 | 2x8",
    }


def test_the_browser_draws_every_network_in_every_view(tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser is not None, "Chromium is missing: apt-get install -y chromium"
    networks = [row(number) for number in range(60)]
    front = networks[::3]
    summary = {
        "study": "made up",
        "objectives": ["accuracy", "params", "latency"],
        "trainings": 60,
        "front": front,
        "baselines": {"plain": networks[:2], "csp": []},
    }
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
