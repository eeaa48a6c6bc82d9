"""`cspnas cost`: exact costs of an architecture file, and their check by independent counters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cspnas.cost import cost_of
from cspnas.families import wire
from cspnas.objectives import OBJECTIVES, exact_values, human

CONVENTION = (
    "macs: multiply-accumulates of convolutions and linear layers, one image; flops = 2 * macs; peak_memory: inference, "
    "float32, batch 1, norms folded, weights apart; traffic: input + output elements of convolutions and pools"
)


def report(path: Path, *, check: bool, batch_size: int, as_json: bool) -> tuple[str, bool]:
    """(text to print, whether every independent count agrees)."""
    from cspnas.document import read_architecture

    file = read_architecture(path)
    graph = wire(file.architecture)
    cost = cost_of(graph)
    batch = (file.document.get("recipe") or {}).get("batch_size", batch_size)
    values = {"macs": cost.macs, **exact_values(cost, batch), "weight_bytes": cost.weight_bytes}
    checks = []
    if check:
        from cspnas.checks import check_costs

        checks = check_costs(graph)
    agrees = all(entry.agrees for entry in checks)
    if as_json:
        names = {
            "peak_memory": "peak_memory_bytes",
            "training_memory": "training_memory_bytes",
            "traffic": "traffic_elements",
        }
        document: dict[str, Any] = {names.get(key, key): value for key, value in values.items()}
        document |= {"batch_size": batch, "digest": graph.digest()}
        if check:
            document["checks"] = [
                {"figure": c.figure, "counter": c.counter, "value": c.theirs, "agrees": c.agrees} for c in checks
            ]
        return json.dumps(document, indent=2), agrees
    lines = [f"{path}: {file.architecture.family}, network {graph.digest()[:12]}"]
    for name, value in values.items():
        unit = OBJECTIVES[name].unit if name in OBJECTIVES else "bytes" if "bytes" in name else "MACs"
        extra = f" ({human(name, value)})" if name in OBJECTIVES else ""
        batch_note = f", batch {batch}" if name == "training_memory" else ""
        lines.append(f"  {name:16} {value:>14,} {unit}{batch_note}{extra}")
    for entry in checks:
        verdict = "agrees" if entry.agrees else f"DIFFERS: {entry.theirs:,}"
        lines.append(f"  check {entry.figure:12} {entry.counter:28} {verdict}")
    return "\n".join([*lines, CONVENTION]), agrees
