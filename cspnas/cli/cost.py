"""`cspnas cost`: exact costs of an architecture file, why they are what they are, and their check by independent counters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cspnas.cli.options import one_of
from cspnas.errors import InputError, printable
from cspnas.io.steps import Step, silent
from cspnas.network.architecture import Architecture
from cspnas.network.cost import cost_of
from cspnas.network.deployment import ORDERS, PRECISIONS, Deployment
from cspnas.network.layer_costs import PartCosts, parts_of, whole
from cspnas.network.wiring import wire
from cspnas.objectives.objectives import all_objectives, exact_values, format_objective, objective_of, with_unit
from cspnas.space.stage_resolution import plain_network
from cspnas.training.recipe import Recipe

if TYPE_CHECKING:
    from cspnas.training.cross_checks import Check

AGAINST = ("plain",)
CONVENTION = (
    "macs: multiply-accumulates of convolutions and linear layers, one image; flops = 2 * macs; peak_memory: inference, "
    "{deployment}, norms folded, weights apart; traffic: input + output elements of convolutions and pools{images}; "
    "evenness: mean over greatest MACs of a layer"
)


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of one architecture file; `parts` and `plain` (without CSP) are empty where not asked for."""

    path: Path
    architecture: Architecture
    digest: str
    costs: dict[str, float]
    batch_size: int
    deployment: Deployment
    checks: list[Check]
    parts: list[PartCosts]
    plain: list[PartCosts]


@dataclass(frozen=True, slots=True)
class CostRequest:
    """What the command line said; None where nothing was."""

    check: bool = False
    layers: bool = False
    against: str | None = None
    batch_size: int | None = None
    precision: str | None = None
    batch: int | None = None
    order: str | None = None

    def __post_init__(self) -> None:
        """Raises InputError for a name that is not known."""
        if self.against is not None:
            one_of(self.against, AGAINST, "--against")
        if self.precision is not None:
            one_of(self.precision, PRECISIONS, "--precision")
        if self.order is not None:
            one_of(self.order, ORDERS, "--order")

    def deployment(self, of_file: Deployment) -> Deployment:
        """What was said, else what the file says."""
        said: Mapping[str, Any] = {"precision": self.precision, "batch": self.batch, "order": self.order}
        return replace(of_file, **{key: value for key, value in said.items() if value is not None})


def cost_report(path: Path, request: CostRequest, *, as_json: bool, step: Step = silent) -> tuple[str, bool]:
    """(text to print, whether every independent count agrees)."""
    found, layers = _costed(path, request, step), request.layers
    text = json.dumps(_document(found, layers=layers), indent=2) if as_json else _text(found, layers=layers)
    return text, all(entry.agrees for entry in found.checks)


def _costed(path: Path, request: CostRequest, step: Step) -> Report:
    from cspnas.documents.architecture_file import read_architecture

    file = read_architecture(path)
    graph = wire(file.architecture)
    deployment = request.deployment(file.deployment)
    cost = cost_of(graph, deployment.order).deployed(deployment)
    batch = request.batch_size or (file.document.get("recipe") or {}).get("batch_size", Recipe().batch_size)
    costs = {"macs": cost.macs, **exact_values(cost, batch)}
    checks = []
    if request.check:
        step("counting again by ptflops, torch and an allocation tracker")
        from cspnas.training.cross_checks import cross_check_costs

        checks = cross_check_costs(graph, deployment)
    parts = parts_of(file.architecture, deployment) if request.layers or request.against else []
    plain = _plain_parts(path, file.architecture, deployment) if request.against else []
    return Report(path, file.architecture, graph.digest(), costs, batch, deployment, checks, parts, plain)


def _plain_parts(path: Path, architecture: Architecture, deployment: Deployment) -> list[PartCosts]:
    if all(stage.csp is None for stage in architecture.stages):
        raise InputError(
            "a network without CSP",
            expected="at least one CSP stage to compare",
            where=str(path),
            hint="drop --against",
        )
    return parts_of(plain_network(architecture), deployment)


# As JSON: units in the names -----------------------------------------------------------------------------------------


def _document(found: Report, *, layers: bool) -> dict[str, Any]:
    document: dict[str, Any] = {with_unit(name): value for name, value in found.costs.items()}
    # The name of weights_memory before it was an objective.
    document |= {"weight_bytes": found.costs["weights_memory"]}
    document |= {"batch_size": found.batch_size, "deployment": asdict(found.deployment), "digest": found.digest}
    if found.checks:
        document["checks"] = [
            {"figure": c.figure, "counter": c.counter, "value": c.theirs, "agrees": c.agrees} for c in found.checks
        ]
    if layers:
        document |= layers_document(found.parts)
    if found.plain:
        document["against_plain"] = against_document(found.parts, found.plain)
    return document


