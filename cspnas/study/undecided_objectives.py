"""Objectives that decide nothing in a space: what was found, why it matters, and what to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cspnas.io.quantities import counted
from cspnas.network.cost import CostTable
from cspnas.network.families import family_of
from cspnas.network.layer_costs import peak_place
from cspnas.objectives.objectives import format_objective, objective_of
from cspnas.objectives.pareto import Array
from cspnas.study.candidates import Candidate
from cspnas.study.settings import Study

# Share of networks with the same value: the others are exceptions.
ONE_VALUE = 0.9
# So few values in so many networks are groups, no scale.
FEW_VALUES, OF_MANY = 3, 100
# relative, in a fraction absolute: below what a change of the network is made for.
NEARLY_EQUAL = 0.02
# Share of networks whose peak lies in the same part.
ONE_PLACE = 0.95
# Rank correlation with another objective.
COPY = 0.99
# Networks that it takes to tell a copy or a spread.
LEAST_RANKED = 10
# Networks that tell where the peak lies.
PLACED = 200


@dataclass(frozen=True, slots=True)
class Undecided:
    """An objective that decides nothing. `kind`: `constant`, `one place` or `copy`; `message` is a line for the user."""

    objective: str
    kind: str
    message: str


def peak_places(networks: Sequence[Candidate], table: CostTable) -> dict[str, float]:
    """`stem`, `stageN` or `head` to the share of networks whose peak of memory lies there, the greatest first."""
    counted = Counter(peak_place(found.architecture, table) for found in networks)
    return {place: number / len(networks) for place, number in counted.most_common()}


def undecided(
    study: Study, networks: Sequence[Candidate], places: Mapping[str, float] | None = None
) -> list[Undecided]:
    """The exact objectives that tell the study's admitted `networks` apart no better than none would, in their order.

    `places`: `peak_places` of these networks, where it is known.
    """
    names = [name for name in study.objectives if objective_of(name).exact]
    if len(networks) < 2:
        return []
    values = {name: np.array([found.costs[name] for found in networks], float) for name in names}
    if "peak_memory" in names and places is None:
        places = peak_places(networks[:PLACED], study.cost_table())
    found: list[Undecided] = []
    for number, name in enumerate(names):
        others = {other: values[other] for other in names[:number]}
        one = _one(study, name, values[name], places or {}, others)
        found += [one] if one is not None else []
    return found


def _one(
    study: Study, name: str, values: Array, places: Mapping[str, float], others: dict[str, Array]
) -> Undecided | None:
    leave = f"or leave {name} out of the objectives"
    constant = _constant(name, values)
    if name == "peak_memory":
        place = next(iter(places))
        change = _less_in(study, place)
        held = f"{place} holds the peak of {100 * places[place]:.3g}% of them"
        if constant:
            return _undecided(name, "constant", f"{constant}, and {held}: it decides nothing here; {change}, {leave}")
        if places[place] >= ONE_PLACE and not (place == "stage1" and len(study.space.stages) == 1):
            found = f"{place} holds the peak of {100 * places[place]:.3g}% of {len(values):,} networks"
            return _undecided(name, "one place", f"{found}: it decides nothing about other parts; {change}, {leave}")
    elif constant:
        change = "give the stages more choices of width and depth"
        return _undecided(name, "constant", f"{constant}: it decides nothing here; {change}, {leave}")
    for other, theirs in others.items():
        rank = rank_correlation(values, theirs)
        rank = rank if objective_of(name).maximise == objective_of(other).maximise else -rank
        if len(values) >= LEAST_RANKED and rank >= COPY:
            found = (
                f"a copy of {other}, it ranks {len(values):,} networks the same (Spearman correlation {abs(rank):.3f})"
            )
            return _undecided(
                name, "copy", f"{found}: it decides nothing here; leave one of them out of the objectives"
            )
    return None


def _undecided(name: str, kind: str, text: str) -> Undecided:
    return Undecided(name, kind, f"{name}: {text}")


def _constant(name: str, values: Array) -> str:
    """How the values are all but one, in words; nothing where they are not."""
    different, counts = np.unique(values, return_counts=True)
    count, total = len(different), f"{len(values):,} networks"
    most = counts.max() / len(values)
    low, high = np.quantile(values, [0.025, 0.975])
    spread = high - low if objective_of(name).linear else (high - low) / (high or 1)
    if count == 1 or (count <= FEW_VALUES and len(values) >= OF_MANY):
        return f"{counted(count, 'value')} in {total}"
    if most >= ONE_VALUE:
        return f"{format_objective(name, float(different[counts.argmax()]))} in {100 * most:.3g}% of {total}"
    if spread < NEARLY_EQUAL and len(values) >= LEAST_RANKED:
        return f"the same to {100 * spread:.2g}% in 95% of {total}"
    return ""


def _less_in(study: Study, place: str) -> str:
    """What takes the peak of memory away from a part of the network."""
    if place == "stem":
        return "make the stem thinner or strided"
    size, last = family_of(study.space.family).size_gene, len(study.space.stages)
    if place == "head":
        return f"lower {size} in stage{last}"
    number = int(place.removeprefix("stage"))
    if last == 1:
        return f"give stage1 more choices of {size}"
    return f"lower {size} in {place} or raise it in stage{number + 1 if number < last else number - 1}"


def rank_correlation(first: Array, second: Array) -> float:
    """Spearman's, ties at their mean rank; 0 where one of the two never varies. scipy's takes half a second to import."""
    ranks = [_ranks(values) for values in (first, second)]
    if min(float(np.ptp(rank)) for rank in ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: Array) -> Array:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
