"""Which network of a study a user means: a member of its front, a trial's number, the beginning of a digest."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from cspnas.errors import InputError
from cspnas.io.did_you_mean import nearest
from cspnas.objectives.objectives import parse_constraint
from cspnas.objectives.pareto import knee, losses
from cspnas.storage.open_study import OpenStudy
from cspnas.study.network_record import NetworkRecord

PICKS = ("knee", "most-accurate", "smallest")
# Natural guesses that are spelled like none of them.
GUESSES = {"best": PICKS[1], "accuracy": PICKS[1], "top": PICKS[1], "flops": PICKS[2], "cheapest": PICKS[2]}
# Of a digest's beginning.
LEAST_DIGITS = 4
# Networks that an error line names.
NETWORKS_NAMED = 5
SEE_FRONT = "see cspnas front STUDY --json"


@dataclass(frozen=True, slots=True)
class Choice:
    """`pick`, where not given the knee, among the members of the front that meet `where`; or one network by its number or
    the beginning of its digest. Raises InputError where it says more than one of these, or none that can be.
    """

    pick: str | None = None
    where: tuple[str, ...] = ()
    trial: int | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        flags = {"--pick": self.pick, "--where": self.where or None, "--trial": self.trial, "--digest": self.digest}
        given = [flag for flag, value in flags.items() if value is not None]
        if len(given) > 1 and {"--trial", "--digest"} & set(given):
            raise InputError(
                " and ".join(given), expected="--trial, --digest, or --pick with --where", hint="leave out all but one"
            )
        if self.pick is not None and self.pick not in PICKS:
            hint = nearest(GUESSES.get(self.pick.lower(), self.pick), PICKS)
            raise InputError(repr(self.pick), expected=f"one of {', '.join(PICKS)}", where="--pick", hint=hint)
        if self.digest is not None and not re.fullmatch(f"[0-9a-fA-F]{{{LEAST_DIGITS},64}}", self.digest):
            raise InputError(
                repr(self.digest), expected=f"{LEAST_DIGITS} to 64 hexadecimal digits", where="--digest", hint=SEE_FRONT
            )


def chosen(opened: OpenStudy, choice: Choice) -> NetworkRecord:
    """The network that `choice` means. Raises InputError where there is none, or where it has no accuracy."""
    if choice.trial is not None:
        return _measured(_by_trial(opened, choice.trial), f"trial {choice.trial}", "--trial")
    if choice.digest is not None:
        return _measured(_by_digest(opened, choice.digest.lower()), f"network {choice.digest}", "--digest")
    return _on_front(opened, choice.pick or PICKS[0], choice.where)


def _on_front(opened: OpenStudy, pick: str, where: tuple[str, ...]) -> NetworkRecord:
    constraints = [parse_constraint(text, "--where", measured=True) for text in where]
    results = opened.results
    members = [n for n in results.front() if all(c.violation({c.name: n.value(c.name)}) <= 0 for c in constraints)]
    if not members:
        raise InputError(
            f"no front member{' where ' + ' and '.join(where) if where else ''}",
            expected="at least one",
            where=f"study {opened.name}",
            hint="loosen --where" if where else "let the search finish some trainings",
        )
    if pick == "smallest":
        return min(members, key=lambda network: network.costs["flops"])
    if pick == "most-accurate":
        return members[0]
    flops = np.array([network.costs["flops"] for network in members])
    return members[knee(losses(results.points(members), results.reference), flops)]


def _by_trial(opened: OpenStudy, trial: int) -> NetworkRecord:
    results = opened.results
    numbers = {number: digest for digest, number in results.trials.items() if digest in results.networks}
    if trial in numbers:
        return results.networks[numbers[trial]]
    late = sum(n.digest not in results.trials and _has_ended(n) for n in results.networks.values())
    has, them = ("network has", "it") if late == 1 else ("networks have", "them")
    hint = f"{late} {has} no number until cspnas search goes on, --digest finds {them} now" if late else ""
    expected = _ranges(sorted(numbers)) if numbers else "a trial of this study, which has none yet"
    raise InputError(f"trial {trial}", expected=expected, where="--trial", hint=hint or "see cspnas front STUDY")


def _by_digest(opened: OpenStudy, beginning: str) -> NetworkRecord:
    found = [network for digest, network in opened.results.networks.items() if digest.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"no network {beginning}", expected=f"one of study {opened.name}", where="--digest", hint=SEE_FRONT
        )
    shown = ", ".join(network.digest[:12] for network in found[:NETWORKS_NAMED])
    more = f" and {len(found) - NETWORKS_NAMED} more" if len(found) > NETWORKS_NAMED else ""
    raise InputError(
        f"{len(found)} networks that begin with {beginning}: {shown}{more}",
        expected="one",
        where="--digest",
        hint="give more digits",
    )


def _measured(network: NetworkRecord, named: str, where: str) -> NetworkRecord:
    """The network itself. Raises InputError where it has no accuracy."""
    if network.accuracies:
        return network
    kinds = sorted({one.failure_kind for one in network.evaluations if one.failure_kind})
    state, hint = f"failed ({', '.join(kinds)})", "see cspnas front STUDY --failed"
    if not _has_ended(network):
        state, hint = "is still in training", "wait for it, or choose another"
    raise InputError(f"{named}, which {state}", expected="a network with an accuracy", where=where, hint=hint)


def _has_ended(network: NetworkRecord) -> bool:
    return any(not one.under_way for one in network.evaluations)


def _ranges(numbers: list[int]) -> str:
    """Sorted numbers as ranges: `0 to 7, 9`."""
    known = set(numbers)
    starts, ends = ([n for n in numbers if n + step not in known] for step in (-1, 1))
    shown = [str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)]
    return ", ".join(shown[:NETWORKS_NAMED]) + (" ..." if len(shown) > NETWORKS_NAMED else "")
