"""One architecture of a study with all its trainings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import fsum

from cspnas.network.architecture import Architecture
from cspnas.network.serialization import PlainArchitecture, architecture_from
from cspnas.objectives.objectives import measured_names
from cspnas.study.evaluation import Evaluation
from cspnas.study.failures import quarantined
from cspnas.study.row_validation import damaged


@dataclass(slots=True)
class NetworkRecord:
    """One architecture and its trainings, oldest first; `source` is what first suggested it, empty where that is not known.
    `stored` is its document, or the document's JSON text until somebody asks for it.
    """

    digest: str
    stored: PlainArchitecture | str
    costs: dict[str, float]
    source: str = ""
    evaluations: list[Evaluation] = field(default_factory=list)
    # The database that it was read from, as people may see it.
    shown: str = ""

    @property
    def document(self) -> PlainArchitecture:
        """The architecture as plain data. Raises StorageError where its text is no JSON, or none of an architecture."""
        if isinstance(self.stored, str):
            try:
                found: PlainArchitecture = json.loads(self.stored)
                architecture_from(found)
            except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
                raise damaged(self.digest, f"document that is none of an architecture: {error!r}", self.shown) from None
            self.stored = found
        return self.stored

    @property
    def architecture(self) -> Architecture:
        """The architecture as a value."""
        return architecture_from(self.document)

    @property
    def quarantined(self) -> bool:
        """Whether its workers died so often that it is not trained again."""
        return any(quarantined(one.failure_kind) for one in self.evaluations)

    def values(self, name: str) -> list[float]:
        """Of a measured objective, one a seed that was trained to the end."""
        return [one.measured[name] for one in self.evaluations if one.accuracy is not None and name in one.measured]

    def value(self, name: str) -> float:
        """Of an objective: the exact cost, or the mean over seeds of what was measured; NaN where it is not known."""
        values = self.values(name) if name in measured_names() else [self.costs.get(name, float("nan"))]
        return fsum(values) / len(values) if values else float("nan")

    @property
    def accuracies(self) -> list[float]:
        """One a seed that was trained to the end."""
        return [one.accuracy for one in self.evaluations if one.accuracy is not None]

    @property
    def accuracy(self) -> float:
        """Mean over seeds; NaN before the first result."""
        return self.value("accuracy")
