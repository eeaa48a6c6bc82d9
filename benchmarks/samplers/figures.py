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
AT = (10, 20, 50, 100, 200)  # trainings at which regrets are listed
BOOTSTRAPS = 10_000
LEAST = 1e-5  # a regret below it is drawn and compared as this one
NEVER = 1e9  # trainings; a percentile between a number and it is as far away as it is
COLOURS = {
    "cost-aware": "#0072b2",
    "costs-only": "#56b4e9",
    "botorch": "#d55e00",
    "gp": "#009e73",
    "tpe": "#cc79a7",
    "tpe-categorical": "#882255",
    "nsga2": "#e69f00",
    "nsga3": "#a6761d",
    "random": "#999999",
}
IMAGES = Path(__file__).parents[2] / "docs" / "images"
TITLES = {"rows": "On the table's rows alone", "model": "On the whole space, by a model of the table"}
PICTURES = {"rows": "samplers.png", "model": "samplers_whole_space.png"}


def write(folder: Path) -> None:
    """`samplers.md` beside the results in `folder`, which is printed too, and a picture of each truth for the readme."""
    found = [json.loads(file.read_text()) for file in sorted(folder.glob("*-*-*.json"))]
    parts = []
    for kind, title in TITLES.items():
        documents = [document for document in found if document["kind"] == kind]
        if documents:
            parts.append("\n".join([f"## {title}", "", *_section(documents)]))
            best = {d["method"]: d for d in documents if d["workers"] == 1}
            picture(plot(best), IMAGES / PICTURES[kind])
    text = "\n\n".join(parts) + "\n"
    (folder / "samplers.md").write_text(text)
    print(text)


def _section(documents: list[dict[str, Any]]) -> list[str]:
    """Of one truth: a line a method and number of workers, then the comparisons."""
    columns = [f"regret at {n}" for n in AT] + [f"trainings to {level}" for level in LEVELS] + ["CPU ms a training"]
    best = {d["method"]: d for d in documents if d["workers"] == 1}
    runs = [run.get("machine", document["machine"]) for document in documents for run in document["runs"].values()]
    machines = sorted({json.dumps(machine) for machine in runs})
    return [
        "| Method | Workers | Seeds | " + " | ".join(columns) + " |",
        "|---|--:|--:|" + "---|" * len(columns),
        *map(_line, documents),
        "",
        *_ratios(best),
        *_parallel(documents),
        "",
        f"Truth: {json.dumps(documents[0]['truth'])}",
        *(f"Machine: {machine}" for machine in machines),
    ]


def _parallel(documents: list[dict[str, Any]]) -> list[str]:
    """Cost-aware's median regret with several workers over one worker's, at equal trainings, paired by seed."""
    ours = {d["workers"]: curves(d) for d in documents if d["method"] == "cost-aware"}
    lines, rng = [], np.random.default_rng(0)
    for workers in sorted(ours.keys() - {1}):
        for n in AT[2:4]:
            seeds = [s for s in ours[workers] if n in ours[workers][s] and n in ours[1].get(s, {})]
            pairs = np.array([[ours[workers][s][n], ours[1][s][n]] for s in seeds])
            if len(pairs):
                lines.append(f"- {workers} workers: {_ratio(pairs, rng)} of one worker's regret at {n} trainings")
    return lines


def _ratio(pairs: np.ndarray, rng: np.random.Generator) -> str:
    """Of the medians of two columns, with a bootstrap interval over the rows."""
    pairs = np.maximum(pairs, LEAST)
    draws = np.median(pairs[rng.integers(len(pairs), size=(BOOTSTRAPS, len(pairs)))], axis=1)
    first, second = np.median(pairs, axis=0)
    low, high = np.percentile(draws[:, 0] / draws[:, 1], [2.5, 97.5])
    return f"{first / second:.2f} (95 % interval {low:.2f}-{high:.2f}, {len(pairs)} seeds)"


def picture(figure: go.Figure, file: Path) -> None:
    """A PNG of a figure, drawn by Chromium."""
    with tempfile.TemporaryDirectory() as scratch:
        page = Path(scratch) / "figure.html"
        figure.write_html(page, include_plotlyjs=True, config={"displayModeBar": False})
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
    found = np.percentile(np.minimum(values, NEVER), [50, 25, 75])
    shown = ["never" if value > NEVER / 100 else form.format(value) for value in found]
    return f"{shown[0]} ({shown[1]}-{shown[2]})"


def _ratios(documents: dict[str, dict[str, Any]]) -> list[str]:
    """Cost-aware's median trainings, and regrets at equal trainings, over each peer's, paired by seed, with 95 % bootstrap
    intervals.
    """
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
            lines.append(f"- to {level}: {_ratio(pairs, rng)} of {name}'s trainings")
        for n in AT[2:4] if name != "cost-aware" else ():
            pairs = np.array([[c[s][n] for c in (ours, theirs)] for s in seeds])
            lines.append(f"- at {n} trainings: {_ratio(pairs, rng)} of {name}'s regret")
    return lines


def plot(documents: dict[str, dict[str, Any]]) -> go.Figure:
    """Median regret against trainings, quartiles shaded."""
    figure = go.Figure()
    for name, colour in COLOURS.items():
        if name not in documents:
            continue
        found = list(curves(documents[name]).values())
        steps = sorted(set.intersection(*(set(c) for c in found)))
        regrets = np.maximum([[c[n] for n in steps] for c in found], LEAST)
        low, median, high = np.percentile(regrets, [25, 50, 75], axis=0)
        figure.add_scatter(
            x=steps,
            y=median,
            name=name,
            mode="lines",
            line={"color": colour, "width": 3 if name == "cost-aware" else 1.5},
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
    figure.update_layout(template="plotly_white", width=960, height=560, margin={"t": 30, "b": 60})
    figure.update_layout(xaxis_title="trainings", yaxis_title="hypervolume regret, median and quartiles")
    figure.update_yaxes(type="log", tickvals=[digit * 10.0**power for power in (-4, -3, -2, -1) for digit in (1, 2, 5)])
    return figure
