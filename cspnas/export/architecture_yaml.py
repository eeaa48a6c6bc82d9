"""An architecture file: a document that carries all that is needed to build and train a network of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cspnas.data.own_data import located
from cspnas.documents.architecture_file import architecture_yaml, read_architecture
from cspnas.export.network_to_export import NetworkToExport
from cspnas.network.wiring import wire
from cspnas.objectives.objectives import measured_names, objective_of
from cspnas.storage.engine import undamaged
from cspnas.storage.open_study import OpenStudy
from cspnas.study.network_record import NetworkRecord


class YamlWriter:
    """`--format yaml`."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """The file, with all that its source says beside the network."""
        return {"": architecture_yaml(source.architecture, dict(source.document)).encode()}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """The file read again: its digest holds what its layers give."""
        return f"read again: network {wire(read_architecture(path).architecture).digest()[:12]}"


def take_away(opened: OpenStudy, network: NetworkRecord) -> Mapping[str, Any]:
    """The parts of an exported file beside the architecture: costs, what was measured, data, recipe, origin.

    Raises StorageError where the study is damaged.
    """
    with undamaged(opened.database.shown_url):
        return _parts(opened, network)


def _parts(opened: OpenStudy, network: NetworkRecord) -> Mapping[str, Any]:
    error = opened.results.standard_error(network)
    facts = opened.row.facts
    recipe = opened.row.settings.part("proxy") | {"precision": facts.precision}
    # The path as it was typed means nothing in another working folder.
    recipe["dataset"] = located(facts.data.get("dataset", recipe["dataset"]))
    from cspnas.version import __version__

    return {
        "digest": network.digest,
        "costs": network.costs,
        # What the costs are worked out for; without it float32 and one image.
        **({"deployment": deployment} if (deployment := opened.row.settings.part("deployment")) else {}),
        "measured": {
            "accuracy": network.accuracy,
            "accuracy_standard_error": None if np.isnan(error) else float(error),
            "seeds": len(network.accuracies),
            "accuracies": network.accuracies,
            **_measured(opened, network),
            "epochs": recipe["epochs"],
        },
        "data": facts.data,
        "recipe": recipe,
        "made_by": {
            "cspnas": __version__,
            "study": opened.name,
            "trial": opened.results.trials.get(network.digest),
            "space": facts.values["space"],
        },
    }


def _measured(opened: OpenStudy, network: NetworkRecord) -> dict[str, float | str | None]:
    """What else was measured, and the device of what belongs to one; nothing of what no training has measured."""
    found: dict[str, float | str | None] = {}
    for objective in map(objective_of, measured_names()[1:]):
        if network.values(objective.name):
            found[objective.key] = network.value(objective.name)
            if objective.of_device:
                results = (opened.database.result(one.id) for one in network.evaluations)
                found[f"{objective.name}_device"] = next(filter(None, (told.get("device") for told in results)), None)
    return found
