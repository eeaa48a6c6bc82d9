"""What the accuracy table says by itself: how far one seed, or an earlier epoch, ranks networks as another does, and what CSP
does to accuracy at equal FLOPs.

    python benchmarks/accuracy_table/report.py
"""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import kendalltau
from table import Row, load

BOOTSTRAPS = 2000


def report(rows: list[Row], provenance: dict[str, Any]) -> dict[str, Any]:
    """All figures as plain data; accuracies and effects in points (hundredths)."""
    repeated = [row for row in rows if len(row.accuracies) > 1]
    deviations = [np.var(row.accuracies, ddof=1) for row in repeated]
    return {
        "networks": len(rows),
        "networks_with_several_seeds": len(repeated),
        "device": provenance["device"],
        "versions": provenance["versions"],
        "accuracy_points": _spread([100 * row.accuracies[0] for row in rows]),
        "seed_deviation_points": float(100 * np.sqrt(np.mean(deviations))) if repeated else None,
        "seed_to_seed_tau": seed_tau(repeated),
        "seed_to_seed_tau_top_fifth": seed_tau(repeated, 0.2),
        "epoch_tau_with_last": epoch_taus(rows),
        "main_effects_at_equal_flops_points": _effects(rows, *_switches(rows)),
        "effects_at_equal_flops_points": _effects(rows, *_wirings(rows)),
    }


def _spread(values: list[float]) -> dict[str, float]:
    low, median, high = np.percentile(values, [0, 50, 100])
    return {"least": float(low), "median": float(median), "greatest": float(high)}


def seed_tau(rows: list[Row], share: float = 1.0) -> dict[str, float] | None:
    """Mean Kendall tau over the pairs of seeds, with a 95 % bootstrap interval over networks.

    With a `share` below 1: over the pairs among the best of them by a third seed, mean over the thirds. (By the pair's own
    mean it would be biased: what is chosen for a high sum of two has a low second where the first is high.)
    """
    count = min((len(row.accuracies) for row in rows), default=0)
    if len(rows) < 5 or count < (2 if share == 1 else 3):
        return None
    values = np.array([row.accuracies[:count] for row in rows])
    rng = np.random.default_rng(0)
    draws = [_pairs_tau(values[rng.integers(len(values), size=len(values))], share) for _ in range(BOOTSTRAPS // 10)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    networks = round(share * len(rows))
    return {"tau": _pairs_tau(values, share), "low": float(low), "high": float(high), "networks": networks}


def _pairs_tau(values: np.ndarray, share: float) -> float:
    """Of accuracies (networks, seeds)."""
    best, found = round(share * len(values)), []
    for first, second in combinations(range(values.shape[1]), 2):
        for by in (first,) if share == 1 else set(range(values.shape[1])) - {first, second}:
            kept = values[np.argsort(-values[:, by], kind="stable")[:best]]
            found.append(kendalltau(kept[:, first], kept[:, second]).statistic)
    return float(np.mean(found))


def epoch_taus(rows: list[Row]) -> list[float]:
    """Kendall tau between the accuracy after each epoch and the last one's, first seeds."""
    curves = np.array([row.curves[0] for row in rows])
    return [float(kendalltau(curves[:, epoch], curves[:, -1]).statistic) for epoch in range(curves.shape[1])]


def _effects(rows: list[Row], names: list[str], columns: np.ndarray) -> dict[str, dict[str, float]]:
    """Points of accuracy that each column adds at equal FLOPs: a linear model with cubic log FLOPs, 95 % intervals by a
    bootstrap over networks.
    """
    logs = np.log([row.costs["flops"] for row in rows])
    centred = (logs - logs.mean()) / logs.std()
    design = np.column_stack([np.ones(len(rows)), centred, centred**2, centred**3, columns])
    accuracy = 100 * np.array([np.mean(row.accuracies) for row in rows])
    rng, draws = np.random.default_rng(0), []
    for _ in range(BOOTSTRAPS):
        sample = rng.integers(len(rows), size=len(rows))
        draws.append(np.linalg.lstsq(design[sample], accuracy[sample], rcond=None)[0][4:])
    fitted = np.linalg.lstsq(design, accuracy, rcond=None)[0][4:]
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return {
        name: {"points": float(fitted[index]), "low": float(low[index]), "high": float(high[index])}
        for index, name in enumerate(names)
    }


def _switches(rows: list[Row]) -> tuple[list[str], np.ndarray]:
    """CSP in each stage (fusion first, split ratio .5) against plain; other ratios and fusions against those, for each stage
    that has them.
    """
    names = [
        "stage1 CSP",
        "stage2 CSP",
        "stage3 CSP",
        "split ratio 0.25",
        "split ratio 0.75",
        "fusion last",
        "fusion both",
    ]
    table = []
    for row in rows:
        stages = _genes(row)
        csp = [stage for stage in stages if stage["csp"]]
        ratios = [sum(stage["split_ratio"] == ratio for stage in csp) for ratio in (0.25, 0.75)]
        fusions = [sum(stage["fusion"] == fusion for stage in csp) for fusion in ("last", "both")]
        table.append([float(value) for value in (*(stage["csp"] for stage in stages), *ratios, *fusions)])
    return names, np.array(table)


def _wirings(rows: list[Row]) -> tuple[list[str], np.ndarray]:
    """A column for each stage, fusion and split ratio: 1 where the stage is wired so; plain is the base."""
    wirings = [[_wiring(stage) for stage in _genes(row)] for row in rows]
    names = sorted({f"stage{number}.{w}" for one in wirings for number, w in enumerate(one, 1) if w != "plain"})
    table = [[float(one[int(name[5]) - 1] == name.split(".", 1)[1]) for name in names] for one in wirings]
    return names, np.array(table)


def _genes(row: Row) -> list[dict[str, Any]]:
    stages: dict[str, dict[str, Any]] = {}
    for name, value in row.genotype.items():
        stage, _, gene = name.partition(".")
        stages.setdefault(stage, {})[gene] = value
    return [stages[stage] for stage in sorted(stages)]


def _wiring(stage: dict[str, Any]) -> str:
    return f"{stage['fusion']} {stage['split_ratio']:g}" if stage.get("csp") else "plain"


if __name__ == "__main__":
    print(json.dumps(report(*load()), indent=2))
