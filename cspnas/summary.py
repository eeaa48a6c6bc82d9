"""What a study found, as data for tables and JSON: the front, the baselines, what was won, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from cspnas.database import Database
from cspnas.failures import quarantined
from cspnas.front import Reference
from cspnas.ledger import Ledger, Network
from cspnas.storage import undamaged
from cspnas.trial_numbers import trial_numbers


@dataclass(frozen=True, slots=True)
class Opened:
    """A study read from its database."""

    name: str
    row: dict[str, Any]
    ledger: Ledger
    database: Database


def open_study(database: Database, name: str | None) -> Opened:
    """The study `name`, or the only one. Raises InputError where it is not there or must be named."""
    row = database.chosen(name)
    with undamaged(database.shown_url):
        ledger = Ledger(Reference.from_json(row["facts"]["reference"]), database, row["id"])
        ledger.trials = trial_numbers(database, row["name"])
    return Opened(row["name"], row, ledger, database)


def member(ledger: Ledger, network: Network, knee: Network | None) -> dict[str, Any]:
    """One network of the study as plain data; units: accuracy and evenness as fractions, others as their names say.

    `trial` is None while Optuna's tables do not have the network.
    """
    error = ledger.standard_error(network)
    return {
        "trial": ledger.trials.get(network.digest),
        "digest": network.digest,
        "source": network.source,
        "accuracy": network.accuracy,
        "accuracy_standard_error": None if np.isnan(error) else error,
        "seeds": len(network.accuracies),
        "knee": network is knee,
        "flops": network.costs["flops"],
        "params": network.costs["params"],
        "peak_memory_bytes": network.costs["peak_memory"],
        "training_memory_bytes": network.costs["training_memory"],
        "traffic_elements": network.costs["traffic"],
        "evenness": network.costs.get("evenness"),  # older studies have none
        "latency_seconds": network.value("latency") if network.values("latency") else None,
        "wiring": wiring(network),
    }


def wiring(network: Network) -> str:
    """Each stage in short: `3x12` depth by growth rate (or width), then fusion and the share routed around the block."""
    parts = []
    for stage in network.document["stages"]:
        text, csp = f"{stage['depth']}x{stage.get('growth_rate') or stage['out']}", stage.get("csp")
        if csp:
            text += f" {csp['fusion']} {csp['part1'] / (csp['part1'] + csp['part2']):.2f}"
        parts.append(text)
    return " | ".join(parts)


def summarise(opened: Opened) -> dict[str, Any]:
    """Everything `cspnas front --json` prints. Raises StorageError where the study is damaged."""
    with undamaged(opened.database.shown_url):
        return _summary(opened)


def _summary(opened: Opened) -> dict[str, Any]:
    ledger = opened.ledger
    knee, deviation = ledger.knee(), ledger.seed_deviation()
    measured = ledger.measured()
    front = ledger.front()
    curves = {
        kind: sorted(
            (n for n in measured if n.source == f"baseline:{kind}"), key=lambda network: network.costs["flops"]
        )
        for kind in ("plain", "csp")
    }
    between = float(np.std([n.accuracy for n in measured], ddof=1)) if len(measured) > 1 else None
    return {
        "study": opened.name,
        "objectives": list(ledger.reference.objectives),
        "trainings": ledger.finished,
        "in_flight": ledger.in_flight,
        "networks": len(measured),
        "confirmations": ledger.confirmations,
        "failed": ledger.failed,
        "failures": failures(opened),
        "suggestions": opened.database.outcomes(opened.row["id"]),
        "hypervolume": ledger.hypervolume(),
        "front": [member(ledger, network, knee) for network in front],
        "front_confirmed": sum(len(network.accuracies) > 1 for network in front),
        "baselines": {kind: [member(ledger, n, None) for n in curve] for kind, curve in curves.items()},
        "seed_standard_deviation": None if not deviation[1] else deviation[0],
        "seed_degrees_of_freedom": deviation[1],
        "between_network_standard_deviation": between,
        "won_at_equal_flops": {kind: won_at_equal_flops(front, curve, deviation[0]) for kind, curve in curves.items()},
    }


def failures(opened: Opened) -> list[dict[str, Any]]:
    """Every training that failed, oldest first: why, and the last lines of its worker's log, where there are some."""
    rows = [(n, row) for n in opened.ledger.networks.values() for row in n.evaluations if row["state"] == "failed"]
    found = []
    for network, row in sorted(rows, key=lambda pair: int(pair[1]["id"])):
        result = opened.database.result(row["id"])
        told = result.get("failure") or {}
        found.append(
            {
                "trial": opened.ledger.trials.get(network.digest),
                "digest": network.digest,
                "wiring": wiring(network),
                "source": network.source,
                "seed": row["seed"],
                "kind": row["failure_kind"],
                "message": told.get("message", ""),
                "log": told.get("log"),
                "attempts": row["attempt"],
                "micro_batch": row.get("micro_batch"),
                "quarantined": quarantined(row["failure_kind"]),
            }
        )
    return found


def won_at_equal_flops(front: list[Network], curve: list[Network], seed_deviation: float) -> dict[str, Any] | None:
    """Mean accuracy that confirmed members of the front have above a baseline curve at their own FLOPs.

    The curve is interpolated over log FLOPs. A member's first seed put it on the front and would flatter it: only its
    later seeds count. The standard error takes seeds of members and of baselines; `distinguishable` is beyond 2 of it.
    None where no member with a later seed lies within the curve.
    """
    if len(curve) < 2 or np.isnan(seed_deviation):
        return None
    log_flops = np.log([network.costs["flops"] for network in curve])
    gains, variance, weights = [], 0.0, np.zeros(len(curve))
    for network in front:
        place = np.log(network.costs["flops"])
        later = network.accuracies[1:]
        if not later or network.source.startswith("baseline") or not log_flops[0] <= place <= log_flops[-1]:
            continue
        shares = np.array([np.interp(place, log_flops, unit) for unit in np.eye(len(curve))])
        gains.append(float(np.mean(later)) - float(shares @ [baseline.accuracy for baseline in curve]))
        weights += shares
        variance += 1 / len(later)
    if not gains:
        return None
    count = len(gains)
    variance += float(np.square(weights) @ [1 / len(baseline.accuracies) for baseline in curve])
    error = seed_deviation * sqrt(variance) / count
    gain = float(np.mean(gains))
    return {"gain": gain, "standard_error": error, "members": count, "distinguishable": abs(gain) > 2 * error}
