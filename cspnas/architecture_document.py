"""An architecture as plain data (JSON, YAML) and back. Reading checks nothing: `document` does, at the edge."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cspnas.architecture import Architecture, Csp, Stage, Stem


def architecture_to(architecture: Architecture) -> dict[str, Any]:
    """The canonical plain form; a stage that is not CSP has no `csp`, a stage that fuses first no `t1`."""
    document = asdict(architecture)
    document["input_shape"] = list(architecture.input_shape)
    document["stages"] = [_stage_to(stage) for stage in architecture.stages]
    return document


def _stage_to(stage: Stage) -> dict[str, Any]:
    document = asdict(stage)
    if stage.csp is None:
        del document["csp"]
    elif stage.csp.t1 is None:
        del document["csp"]["t1"]
    return document


def architecture_from(document: dict[str, Any]) -> Architecture:
    """The architecture that a checked plain form describes."""
    stages = tuple(
        Stage(**{**stage, "csp": Csp(**stage["csp"]) if stage.get("csp") else None}) for stage in document["stages"]
    )
    return Architecture(
        family=document["family"],
        input_shape=tuple(document["input_shape"]),
        classes=document["classes"],
        stem=Stem(**document["stem"]),
        stages=stages,
        activation=document.get("activation", "relu"),
    )
