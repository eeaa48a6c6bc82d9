"""`cspnas space`: what a search space holds, as a person or a program reads it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from cspnas.documents.space_input import format_shape
from cspnas.io.steps import steps
from cspnas.network.deployment import DEFAULT_DEPLOYMENT
from cspnas.objectives.objectives import exact_names, format_objective, with_unit
from cspnas.runners.training_estimate import about
from cspnas.study.settings import NO_CSP_BASELINES, Study

if TYPE_CHECKING:
    from cspnas.documents.space_settings import SpaceSettings
    from cspnas.reports.space_figures import BaselinePlace, MeasuredTrainings, SpaceStatistics


def copy_space(name: str, *, force: bool) -> str:
    """Write a shipped space's file into this folder; what to do next."""
    from cspnas.documents.space_file import find_space
    from cspnas.io.atomic_write import write_whole

    source = find_space(name)
    target = Path(source.name)
    write_whole(target, source.read_bytes(), force=force)
    return f"{target}: edit it, then cspnas search {target}"


def space_report(
    name: str, count: int, *, as_json: bool, settings: SpaceSettings | None = None, time: bool = False
) -> str:
    """The statistics as text or JSON, of the space file with what flags say of it; with `time` what its trainings take here,
    which is measured.
    """
    from cspnas.documents.space_file import find_space
    from cspnas.documents.space_settings import SpaceSettings
    from cspnas.reports.space_statistics import statistics, trainings

    with steps() as step:
        study = (settings or SpaceSettings({})).read(find_space(name), step=step)
        numbers = statistics(study, count, step)
        if time and study.recipe.dataset:
            numbers = replace(numbers, training=trainings(study, step))
    return json.dumps(numbers.to_json(), indent=2) if as_json else _text(study, numbers)


def genotype_report(name: str, network: str, settings: SpaceSettings, *, as_json: bool) -> str:
    """The genotype of `network` (a file, or a reference's name) as text or JSON. Raises InputError, with what differs, where
    it is no point of the space.
    """
    from cspnas.documents.architecture_file import read_known
    from cspnas.documents.space_file import find_space
    from cspnas.space.genotype_of import genotype_of
    from cspnas.study.candidates import candidate, violations

    with steps() as step:
        study = settings.read(find_space(name), step=step)
    found = genotype_of(study.space, read_known(network, study.space), f"--contains {network}")
    drawn = candidate(study, found)
    broken = [text for text, excess in violations(study, drawn.costs).items() if excess > 0]
    if as_json:
        report = {"space": study.space_name, "digest": drawn.digest, "genotype": found, "broken_constraints": broken}
        return json.dumps(report, indent=2)
    lines = [f"{network} is a point of {study.space_name}, digest {drawn.digest[:12]}"]
    lines += [f"  {gene} = {json.dumps(value)}" for gene, value in found.items()]
    more = f"breaks {', '.join(broken)}" if broken else "meets every constraint"
    return "\n".join([*lines, f"{format_objective('flops', drawn.costs['flops'])} FLOPs; it {more}"])


def _text(study: Study, numbers: SpaceStatistics) -> str:
    objectives = ", ".join(f"{entry.name} ({entry.known})" for entry in numbers.objectives)
    lines = [*_sizes(study, numbers), f"objectives: {objectives}", *_ranges(study, numbers)]
    if study.deployment != DEFAULT_DEPLOYMENT:
        lines.append(f"memory and traffic of inference in deployment: {study.deployment}")
    held = ", ".join(f"{place} {100 * share:.1f}%" for place, share in numbers.peak_held_by.items())
    lines.append(f"the peak of memory lies in: {held}")
    for name, figures in numbers.independence.items():
        rank = figures.spearman_flops
        lines.append(
            f"{name} takes {figures.values:,} values; Spearman correlation with flops "
            f"{'undefined' if rank is None else format(rank, '.2f')}"
        )
    for fusion, share in numbers.csp_lowers.items():
        lines.append(
            f"fusion {fusion:5} has fewer MACs than the plain stage in {100 * share.macs:.0f}% of stages, "
            f"a lower peak in {100 * share.peak_memory:.0f}%"
        )
    lines += [_baseline(row) for row in numbers.baselines]
    lines += [] if study.space.may_be_csp else [NO_CSP_BASELINES]
    proxy = asdict(study.recipe) | {"dataset": study.recipe.dataset or None}
    lines.append(f"proxy: {json.dumps(proxy)}")
    lines += [_training(numbers.training)] if numbers.training else []
    return "\n".join([*lines, *(f"warning: {warning.message}" for warning in numbers.warnings)])


def _sizes(study: Study, numbers: SpaceStatistics) -> list[str]:
    exact, count = numbers.architectures_exact, numbers.architectures
    networks = f"{count:,}" if exact else f"about {Decimal(count):.3g}"
    how = "counted" if exact else f"an estimate from {numbers.architectures_draws:,} random genotypes"
    told = f"of data set {study.recipe.dataset}" if study.recipe.dataset else "no data set named"
    return [
        f"images of {format_shape(numbers.input.shape)} in {study.space.classes:,} classes, {told}",
        f"{study.space_name}: {len(study.space.genes())} genes, {numbers.genotypes:,} genotypes, "
        f"{networks} distinct networks ({how})",
        f"{100 * numbers.valid_share:.1f}% of {'all' if numbers.whole else 'random'} genotypes are networks; "
        f"{', '.join(c.text for c in study.constraints) or 'no constraint'} admits "
        f"{100 * numbers.admitted_share:.1f}% of them",
    ]


def _ranges(study: Study, numbers: SpaceStatistics) -> list[str]:
    number = f"{numbers.sampled:,}"
    lines = [
        f"costs of all {number} admitted networks:" if numbers.whole else f"costs of {number} admitted random ones:"
    ]
    for name in exact_names():
        span = numbers.ranges[with_unit(name)]
        least, median, greatest = (format_objective(name, value) for value in (span.least, span.median, span.greatest))
        lines.append(f"  {name:16} {least:>10} to {greatest:>10}, median {median}")
    return lines


def _training(figures: MeasuredTrainings) -> str:
    seconds, workers = figures.seconds, figures.workers
    each = [about(value) for value in (seconds.least, seconds.median, seconds.greatest)]
    memory = format_objective("training_memory", figures.memory_bytes)
    return (
        f"one training here: {each[0]} (smallest network), {each[1]} (median) or {each[2]} (greatest), at most {memory}; "
        f"all {figures.trainings} by {workers} worker{'s' * (workers != 1)}: {about(seconds.all)}"
    )


def _baseline(row: BaselinePlace) -> str:
    costs = ", ".join(
        f"{name} {format_objective(name, row.costs[name])} (above {100 * share:.0f}% of admitted)"
        for name, share in row.below.items()
    )
    return f"baseline {row.curve:5} {costs}, {format_objective('params', row.costs['params'])} params"
