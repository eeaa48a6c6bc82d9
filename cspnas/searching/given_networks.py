"""Networks that a user gives to a search, to be trained first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspnas.documents.architecture_file import checked_value, read_known, shipped_architectures
from cspnas.errors import InputError
from cspnas.network.architecture import Architecture
from cspnas.space.genotype_of import genotype_of
from cspnas.storage.database import Database
from cspnas.storage.locations import existing_place
from cspnas.storage.open_study import load_study
from cspnas.study.candidates import candidate, violations
from cspnas.study.settings import Study

FLAG = "--seed-with"


def given_networks(study: Study, sources: Sequence[Architecture | str | Path]) -> tuple[Architecture, ...]:
    """The architectures that `sources` mean: values, files, shipped ones by their names, and the fronts of studies.

    Raises InputError for a source that is nothing of these, and for a network that is no point of the study's space or that
    its constraints do not admit.
    """
    found: dict[Architecture, None] = {}
    for source in sources:
        for where, architecture in _read(study, source):
            drawn = candidate(study, genotype_of(study.space, architecture, where))
            if broken := [text for text, excess in violations(study, drawn.costs).items() if excess > 0]:
                expected = f"one that meets {' and '.join(broken)}"
                raise InputError("a network", expected=expected, where=where, hint="loosen the constraint")
            found[drawn.architecture] = None
    return tuple(found)


def _read(study: Study, source: Architecture | str | Path) -> list[tuple[str, Architecture]]:
    if isinstance(source, Architecture):
        where = f"{FLAG} of an architecture"
        return [(where, checked_value(source, where))]
    name = str(source)
    if Path(name).suffix in (".yaml", ".yml") or name in shipped_architectures():
        return [(f"{FLAG} {name}", read_known(name, study.space))]
    place = existing_place(name, FLAG)
    front = load_study(Database(place.url, read_only=True), place.name).results.front()
    return [(f"{FLAG} {name}, network {network.digest[:12]}", network.architecture) for network in front]
