"""An architecture as plain data (JSON, YAML) and back. Reading checks nothing: `document` does, at the edge."""

from __future__ import annotations

from dataclasses import MISSING, asdict, fields
from typing import Any

from cspnas.architecture import Architecture, Csp, Downsample, Stage, Stem

ALWAYS = ("activation", "pool", "kernel", "stride")  # said even at their default, for the reader's sake


def architecture_to(architecture: Architecture) -> dict[str, Any]:
    """The canonical plain form: what is at its default, or belongs to other families, is left out."""
    document = _plain(architecture)
    document["input_shape"] = list(architecture.input_shape)
    document["stem"] = _plain(architecture.stem)
    if architecture.stem.hidden:
        document["stem"]["hidden"] = list(architecture.stem.hidden)
    document["stages"] = [_stage_to(stage) for stage in architecture.stages]
    return document


def _stage_to(stage: Stage) -> dict[str, Any]:
    document = _plain(stage)
    absent = "pool" if stage.growth_rate is None and not stage.pool else "stride"
    document.pop(absent, None)
    if stage.growth_rate is None:
        del document["growth_rate"]
        if stage.stride == 1:
            document.pop("stride")
    for key, part in (("csp", stage.csp), ("downsample", stage.downsample)):
        if part is not None:
            document[key] = _plain(part)
    return document


def _plain(value: Any) -> dict[str, Any]:
    """Fields that have no default or differ from it."""
    kept = (f for f in fields(value) if f.name in ALWAYS or f.default is MISSING or getattr(value, f.name) != f.default)
    document = asdict(value)
    return {f.name: document[f.name] for f in kept}


def architecture_from(document: dict[str, Any]) -> Architecture:
    """The architecture that a checked plain form describes."""
    rest = {f.name: document[f.name] for f in fields(Architecture) if f.name in document}
    rest["input_shape"] = tuple(document["input_shape"])
    stem = document["stem"]
    rest["stem"] = Stem(**{**stem, "hidden": tuple(stem.get("hidden", ()))})
    rest["stages"] = tuple(_stage_from(stage) for stage in document["stages"])
    return Architecture(**rest)


def _stage_from(document: dict[str, Any]) -> Stage:
    csp, downsample = document.get("csp"), document.get("downsample")
    parts = {"csp": Csp(**csp) if csp else None, "downsample": Downsample(**downsample) if downsample else None}
    return Stage(**{"growth_rate": None, **document, **parts})
