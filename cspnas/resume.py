"""Where earlier drivers of a study stopped, read from its suggestions."""

from __future__ import annotations

from collections import Counter

from cspnas.candidates import Candidate, baseline_curves
from cspnas.database import Row
from cspnas.ledger import Ledger
from cspnas.study import Study
from cspnas.work import Suggestion, Work, unit_of


def cut_short(study: Study, ledger: Ledger, rows: list[Row]) -> list[Work]:
    """Trainings that no driver runs any more; whoever holds the lock takes them over, as the attempts they were.

    `rows`: all suggestions, oldest first, here and below.
    """
    first = {row["evaluation_id"]: row for row in reversed(rows)}
    found = []
    for network in ledger.networks.values():
        for row in network.evaluations:
            if row["state"] == "in_flight":
                made, unit = first[row["id"]], unit_of(study, network, row["repeat"])
                state = (made["note"] or {}).get("state")
                suggestion = Suggestion(made["number"], made["source"], made["genotype"], state)
                work = Work(row["id"], network.digest, row["attempt"], unit, suggestion)
                found.append(work if row["micro_batch"] is None else work.smaller(row["micro_batch"]))
    return found


def missing_baselines(study: Study, rows: list[Row]) -> list[tuple[str, Candidate]]:
    """(source, candidate) of each baseline that is still to be suggested, in order."""
    done = Counter(row["source"] for row in rows)
    missing = []
    for kind, drawn in baseline_curves(study):
        source = f"baseline:{kind}"
        if done[source]:
            done[source] -= 1
        else:
            missing.append((source, drawn))
    return missing


def idle(rows: list[Row]) -> int:
    """How many suggestions the last training is ago."""
    count = 0
    for row in reversed(rows):
        if row["outcome"] == "training":
            break
        count += 1
    return count
