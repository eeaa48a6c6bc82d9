"""Candidates of a study before any training: their exact costs, whether they are admitted, the space's ranges, baselines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from math import inf
from random import Random
from typing import Any

import numpy as np

from cspnas.errors import ArchitectureError, InputError
from cspnas.network.architecture import Architecture
from cspnas.network.cost import CostTable
from cspnas.network.families import family_of
from cspnas.network.serialization import architecture_to
from cspnas.network.wiring import wire
from cspnas.objectives.objectives import DEFAULT_LIMIT, format_objective, objective_of
from cspnas.objectives.pareto import HypervolumeReference
from cspnas.space.search_space import Genotype
from cspnas.study.network_record import NetworkRecord
from cspnas.study.settings import Study

# Random candidates that tell the admitted range of each cost.
SAMPLE = 1000
# Fewer than these tell no range.
FEW = 100
# Draws for each candidate that is wanted, after which it is walked to the first one that is admitted.
IN_VAIN = 2
# Operations that are costed at most for a sample: about seven seconds of one core, however deep the networks.
WORK = 150_000
# Choices of a gene that a walk tries before it tries all.
COARSE = 3


@dataclass(slots=True)
class Candidate:
    """A valid architecture with every exact objective. Its digest is computed when first asked for: of a pool of thousands
    only a few are ever looked up by it. `known_digest`: that digest, None until then.
    """

    architecture: Architecture
    known_digest: str | None
    costs: dict[str, float]
    genotype: Genotype

    @property
    def digest(self) -> str:
        """Of the whole network's graph."""
        if self.known_digest is None:
            self.known_digest = wire(self.architecture).digest()
        return self.known_digest

    def record(self, source: str) -> NetworkRecord:
        """The network before any training, as `source` suggests it."""
        return NetworkRecord(self.digest, architecture_to(self.architecture), self.costs, source)


def candidate(study: Study, genotype: Genotype, table: CostTable | None = None) -> Candidate:
    """The candidate of a genotype; a pool shares one `table`. Raises ArchitectureError where it is no valid network."""
    architecture = study.space.decode(genotype)
    cost = (table or study.cost_table()).cost(architecture)
    return Candidate(architecture, None, study.exact_costs(cost), dict(genotype))


def violations(study: Study, costs: dict[str, float]) -> dict[str, float]:
    """Constraint to its excess, positive where it is broken; no network may have more than `DEFAULT_LIMIT` FLOPs."""
    return {constraint.text: constraint.violation(costs) for constraint in (*study.constraints, DEFAULT_LIMIT)}


def admitted(study: Study, costs: dict[str, float]) -> bool:
    """Whether no constraint is broken."""
    return all(excess <= 0 for excess in violations(study, costs).values())


def admitted_candidate(study: Study, genotype: Genotype, table: CostTable) -> Candidate | None:
    """The candidate of a genotype where it is a valid network that breaks no constraint."""
    try:
        drawn = candidate(study, genotype, table)
    except ArchitectureError:
        return None
    return drawn if admitted(study, drawn.costs) else None


def walked(
    study: Study, start: Iterable[Candidate], random: Random, table: CostTable, work: float = inf
) -> Iterator[Candidate]:
    """`start`, then the admitted candidates that differ in one gene from one before them: each network once, until none is
    left, or `work` operations were costed. Where constraints admit little of a large space, draws find next to nothing; but
    what is admitted lies together.
    """
    most = table.operations + work
    found = {one.digest: one for one in start}
    yield from found.values()
    seen, parents = set(found), list(found.values())
    while parents:
        genotypes = list(study.space.neighbours(parents.pop(random.randrange(len(parents))).genotype))
        random.shuffle(genotypes)
        for genotype in genotypes:
            if table.operations >= most:
                return
            drawn = admitted_candidate(study, genotype, table)
            if drawn is not None and drawn.digest not in seen:
                seen.add(drawn.digest)
                parents.append(drawn)
                yield drawn


def valid_candidates(study: Study, random: Random, table: CostTable | None = None) -> Iterator[Candidate]:
    """Random valid candidates, admitted or not; ends after 10,000 invalid draws in a row, and after `WORK`."""
    failures, table = 0, table or study.cost_table()
    most = table.operations + WORK
    while failures < 10_000 and table.operations < most:
        try:
            yield candidate(study, study.space.sample(random), table)
            failures = 0
        except ArchitectureError:
            failures += 1


def admitted_sample(study: Study, count: int = SAMPLE) -> list[Candidate]:
    """Up to `count` admitted candidates from at most 20 times as many draws, the same ones for every call. Where draws find
    fewer than `FEW`, so many from there on by a walk.

    Fewer where the networks are so deep that they are `WORK`. Raises InputError where none is admitted, with how far the
    nearest candidate is.
    """
    random, found, best = Random(0), [], None
    for draws, drawn in enumerate(valid_candidates(study, random)):
        if admitted(study, drawn.costs):
            found.append(drawn)
        elif not found and (best is None or _excess(study, drawn) < _excess(study, best)):
            best = drawn
        if len(found) == count or draws >= (20 if found else IN_VAIN) * count:
            break
    if not found and best is not None:
        found = [_descend(study, best)]
    if len(found) < min(count, FEW):
        found = list(islice(walked(study, found, random, study.cost_table(), WORK), min(count, FEW)))
    return found