def layers_document(parts: list[PartCosts]) -> dict[str, Any]:
    """Every layer and every part (stem, stages, head); shares are of the network's MACs."""
    network = whole(parts)
    layers = [
        {
            "part": part.name,
            "layer": layer.name,
            "operations": layer.kind,
            "output_shape": list(layer.shape),
            "macs": layer.macs,
            "share_of_macs": _share(layer.macs, network.macs),
            "params": layer.params,
            "live_memory_bytes": layer.live_memory,
            "traffic_elements": layer.traffic,
            "peak": layer is network.peak,
            "busiest": layer is network.busiest,
        }
        for part in parts
        for layer in part.layers
    ]
    return {
        "gradient_paths": network.gradient_paths,
        "parts": [_part(part, network.macs) for part in parts],
        "layers": layers,
    }


class PartDocument(TypedDict):
    """A part of a network; `share_of_macs` and `evenness` are fractions."""

    part: str
    macs: int
    share_of_macs: float
    params: int
    peak_memory_bytes: int
    peak_layer: str
    traffic_elements: int
    evenness: float | None
    busiest_layer: str
    gradient_paths: int


def _part(part: PartCosts, total: int) -> PartDocument:
    return {
        "part": part.name,
        "macs": part.macs,
        "share_of_macs": _share(part.macs, total),
        "params": part.params,
        "peak_memory_bytes": part.peak.live_memory,
        "peak_layer": part.peak.name,
        "traffic_elements": part.traffic,
        "evenness": part.evenness,
        "busiest_layer": part.busiest.name,
        "gradient_paths": part.gradient_paths,
    }


def _share(part: int, total: int) -> float:
    return part / total if total else 0.0


class Comparison(TypedDict):
    """A CSP network, or a stage of it, beside the plain one."""

    csp: PartDocument
    plain: PartDocument
    change: Mapping[str, float]


class AgainstDocument(TypedDict):
    """Two networks, and each pair of their stages."""

    network: Comparison
    stages: list[Comparison]


def against_document(parts: list[PartCosts], plain: list[PartCosts]) -> AgainstDocument:
    """Both networks and every stage of them; `change` is relative to plain, but in units of its own for evenness and
    gradient paths.
    """
    network, without = whole(parts), whole(plain)
    stages = [pair for pair in zip(parts, plain, strict=True) if pair[0].name.startswith("stage")]
    return {
        "network": _compared(network, without, network.macs, without.macs),
        "stages": [_compared(part, other, network.macs, without.macs) for part, other in stages],
    }


def _compared(part: PartCosts, plain: PartCosts, total: int, plain_total: int) -> Comparison:
    relative = {
        "macs": change(part.macs, plain.macs),
        "params": change(part.params, plain.params),
        "peak_memory": change(part.peak.live_memory, plain.peak.live_memory),
        "traffic": change(part.traffic, plain.traffic),
    }
    absolute = {
        "evenness_difference": (part.evenness or 0.0) - (plain.evenness or 0.0),
        "gradient_paths_difference": part.gradient_paths - plain.gradient_paths,
    }
    return {"csp": _part(part, total), "plain": _part(plain, plain_total), "change": relative | absolute}


def change(value: float, plain: float) -> float:
    """How much more than plain, as a fraction of it: -.2 is a fifth less."""
    return value / plain - 1 if plain else 0.0


# As text -------------------------------------------------------------------------------------------------------------


def _text(found: Report, *, layers: bool) -> str:
    from cspnas.reports import layer_table as layers_table

    lines = [printable(f"{found.path}: {found.architecture.family}, network {found.digest[:12]}")]
    lines += [_cost_line(name, value, found.batch_size) for name, value in found.costs.items()]
    for entry in found.checks:
        verdict = "agrees" if entry.agrees else f"DIFFERS: {entry.theirs:,}"
        lines.append(f"  check {entry.figure:12} {entry.counter:28} {verdict}")
    lines.append(layers_table.table_lines(_convention(found.deployment)))
    if layers:
        lines += ["", layers_table.layers(found.parts)]
    if found.plain:
        lines += ["", layers_table.against(found.parts, found.plain)]
    return "\n".join(lines)


def _convention(deployment: Deployment) -> str:
    images = f" of {deployment.batch} images" if deployment.batch > 1 else ""
    return CONVENTION.format(deployment=deployment, images=images)


def _cost_line(name: str, value: float, batch_size: int) -> str:
    unit = objective_of(name).unit if name in all_objectives() else "MACs"
    extra = f" ({format_objective(name, value)})" if name in all_objectives() else ""
    batch_note = f", batch {batch_size}" if name == "training_memory" else ""
    shown = f"{value:,}" if isinstance(value, int) else f"{value:.6f}"
    return f"  {name:16} {shown:>14} {unit}{batch_note}{extra}"
