"""A driver whose database may be away for a while: trainings go on, their results wait on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cspnas.driver import Driver
from cspnas.errors import StorageError
from cspnas.failures import checked
from cspnas.runners.protocol import Done, Wait, Work
from cspnas.spool import Spool
from cspnas.storage import UnreachableError

PATIENCE = 600.0  # seconds without the server, and without a training that goes on, after which a search ends


class SteadyDriver(Driver):
    """A server that is away is waited for; where a SQLite file takes nothing more, the search ends with its result kept.

    `say` hears one line when the database goes, and one when it is back.
    """

    def __init__(self, *arguments: Any, spool: Spool, say: Callable[[str], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._spool, self._say = spool, say
        self._waiting: list[tuple[Work, Mapping[str, Any], Path | None]] = []
        self._away: float | None = None  # since when, on the monotonic clock

    def suggest(self) -> Work | Wait | Done:
        """As `Driver.suggest`; Wait while the server is away."""
        try:
            recorded = self._record_waiting()
            found = super().suggest()
        except UnreachableError as error:
            self._gone(error)
            return Wait()
        self._back(recorded)
        return found

    def finish(self, work: Work, result: Mapping[str, Any]) -> bool | None:
        """As `Driver.finish`; where the result cannot be recorded it is kept on disk until it can."""
        try:
            recorded = self._record_waiting()
            final = super().finish(work, result)
        except UnreachableError as error:
            self._waiting.append((work, result, self._keep(work, result)))
            self._gone(error)
            return True
        self._back(recorded)
        return final

    def _keep(self, work: Work, result: Mapping[str, Any]) -> Path | None:
        """The result's file; none for what is to be tried again, which the next search does anyway."""
        failure = result.get("failure")
        if failure and work.again(failure["kind"]) is not None:
            return None
        kept = {"micro_batch": work.micro_batch, **checked(result)}
        return self._spool.put(work.key(self.recipe_digest), self.driver_id, kept)

    def _record_waiting(self) -> int:
        """Record what could not be recorded before; how many results. Raises UnreachableError."""
        count = 0
        while self._waiting:
            work, result, path = self._waiting[0]
            super().finish(work, result)
            if path is not None:
                path.unlink(missing_ok=True)
            del self._waiting[0]
            count += 1
        return count

    def _gone(self, error: UnreachableError) -> None:
        """Raises StorageError where there is nothing to wait for."""
        kept = f"; results are kept in {self._spool.folder}" if self._waiting else ""
        if not self.database.shared:
            raise StorageError(f"{error}{kept and kept + ' and recorded then'}") from None
        now = time.monotonic()
        if self._away is None:
            self._away = now
            self._say(
                f"the database is away, trainings go on, results are kept in {self._spool.folder} until it is back"
            )
        if now - self._away > PATIENCE and len(self._open) == len(self._waiting):
            raise StorageError(f"{error}{kept}; the same command continues the search") from None

    def _back(self, recorded: int) -> None:
        if self._away is not None:
            self._say(f"the database is back after {time.monotonic() - self._away:.0f} s, {recorded} results recorded")
            self._away = None
