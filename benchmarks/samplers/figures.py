"""The comparison as a table and a plot: regret against trainings, trainings to a regret, ratios with intervals."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go

LEVELS = (0.05, 0.02)
AT = (20, 50, 100, 200)  # trainings at which regrets are listed
BOOTSTRAPS = 10_000
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")


def write(folder: Path) -> None:
    """`samplers.md` and `samplers.png` beside the results in `folder`; the table is printed too."""
    documents = [json.loads(file.read_text()) for file in sorted(folder.glob("*-*.json"))]
    lines = [
        "| Method | Workers | Seeds | " + " | ".join(f"regret at {n}" for n in AT),
        "|---|--:|--:|" + "---|" * len(AT),
    ]
    lines[0] += " | " + " | ".join(f"trainings to {level}" for level in LEVELS) + " | CPU ms a training |"
    lines[1] += "---|" * len(LEVELS) + "--:|"
    lines += [_line(document) for document in documents]
    best = {d["method"]: d for d in documents if d["workers"] == 1}
    lines += [
        "",
        *_ratios(best),
        "",
        f"Truth: {json.dumps(documents[0]['truth'])}",
        f"Machine: {json.dumps(documents[0]['machine'])}",
    ]
    text = "\n".join(lines) + "\n"
    (folder / "samplers.md").write_text(text)
    print(text)
    picture(plot(best), folder / "samplers.png")


def picture(figure: go.Figure, file: Path) -> None:
    """A PNG of a figure, drawn by Chromium."""
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "figure.html"
        figure.write_html(page, include_plotlyjs=True)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
        flags += [f"--user-data-dir={scratch}/profile", "--window-size=1000,600", "--virtual-time-budget=5000"]
        command = ["chromium", *flags, f"--screenshot={file}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


def curves(document: dict[str, Any]) -> dict[str, dict[int, float]]:
    """Of each seed: trainings to regret."""
    return {seed: {int(n): value for n, value in run["curve"]} for seed, run in document["runs"].items()}


def trainings_to(curve: dict[int, float], level: float) -> float:
    """The least number of trainings after which the regret stays at or below `level`; infinite where it never does."""
    reached = float("inf")
    for n in sorted(curve, reverse=True):
        if curve[n] > level:
            break
        reached = n
    return reached


def _line(document: dict[str, Any]) -> str:
    found = list(curves(document).values())
    cells = [document["method"], str(document["workers"]), str(len(found))]
    cells += [_spread([c[n] for c in found if n in c], "{:.4f}") for n in AT]
    cells += [_spread([trainings_to(c, level) for c in found], "{:.0f}") for level in LEVELS]
    cpu = np.median([run["cpu_seconds_per_training"] for run in document["runs"].values()])
    return "| " + " | ".join([*cells, f"{1000 * cpu:.0f}"]) + " |"


def _spread(values: list[float], form: str) -> str:
    """Median (quartiles); never reached sorts last."""
    if not values:
        return "-"
    ordered = np.sort(values)
    shown = [form.format(ordered[round(share * (len(ordered) - 1))]) for share in (0.5, 0.25, 0.75)]
    return f"{shown[0]} ({shown[1]}-{shown[2]})".replace("inf", "never")


def _ratios(documents: dict[str, dict[str, Any]]) -> list[str]:
    """Cost-aware's median trainings over each peer's, paired by seed, with a 95 % bootstrap interval."""
    if "cost-aware" not in documents:
        return []
    ours, lines, rng = curves(documents["cost-aware"]), [], np.random.default_rng(0)
    for name, document in documents.items():
        theirs = curves(document)
        seeds = sorted(ours.keys() & theirs.keys(), key=int)
        for level in LEVELS if name != "cost-aware" else ():
            pairs = np.array([[trainings_to(c[s], level) for c in (ours, theirs)] for s in seeds])
            last = max(max(theirs[s]) for s in seeds)
            pairs[:, 1] = np.minimum(pairs[:, 1], last)  # never: at least the whole budget, which favours the peer
            draws = np.median(pairs[rng.integers(len(pairs), size=(BOOTSTRAPS, len(pairs)))], axis=1)
            ratio = np.median(pairs, axis=0)
            low, high = np.percentile(draws[:, 0] / draws[:, 1], [2.5, 97.5])
            lines.append(
                f"- to {level}: {ratio[0] / ratio[1]:.2f} of {name}'s trainings (95 % interval {low:.2f}-{high:.2f}, "
                f"{len(seeds)} seeds)"
            )
    return lines


def plot(documents: dict[str, dict[str, Any]]) -> go.Figure:
    """Median regret against trainings, quartiles shaded."""
    figure = go.Figure()
    for (name, document), colour in zip(documents.items(), COLOURS, strict=False):
        found = list(curves(document).values())
        steps = sorted(set.intersection(*(set(c) for c in found)))
        low, median, high = np.percentile([[c[n] for n in steps] for c in found], [25, 50, 75], axis=0)
        figure.add_scatter(
            x=steps, y=median, name=name, line={"color": colour, "width": 3 if name == "cost-aware" else 1.5}
        )
        figure.add_scatter(
            x=[*steps, *steps[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor=colour,
            opacity=0.15,
            line={"width": 0},
            showlegend=False,
            hoverinfo="skip",
        )
    figure.update_layout(template="plotly_white", xaxis_title="trainings", yaxis_title="hypervolume regret")
    figure.update_yaxes(type="log")
    return figure
