"""`cspnas space`: what a search space holds, measured on random admitted architectures."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cspnas.architecture import FUSIONS, Architecture
from cspnas.candidates import Candidate, admitted, admitted_sample, baseline_curves, valid_candidates
from cspnas.cost import stage_costs
from cspnas.families import wire
from cspnas.liveness import fold_norms, live_bytes, plan
from cspnas.objectives import human
from cspnas.study import Study
from cspnas.widths import plain_network


def copy(name: str, *, force: bool) -> str:
    """Write a shipped space's file into this folder; what to do next."""
    from cspnas.output import write_whole
    from cspnas.space_document import find_space

    source = find_space(name)
    target = Path(source.name)
    write_whole(target, source.read_bytes(), force=force)
    return f"{target}: edit it, then cspnas search {target}"


def report(name: str, count: int, *, as_json: bool) -> str:
    """The statistics as text or JSON."""
    from cspnas.data_form import folder_form
    from cspnas.space_document import find_space, read_space

    study = read_space(find_space(name), folder_form=folder_form)
    numbers = statistics(study, count)
    return json.dumps(numbers, indent=2) if as_json else _text(study, numbers)


def statistics(study: Study, count: int) -> dict[str, Any]:
    """Sizes, ranges, where the peak lies, how independent the objectives are, what CSP lowers per fusion."""
    random, drawn, sample = Random(0), 0, []
    for drawn, found in enumerate(valid_candidates(study, random), start=1):
        if admitted(study, found.costs):
            sample.append(found)
        if len(sample) == count or drawn >= 20 * count:
            break
    if not sample:
        sample = admitted_sample(study)
    flops = np.array([found.costs["flops"] for found in sample])
    peaks = np.array([found.costs["peak_memory"] for found in sample])
    places = Counter(peak_place(found.architecture) for found in sample)
    return {
        "genotypes": study.space.size,
        "sampled": len(sample),
        "admitted_share": len(sample) / drawn,
        "ranges": {name: _range(sample, name) for name in sample[0].costs},
        "peak_memory_values": len(set(peaks.tolist())),
        "spearman_flops_peak_memory": _spearman(flops, peaks),
        "peak_held_by": {place: number / len(sample) for place, number in places.most_common()},
        "csp_lowers": csp_lowers(sample),
        "baselines": [{"curve": kind, **found.costs} for kind, found in baseline_curves(study)],
    }


def _range(sample: list[Candidate], name: str) -> dict[str, float]:
    values = [found.costs[name] for found in sample]
    return {"least": min(values), "median": float(np.median(values)), "greatest": max(values)}


def _spearman(first: np.ndarray, second: np.ndarray) -> float | None:
    from scipy.stats import spearmanr

    if len(set(first.tolist())) < 2 or len(set(second.tolist())) < 2:
        return None
    return float(spearmanr(first, second).statistic)


def peak_place(architecture: Architecture) -> str:
    """`stem`, `stageN` or `head`: where the peak of inference memory first lies."""
    graph = fold_norms(wire(architecture))
    live = live_bytes(graph, plan(graph))
    return graph.operations[live.index(max(live))].name.split(".")[0]


def csp_lowers(sample: list[Candidate]) -> dict[str, dict[str, float]]:
    """Per fusion the share of CSP stages that have fewer MACs, and a lower peak, than the same stage made plain."""
    counts: dict[str, list[tuple[bool, bool]]] = {fusion: [] for fusion in FUSIONS}
    for found in sample[:500]:
        network = found.architecture
        pairs = zip(network.stages, stage_costs(network), stage_costs(plain_network(network)), strict=True)
        for stage, csp, plain in pairs:
            if stage.csp is not None:
                lower = (csp.macs < plain.macs, csp.peak_memory < plain.peak_memory)
                counts[stage.csp.fusion].append(lower)
    return {
        fusion: {"macs": float(np.mean([c[0] for c in seen])), "peak_memory": float(np.mean([c[1] for c in seen]))}
        for fusion, seen in counts.items()
        if seen
    }


def _text(study: Study, numbers: dict[str, Any]) -> str:
    lines = [
        f"{study.space_name}: {numbers['genotypes']:,} genotypes, {len(study.space.genes())} genes",
        f"admitted by {', '.join(c.text for c in study.constraints) or 'no constraint'}: "
        f"{100 * numbers['admitted_share']:.1f}% of random ones; {numbers['sampled']:,} admitted ones sampled:",
    ]
    for name, span in numbers["ranges"].items():
        least, median, greatest = (human(name, span[key]) for key in ("least", "median", "greatest"))
        lines.append(f"  {name:16} {least:>10} to {greatest:>10}, median {median}")
    held = ", ".join(f"{place} {100 * share:.1f}%" for place, share in numbers["peak_held_by"].items())
    rank = numbers["spearman_flops_peak_memory"]
    lines += [
        f"the peak of memory lies in: {held}",
        f"peak_memory takes {numbers['peak_memory_values']} values; Spearman correlation with flops "
        f"{'undefined' if rank is None else format(rank, '.2f')}",
    ]
    for fusion, share in numbers["csp_lowers"].items():
        lines.append(
            f"fusion {fusion:5} has fewer MACs than the plain stage in {100 * share['macs']:.0f}% of stages, "
            f"a lower peak in {100 * share['peak_memory']:.0f}%"
        )
    for row in numbers["baselines"]:
        lines.append(
            f"baseline {row['curve']:5} {human('flops', row['flops']):>8} flops, "
            f"{human('params', row['params'])} params, {human('peak_memory', row['peak_memory'])} peak_memory"
        )
    return "\n".join([*lines, f"proxy: {json.dumps(asdict(study.recipe))}"])