def _excess(study: Study, drawn: Candidate) -> float:
    return sum(max(0.0, excess) for excess in violations(study, drawn.costs).values())


def _descend(study: Study, start: Candidate) -> Candidate:
    """Walk to the neighbour that breaks the constraints least until one is admitted, none is better or after `WORK`; by long
    strides first, for most costs are least at the end of a list of choices.
    """
    table = study.cost_table()
    while not admitted(study, start.costs):
        best = _best_neighbour(study, start, table, COARSE)
        if _excess(study, best) >= _excess(study, start):
            best = _best_neighbour(study, start, table)
        if _excess(study, best) >= _excess(study, start):
            broken = [c for c in (*study.constraints, DEFAULT_LIMIT) if c.violation(start.costs) > 0]
            costs = ", ".join(f"{c.name} {format_objective(c.name, start.costs[c.name])}" for c in broken)
            raise InputError(
                f"no architecture that meets {' and '.join(c.text for c in broken)}",
                expected="at least one",
                where="constraints",
                hint=f"the nearest one has {costs}: loosen the constraint to that or widen the choices",
            )
        start = best
    return start


def _best_neighbour(study: Study, start: Candidate, table: CostTable, most: int | None = None) -> Candidate:
    """That breaks the constraints least, of those with at most `most` choices of each gene; `start` where there is none."""
    best, best_excess = start, inf
    for genotype in study.space.neighbours(start.genotype, most):
        if table.operations >= WORK:
            break
        try:
            drawn = candidate(study, genotype, table)
        except ArchitectureError:
            continue
        if (excess := _excess(study, drawn)) < best_excess:
            best, best_excess = drawn, excess
    return best


def reference_of(study: Study, sample: list[Candidate]) -> HypervolumeReference:
    """The units of the hypervolume: each cost's admitted range, or its fixed span."""
    low, high = zip(*(_range(name, sample) for name in study.objectives), strict=True)
    return HypervolumeReference(study.objectives, 1 / study.space.classes, low, high)


def _range(name: str, sample: list[Candidate]) -> tuple[float, float]:
    """(least, greatest) of an objective; a cost that never varies gets a factor of 2."""
    span = objective_of(name).span
    if span is not None:
        return span
    values = [drawn.costs[name] for drawn in sample]
    low, high = min(values) or 1, max(values)
    return float(low), float(high if high > min(values) else 2 * low)


def baseline_curves(study: Study) -> list[tuple[str, Candidate]]:
    """(`plain` or `csp`, candidate): each curve at `widths` networks spread evenly in log FLOPs over what is admitted.

    Along a curve all stages take the same place in their lists of growth rates (or widths) and of depths. On the CSP curve
    every stage is CSP that may be; where none may, there is no such curve.
    """
    curves = []
    for kind in ("plain", "csp") if study.space.may_be_csp else ("plain",):
        curve = sorted(_uniform_candidates(study, kind).values(), key=lambda drawn: drawn.costs["flops"])
        curves += [(kind, drawn) for drawn in _spread(curve, study.baselines.widths)]
    return curves


def _uniform_candidates(study: Study, kind: str) -> dict[str, Candidate]:
    found = {}
    for width in np.linspace(0, 1, 9):
        for depth in (0.0, 0.5, 1.0):
            genotype = _uniform_genotype(study, kind == "csp", width, depth)
            try:
                drawn = candidate(study, genotype)
            except ArchitectureError:
                continue
            if admitted(study, drawn.costs):
                found[drawn.digest] = drawn
    return found


def _uniform_genotype(study: Study, csp: bool, width: float, depth: float) -> Genotype:
    """All stages at the same place in their lists of widths and depths; every other gene at its first choice."""
    genotype: Genotype = {}
    size = family_of(study.space.family).size_gene
    for number, stage in enumerate(study.space.stages, start=1):
        place = f"stage{number}"
        cross = csp and True in stage.csp
        genotype[f"{place}.csp"] = cross
        genotype[f"{place}.{size}"] = _at(getattr(stage, size), width)
        genotype[f"{place}.depth"] = _at(stage.depth, depth)
        if cross:
            genotype[f"{place}.split_ratio"] = study.baselines.split_ratio
            genotype[f"{place}.fusion"] = study.baselines.fusion
    return genotype


def _at(choices: tuple[Any, ...], fraction: float) -> Any:
    return sorted(choices)[round(fraction * (len(choices) - 1))]


def _spread(curve: list[Candidate], widths: int) -> list[Candidate]:
    """`widths` members of a curve sorted by FLOPs, nearest to even steps in log FLOPs, each at most once."""
    if len(curve) <= widths:
        return curve
    logs = np.log([drawn.costs["flops"] for drawn in curve])
    left, chosen = set(range(len(curve))), []
    for target in np.linspace(logs[0], logs[-1], widths):
        nearest = min(left, key=lambda index: abs(logs[index] - target))
        left.discard(nearest)
        chosen.append(nearest)
    return [curve[index] for index in sorted(chosen)]
