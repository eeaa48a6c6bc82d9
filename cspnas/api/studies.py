"""A study in Python: its front, its networks, its trainings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from cspnas.errors import InputError
from cspnas.io.quantities import counted
from cspnas.io.steps import Step, silent
from cspnas.network.architecture import Architecture
from cspnas.reports.summary import NetworkSummary, TrainingSummary, front_of, members, summarise, trainings_of
from cspnas.storage.database import Database
from cspnas.storage.locations import StudyLocation, existing_place
from cspnas.storage.open_study import OpenStudy, load_study

if TYPE_CHECKING:
    import pandas as pd


def open_study(study: str, *, on_step: Step = silent) -> StudyView:
    """A study, open to read. `study` is a name under `studies/`, a database file, FILE.db#NAME, or URL#NAME.

    It shows the study as it was when it was opened. Raises InputError where it is not there, with the nearest name;
    StorageError for a database that is damaged or cannot be read.

    >>> study = open_study("densenet")
    >>> [network.accuracy for network in study.front()]
    """
    if not isinstance(study, str):
        raise InputError(f"study={study!r}", expected="a name, a database file or a URL", where="cspnas.open_study")
    return view_of(existing_place(study, "study"), on_step)


def view_of(place: StudyLocation, on_step: Step = silent, *, reason: str | None = None) -> StudyView:
    """The study at a place. `reason`: why the search that was just done there ended."""
    return StudyView(load_study(Database(place.url, read_only=True), place.name, on_step), reason)


@dataclass(frozen=True)
class StudyView:
    """One study. `opened` is its database and all that was read from it; `reason`: why the search that gave it ended."""

    opened: OpenStudy
    reason: str | None = None

    def __repr__(self) -> str:
        results = self.opened.results
        networks = counted(len(results.measured()), "network")
        return f"<study {self.name!r}: {counted(results.finished, 'training')}, {networks}>"

    @property
    def name(self) -> str:
        """The study's name in its database."""
        return self.opened.name

    def front(self) -> list[NetworkSummary]:
        """The networks that no other beats in every objective, most accurate first."""
        return front_of(self.opened)

    def networks(self) -> list[NetworkSummary]:
        """Every network that has an accuracy, in the order of their first results."""
        return members(self.opened)

    def trainings(self) -> list[TrainingSummary]:
        """Every training, oldest first: under way, trained, reused or failed."""
        return trainings_of(self.opened)

    def summary(self) -> dict[str, Any]:
        """Front, baselines, noise, counts and the verdict, as `cspnas front --json` prints them."""
        return summarise(self.opened).to_json()

    def architecture(self, network: NetworkSummary | str) -> Architecture:
        """The architecture of a network, for `cspnas.build` and `cspnas.cost`; a string is its digest, or its beginning.

        Raises InputError where no network, or more than one, has it.
        """
        digest = network if isinstance(network, str) else network.digest
        found = [known for key, known in self.opened.results.networks.items() if digest and key.startswith(digest)]
        if len(found) != 1:
            raise InputError(f"{len(found)} networks of digest {digest!r}", expected="one", where=f"study {self.name}")
        return found[0].architecture

    def to_frame(self, rows: Literal["networks", "front", "trainings"] = "networks") -> pd.DataFrame:
        """The same as a pandas DataFrame, a column a field. Raises InputError where pandas is not installed."""
        if rows not in ("networks", "front", "trainings"):
            raise InputError(f"rows={rows!r}", expected="networks, front or trainings", where="to_frame")
        try:
            import pandas as pd
        except ImportError:
            hint = "install it: pip install pandas"
            raise InputError("no pandas", expected="pandas 2.2 or later", where="to_frame", hint=hint) from None
        return pd.DataFrame([asdict(row) for row in getattr(self, rows)()])
