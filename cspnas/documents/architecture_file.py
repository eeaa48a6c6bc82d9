"""Architecture files: read into values and checked at this edge; written out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from cspnas.documents.packaged_files import find, shipped
from cspnas.documents.schema import ArchitectureDocument
from cspnas.documents.schema_errors import as_input_error, placed, short, validated, where
from cspnas.documents.space_input import small_images
from cspnas.documents.yaml_source import FLOAT, read_yaml
from cspnas.errors import ArchitectureError, InputError, SmallMapError
from cspnas.network.architecture import Architecture
from cspnas.network.deployment import Deployment
from cspnas.network.serialization import architecture_from, architecture_to
from cspnas.network.wiring import wire
from cspnas.space.search_space import SearchSpace

ARCHITECTURE_KIND = "architecture/1"


@dataclass(frozen=True, slots=True)
class ArchitectureFile:
    """An architecture file: the value and the whole document with what was measured."""

    architecture: Architecture
    document: Mapping[str, Any]
    path: Path

    @property
    def deployment(self) -> Deployment:
        """What its costs are worked out for."""
        return Deployment(**self.document.get("deployment") or {})


def shipped_architectures() -> dict[str, Path]:
    """Name to file of every reference architecture that comes with the package."""
    return shipped("architectures")


def find_architecture(name: str) -> Path:
    """The file of ARCHITECTURE: a path, or a reference's name. Raises InputError with the nearest name."""
    return find(name, "architectures", noun="architecture", where="ARCHITECTURE")


def read_architecture(path: Path) -> ArchitectureFile:
    """The architecture of a file, wired once to check it.

    Raises InputError, one line with file, line and key, for a file of another kind or of a newer schema, for widths that
    make no network, and for a network that is not the one of the file's digest.
    """
    data, lines = read_yaml(path)
    if isinstance(data, dict):
        _check_kind(data.get("cspnas"), where(str(path), ("cspnas",), lines, {}))
    document = validated(ArchitectureDocument, data, str(path), lines, {}).model_dump()
    architecture = architecture_from(document)
    try:
        digest = wire(architecture).digest()
    except SmallMapError as error:
        raise small_images(architecture, error, where(str(path), ("input_shape",), lines, {})) from None
    except ArchitectureError as error:
        raise placed(error, str(path), lines, {}) from None
    if document["digest"] not in (None, digest):
        said = document["digest"]
        raise InputError(
            f"a network with digest {digest[:12]}",
            expected=f"{said[:12]!r}, as the file says"
            if len(said) == len(digest)
            else f"all {len(digest)} digits of it",
            where=where(str(path), ("digest",), lines, {}),
            hint="the file was changed by hand or damaged: undo that, or remove the digest line to accept it",
        )
    return ArchitectureFile(architecture, document, path)


def checked_value(architecture: Architecture, where: str) -> Architecture:
    """An architecture that was built in Python, with plain numbers and tuples in it.

    Raises InputError with the field for values that no file could hold, as fractions of a channel.
    """
    adapter = _value_adapter()
    try:
        return adapter.validate_json(json.dumps(asdict(architecture), default=_plain), strict=True)
    except ValidationError as error:
        raise as_input_error(error, adapter.json_schema(), where, {(): 0}, {}) from None


@cache
def _value_adapter() -> TypeAdapter[Architecture]:
    return TypeAdapter(Architecture)


def _plain(value: Any) -> Any:
    """Numbers of NumPy and the like as JSON has them, and what is no value at all as text, which no number's field takes."""
    if isinstance(value, Integral | Real):
        return int(value) if isinstance(value, Integral) else float(value)
    return repr(value)


def read_known(name: str, space: SearchSpace) -> Architecture:
    """The architecture of a file, or a reference by its name. What comes before and after its layers is no part of a
    reference: it takes the images and the classes of `space`.
    """
    architecture = read_architecture(find_architecture(name)).architecture
    if Path(name).is_file():
        return architecture
    return replace(architecture, input_shape=space.input_shape, classes=space.classes)


def _check_kind(kind: Any, place: str) -> None:
    """Raises InputError for a document that is no architecture, or one of a newer schema than ours."""
    if kind == ARCHITECTURE_KIND:
        return
    if isinstance(kind, str) and re.fullmatch(r"architecture/[1-9][0-9]*", kind):
        raise InputError(
            f"{kind}, a newer schema", expected=ARCHITECTURE_KIND, where=place, hint="upgrade cspnas to read this file"
        )
    found = "no key 'cspnas'" if kind is None else short(kind)
    raise InputError(
        f"{found} (not a cspnas architecture file)",
        expected=f"cspnas: {ARCHITECTURE_KIND}",
        where=place,
        hint="cspnas export writes such a file; a search space is read by cspnas space and cspnas search",
    )


class _Dumper(yaml.SafeDumper):
    """Short lists on one line; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flat = not any(isinstance(entry, dict | list) for entry in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)


_Dumper.add_representer(list, _list)
# Quotes text that only our loader takes for a number, such as a commit 1e5.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))


def architecture_yaml(architecture: Architecture, extra: Mapping[str, Any] | None = None) -> str:
    """The canonical file of an architecture, `extra` (costs, measured, data, recipe ...) after it.

    A `digest` in `extra` comes before the network, so that a file cut short never passes for a smaller network.
    """
    after = dict(extra or {})
    head = {"cspnas": ARCHITECTURE_KIND} | ({"digest": after.pop("digest")} if "digest" in after else {})
    document = {**head, **architecture_to(architecture), **after}
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
