"""When a search ends because its data are broken, which is no network's fault."""

from __future__ import annotations

from cspnas.errors import FailureKind, InputError
from cspnas.io.quantities import counted
from cspnas.training.payload import Failure

# Networks that fail of bad data: one may have met a disk that was away for a moment.
FAULTY_NETWORKS = 2


class DataFaults:
    """What was wrong with the data set of one search; begins empty with each search, for its data were read just before."""

    def __init__(self, dataset: str) -> None:
        self._dataset = dataset
        # By the digest of the network that was to be trained.
        self._found: dict[str, str] = {}

    def note(self, digest: str, failure: Failure | None) -> None:
        """How a training ended."""
        if failure and failure["kind"] == FailureKind.BAD_DATA:
            self._found[digest] = failure["message"]

    def ends(self, *, under_way: bool) -> bool:
        """Whether nothing more is to be begun: the next network would fail of it, too, and cost its share of the budget.

        Raises InputError, the search's last line, where nothing is under way any more.
        """
        if len(self._found) < FAULTY_NETWORKS:
            return False
        if under_way:
            return True
        raise InputError(
            f"bad data for {counted(len(self._found), 'network')} ({list(self._found.values())[-1]})",
            expected="those that the search began with",
            where=self._dataset,
            hint="everything finished is kept; mend the data, then the same command trains these networks and goes on",
        )
