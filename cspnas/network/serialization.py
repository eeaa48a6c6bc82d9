"""An architecture as plain data (JSON, YAML) and back. Reading checks nothing: `document` does, at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, NotRequired, TypedDict

from cspnas.network.architecture import Architecture, Csp, Downsample, Stage, Stem

# Said even at their default, for the reader's sake.
ALWAYS = ("activation", "pool", "kernel", "stride")


class PlainArchitecture(TypedDict):
    """The plain form of an architecture, by the names of its fields."""

    family: str
    input_shape: list[int]
    classes: int
    stem: Mapping[str, Any]
    stages: list[Mapping[str, Any]]
    activation: str
    norm: NotRequired[str]
    head: NotRequired[str]
    negative_slope: NotRequired[float]


def architecture_to(architecture: Architecture) -> PlainArchitecture:
    """The canonical plain form: what is at its default, or belongs to other families, is left out."""
    document: Any = _plain(architecture)
    document["input_shape"] = list(architecture.input_shape)
    document["stem"] = _stem_to(architecture.stem)
    document["stages"] = [_stage_to(stage) for stage in architecture.stages]
    written: PlainArchitecture = document
    return written


def _stem_to(stem: Stem) -> dict[str, Any]:
    document = _plain(stem)
    # Its kernels and strides are its own.
    if stem.kind == "pelee":
        del document["kernel"], document["stride"]
    if stem.hidden:
        document["hidden"] = list(stem.hidden)
    return document


def _stage_to(stage: Stage) -> dict[str, Any]:
    document = _plain(stage)
    dense = stage.kind == "dense"
    if not dense:
        del document["growth_rate"]
    for key, said in (("pool", dense or stage.pool), ("stride", stage.stride > 1)):
        if not said:
            del document[key]
    for key, part in (("csp", stage.csp), ("downsample", stage.downsample)):
        if part is not None:
            document[key] = _plain(part)
    return document


def _plain(value: Any) -> dict[str, Any]:
    """Fields that have no default or differ from it."""
    kept = (f for f in fields(value) if f.name in ALWAYS or f.default is MISSING or getattr(value, f.name) != f.default)
    document = asdict(value)
    return {f.name: document[f.name] for f in kept}


def architecture_from(document: Mapping[str, Any]) -> Architecture:
    """The architecture that a checked plain form describes."""
    rest = {f.name: document[f.name] for f in fields(Architecture) if f.name in document}
    rest["input_shape"] = tuple(document["input_shape"])
    stem = document["stem"]
    rest["stem"] = Stem(**{**stem, "hidden": tuple(stem.get("hidden", ()))})
    rest["stages"] = tuple(_stage_from(stage) for stage in document["stages"])
    return Architecture(**rest)


def _stage_from(document: Mapping[str, Any]) -> Stage:
    csp, downsample = document.get("csp"), document.get("downsample")
    parts = {"csp": Csp(**csp) if csp else None, "downsample": Downsample(**downsample) if downsample else None}
    return Stage(**{"growth_rate": None, **document, **parts})
