"""What a search space holds: how many networks, the ranges of their costs, how independent these are, what CSP lowers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from random import Random

import numpy as np

from cspnas.errors import ArchitectureError
from cspnas.io.steps import Step, silent
from cspnas.network.architecture import FUSIONS
from cspnas.network.cost import CostTable, stage_costs
from cspnas.objectives.objectives import exact_names, objective_of, with_unit
from cspnas.reports.space_figures import (
    BaselinePlace,
    Independence,
    LowerShares,
    MeasuredTrainings,
    ObjectiveWords,
    SpaceInput,
    SpaceStatistics,
    Spread,
    TrainingSeconds,
)
from cspnas.runners.factory import greatest_training
from cspnas.runners.local.devices import devices_for
from cspnas.runners.training_estimate import speed_here, training_estimate
from cspnas.space.counting import census
from cspnas.space.search_space import Genotype
from cspnas.study.candidates import IN_VAIN, WORK, Candidate, admitted, admitted_sample, baseline_curves, candidate
from cspnas.study.settings import Study
from cspnas.study.undecided_objectives import peak_places, undecided

# Operations that are costed for each network that is wanted, where this is more than `WORK`.
WORK_EACH = 75
# Networks whose CSP stages are set beside plain ones.
COMPARED = 500
# Draws from one telling of the progress to the next.
TOLD = 50


@dataclass(frozen=True, slots=True)
class AdmittedNetworks:
    """The admitted networks of a space: all of them (`whole`), each once, or random ones. `valid`: the share of genotypes
    that are networks; `admitted`: the share of these that the constraints admit.
    """

    networks: list[Candidate]
    whole: bool
    valid: float
    admitted: float


def statistics(study: Study, count: int, step: Step = silent) -> SpaceStatistics:
    """All figures. A space of at most `count` genotypes is listed, of a larger one `count` admitted networks are drawn."""
    table = study.cost_table()
    drawn = draw(study, count, table, step)
    step("counting the networks of the space")
    networks, counted = drawn.networks, census(study.space)
    step("comparing the networks that were drawn")
    places = peak_places(networks, table)
    return SpaceStatistics(
        input=SpaceInput(study.space.input_shape, study.space.classes),
        deployment=study.deployment,
        objectives=[_objective(name) for name in study.objectives],
        genotypes=study.space.size,
        architectures=counted.architectures,
        architectures_exact=counted.exact,
        architectures_draws=counted.draws,
        whole=drawn.whole,
        sampled=len(networks),
        valid_share=drawn.valid,
        admitted_share=drawn.admitted,
        ranges={with_unit(name): _spread(networks, name) for name in exact_names()},
        independence={name: _independence(networks, name) for name in memory_objectives(study)},
        peak_held_by=places,
        csp_lowers=csp_lowers(study, networks),
        baselines=[_baseline(study, kind, found, networks) for kind, found in baseline_curves(study)],
        warnings=undecided(study, networks, places),
    )


def trainings(study: Study, step: Step = silent) -> MeasuredTrainings | None:
    """What the trainings of a study take on this machine's devices; None where nothing can be measured."""
    devices = devices_for("auto", 0, None, partial(greatest_training, study), step)[: study.workers or None]
    estimate = training_estimate(study, admitted_sample(study), partial(speed_here, devices), step)
    if estimate is None:
        return None
    seconds = TrainingSeconds(*estimate.seconds, estimate.mean, estimate.whole(study.trials))
    return MeasuredTrainings(seconds, estimate.memory, len(devices), study.trials)


def draw(study: Study, count: int, table: CostTable, step: Step = silent) -> AdmittedNetworks:
    """Every admitted network of a small space, or `count` random ones from at most 20 times as many draws; fewer where
    costing so many is too much work.
    """
    small = study.space.size <= count
    drawn = _listed(study, table, step) if small else _sampled(study, count, table, step)
    # Where none was found the nearest are walked to, or the user learns how far they are.
    return drawn if drawn.networks else replace(drawn, networks=admitted_sample(study))


