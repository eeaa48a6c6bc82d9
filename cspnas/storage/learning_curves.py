"""Learning curves of networks: validation accuracy after each epoch, the mean over seeds, as a network's accuracy is."""

from __future__ import annotations

from collections import defaultdict
from math import fsum
from typing import Any

from cspnas.storage.database import Database

# Digest -> epoch, counted from 1 -> accuracy, a fraction.
Curves = dict[str, dict[int, float]]
# Networks that one query names; for more it reads all of the study.
NETWORKS_PER_QUERY = 500


def learning_curves(database: Database, study_id: int, digests: list[str]) -> Curves:
    """Of the networks that have one: what another program put in the place of a curve is none."""
    found: dict[str, list[list[float]]] = defaultdict(list)
    for row in database.curves(study_id, digests if len(digests) <= NETWORKS_PER_QUERY else None):
        found[row["digest"]].append(_accuracies(row["curve"]))
    return {digest: _mean(curves) for digest, curves in found.items() if all(curves)}


def _mean(curves: list[list[float]]) -> dict[int, float]:
    # All of a study have as many.
    epochs = zip(*curves, strict=False)
    return {epoch: fsum(values) / len(values) for epoch, values in enumerate(epochs, start=1)}


def _accuracies(curve: Any) -> list[float]:
    entries = curve if isinstance(curve, list) else []
    values = [entry.get("accuracy") if isinstance(entry, dict) else None for entry in entries]
    return [value for value in values if isinstance(value, float)] if None not in values else []
