"""Taking an architecture away from a study: a document that carries all that is needed to use it."""

from __future__ import annotations

from typing import Any

import numpy as np

from cspnas.errors import InputError
from cspnas.ledger import Network
from cspnas.objectives import parse_constraint
from cspnas.opened_study import Opened

PICKS = ("knee", "most-accurate", "smallest")


def pick(opened: Opened, how: str, where: list[str], trial: int | None) -> Network:
    """The front's member that a user asks for, or the network of suggestion number `trial`."""
    if trial is not None:
        return _by_trial(opened, trial)
    constraints = [parse_constraint(text, "--where") for text in where]
    ledger = opened.ledger
    members = [n for n in ledger.front() if all(c.violation(n.costs) <= 0 for c in constraints)]
    if not members:
        raise InputError(
            f"no front member{' where ' + ' and '.join(where) if where else ''}",
            expected="at least one",
            where=f"study {opened.name}",
            do="loosen --where" if where else "let the search finish some trainings",
        )
    if how == "smallest":
        return min(members, key=lambda network: network.costs["flops"])
    if how == "most-accurate":
        return members[0]
    from cspnas.front import knee, losses

    flops = np.array([network.costs["flops"] for network in members])
    return members[knee(losses(ledger.points(members), ledger.reference), flops)]


def _by_trial(opened: Opened, trial: int) -> Network:
    for row in opened.database.suggestions(opened.row["id"]):
        if row["number"] == trial and row["digest"] in opened.ledger.networks:
            return opened.ledger.networks[row["digest"]]
    raise InputError(f"suggestion {trial}", expected="the number of one that was trained", where="--trial")


def take_away(opened: Opened, network: Network) -> dict[str, Any]:
    """The parts of an exported file beside the architecture: costs, what was measured, data, recipe, origin."""
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
        "made_by": {"cspnas": __version__, "study": opened.name, "space": opened.row["facts"]["space"]},
    }


def _latency(opened: Opened, network: Network) -> dict[str, Any]:
    """Seconds and the device that they were measured on; nothing for a study of before it was measured."""
    if not network.values("latency"):
        return {}
    device = next(filter(None, (opened.database.result(row["id"]).get("device") for row in network.evaluations)), None)
    return {"latency_seconds": network.value("latency"), "latency_device": device}