def _listed(study: Study, table: CostTable, step: Step) -> AdmittedNetworks:
    every = []
    for number, genotype in enumerate(study.space.enumerate()):
        if number % TOLD == 0:
            step(f"costing all {study.space.size:,} genotypes", number / study.space.size)
        every.append(_valid(study, genotype, table))
    valid = [found for found in every if found is not None]
    networks = {found.architecture: found for found in valid}
    kept = [found for found in networks.values() if admitted(study, found.costs)]
    return AdmittedNetworks(kept, True, len(valid) / len(every), len(kept) / max(1, len(networks)))


def _sampled(study: Study, count: int, table: CostTable, step: Step) -> AdmittedNetworks:
    random, tried, valid = Random(0), 0, 0
    work = max(WORK, WORK_EACH * count)
    kept: list[Candidate] = []
    while len(kept) < count and table.operations < work and tried < (20 if kept else IN_VAIN) * count:
        if tried % TOLD == 0:
            step(f"drawing {count:,} admitted networks", max(len(kept) / count, table.operations / work))
        tried += 1
        found = _valid(study, study.space.sample(random), table)
        if found is not None:
            valid += 1
            if admitted(study, found.costs):
                kept.append(found)
    return AdmittedNetworks(kept, False, valid / tried, len(kept) / max(1, valid))


def _valid(study: Study, genotype: Genotype, table: CostTable) -> Candidate | None:
    try:
        return candidate(study, genotype, table)
    except ArchitectureError:
        return None


def memory_objectives(study: Study) -> list[str]:
    """The study's exact objectives beside flops: a space is worth searching where they are no copies of it."""
    return [name for name in study.objectives if objective_of(name).exact and name != "flops"]


def _objective(name: str) -> ObjectiveWords:
    objective = objective_of(name)
    known, better = "exact" if objective.exact else "measured", "greater" if objective.maximise else "smaller"
    return ObjectiveWords(name, objective.unit, known, better)


def _spread(networks: list[Candidate], name: str) -> Spread:
    values = [found.costs[name] for found in networks]
    return Spread(min(values), float(np.median(values)), max(values))


def _independence(networks: list[Candidate], name: str) -> Independence:
    from scipy.stats import spearmanr

    flops, values = ([found.costs[key] for found in networks] for key in ("flops", name))
    varied = min(len(set(flops)), len(set(values))) > 1
    return Independence(len(set(values)), float(spearmanr(flops, values).statistic) if varied else None)


def _baseline(study: Study, kind: str, found: Candidate, networks: list[Candidate]) -> BaselinePlace:
    below = {
        name: sum(other.costs[name] < found.costs[name] for other in networks) / len(networks)
        for name in study.objectives
        if objective_of(name).exact
    }
    return BaselinePlace(kind, found.costs, below)


def csp_lowers(study: Study, networks: list[Candidate]) -> dict[str, LowerShares]:
    """By fusion."""
    order = study.deployment.order
    counts: dict[str, list[tuple[bool, bool]]] = {fusion: [] for fusion in FUSIONS}
    off = {f"stage{number}.csp": False for number in range(1, len(study.space.stages) + 1)}
    for found in networks[:COMPARED]:
        try:
            without = stage_costs(study.space.decode({**found.genotype, **off}), order)
        # Groups that divide part 2 and not the whole.
        except ArchitectureError:
            continue
        costs = stage_costs(found.architecture, order)
        for stage, csp, plain in zip(found.architecture.stages, costs, without, strict=True):
            if stage.csp is not None:
                lower = (csp.macs < plain.macs, csp.peak_memory < plain.peak_memory)
                counts[stage.csp.fusion].append(lower)
    return {
        fusion: LowerShares(float(np.mean([c[0] for c in seen])), float(np.mean([c[1] for c in seen])))
        for fusion, seen in counts.items()
        if seen
    }
