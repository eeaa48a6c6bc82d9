"""Taking an architecture away from a study: a document that carries all that is needed to use it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cspnas.storage.engine import undamaged
from cspnas.storage.open_study import OpenStudy
from cspnas.study.results import NetworkRecord


def take_away(opened: OpenStudy, network: NetworkRecord) -> dict[str, Any]:
    """The parts of an exported file beside the architecture: costs, what was measured, data, recipe, origin.

    Raises StorageError where the study is damaged.
    """
    with undamaged(opened.database.shown_url):
        return _parts(opened, network)


def _parts(opened: OpenStudy, network: NetworkRecord) -> dict[str, Any]:
    error = opened.ledger.standard_error(network)
    recipe = {
        key.removeprefix("proxy."): value for key, value in opened.row["identity"].items() if key.startswith("proxy.")
    }
    recipe["precision"] = opened.row["facts"]["precision"]
    from cspnas.version import __version__

    return {
        "digest": network.digest,
        "costs": network.costs,
        "measured": {
            "accuracy": network.accuracy,
            "accuracy_standard_error": None if np.isnan(error) else float(error),
            "seeds": len(network.accuracies),
            "accuracies": network.accuracies,
            **_latency(opened, network),
            "epochs": recipe["epochs"],
        },
        "data": opened.row["facts"]["data"],
        "recipe": recipe,
        "made_by": {
            "cspnas": __version__,
            "study": opened.name,
            "trial": opened.ledger.trials.get(network.digest),
            "space": opened.row["facts"]["space"],
        },
    }


def _latency(opened: OpenStudy, network: NetworkRecord) -> dict[str, Any]:
    """Seconds and the device that they were measured on; nothing for a study of before it was measured."""
    if not network.values("latency"):
        return {}
    device = next(filter(None, (opened.database.result(one.id).get("device") for one in network.evaluations)), None)
    return {"latency_seconds": network.value("latency"), "latency_device": device}
