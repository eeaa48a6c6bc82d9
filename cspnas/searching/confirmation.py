"""Which network is trained once more with a new seed: by turns one of the front and one of the baselines beside it.

The verdict (`verdict.py`) errs by both sides' seeds. One turn goes to the front, or what one standard error of accuracy would
put there; the next to the baseline through which the verdicts' variance falls most, if one lies beside a confirmed network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from cspnas.study.network_record import NetworkRecord
from cspnas.study.results import StudyResults
from cspnas.study.verdict import curve_weights


def to_confirm(results: StudyResults) -> NetworkRecord | None:
    """The next one; None where none can be confirmed now."""
    sides = (of_front, of_baselines)
    first = results.confirmations % 2
    return sides[first](results) or sides[1 - first](results)


def of_front(results: StudyResults) -> NetworkRecord | None:
    """On or near the front, the one with the fewest seeds; members of the front first, then the most accurate."""
    front = {network.digest for network in results.front()}

    def order(network: NetworkRecord) -> tuple[int, bool, float, str]:
        return len(network.evaluations), network.digest not in front, -network.accuracy, network.digest

    return min(_free(results.near()), key=order, default=None)


def of_baselines(results: StudyResults) -> NetworkRecord | None:
    """The baseline whose next training lowers the variance of its curve's verdict most; None where none has a part in one."""
    worth = {network.digest: gain for curve in results.curves().values() for network, gain in _worth(results, curve)}
    free = _free(results.networks[digest] for digest in worth)
    return min(free, key=lambda n: (-worth[n.digest], n.digest), default=None)


def _worth(results: StudyResults, curve: list[NetworkRecord]) -> list[tuple[NetworkRecord, float]]:
    """The baselines that have a part in the verdict, each with what one more training of it takes off the variance, in
    variances of one training: a baseline that counts by the weight w and has n trainings adds w² / n.
    """
    again = np.array([len(network.evaluations) - 1 for network in results.confirmed()])
    flops, knots = (np.array([n.costs["flops"] for n in some], float) for some in (results.confirmed(), curve))
    if len(knots) < 2 or not len(flops):
        return []
    trained = np.array([len(network.evaluations) for network in curve])
    worth = np.square(curve_weights(flops, again, knots)) / (trained * (trained + 1))
    return [(network, float(gain)) for network, gain in zip(curve, worth, strict=True) if gain > 0]


def _free(networks: Iterable[NetworkRecord]) -> Iterator[NetworkRecord]:
    """Those that are not under way and may be trained."""
    return (n for n in networks if not n.quarantined and not any(one.under_way for one in n.evaluations))
