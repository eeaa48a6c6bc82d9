"""A source of work whose database may be away for a while: trainings go on, their results wait on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cspnas.errors import StorageError
from cspnas.runners.protocol import Done, Wait, Work, WorkSource
from cspnas.searching.driver import Driver
from cspnas.storage.engine import UnreachableError
from cspnas.storage.result_spool import Spool
from cspnas.study.failures import validated_result
from cspnas.training.payload import ResultPayload

# Seconds without the server, and without a training that goes on, after which a search ends.
SERVER_PATIENCE = 600.0


@dataclass(frozen=True, slots=True)
class ResultKeeper:
    """Keeps results of one driver's trainings on disk."""

    spool: Spool
    recipe_digest: str
    driver_id: int

    def keep(self, work: Work, result: ResultPayload) -> Path | None:
        """The result's file; none for what is to be tried again, which the next search does anyway."""
        failure = result.get("failure")
        if failure and work.again(failure["kind"]) is not None:
            return None
        kept: ResultPayload = {"micro_batch": work.micro_batch, **validated_result(result)}
        return self.spool.put(work.key(self.recipe_digest), self.driver_id, kept)


class OutageTolerantSource:
    """Hands on the work of `source`. A server that is away is waited for; where a SQLite file takes nothing more, the
    search ends with its result kept.

    `shared`: whether the database is a server. `under_way`: how many trainings `source` waits for. `say` hears one line
    when the database goes, and one when it is back.
    """

    def __init__(
        self,
        source: WorkSource,
        keeper: ResultKeeper,
        *,
        shared: bool,
        under_way: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        self._source, self._keeper, self._shared, self._under_way, self._say = source, keeper, shared, under_way, say
        self._waiting: list[tuple[Work, ResultPayload, Path | None]] = []
        # Since when, on the monotonic clock.
        self._away: float | None = None

    def suggest(self) -> Work | Wait | Done:
        """As the source's; Wait while the server is away."""
        try:
            recorded = self._record_waiting()
            found = self._source.suggest()
        except UnreachableError as error:
            self._gone(error)
            return Wait()
        self._back(recorded)
        return found

    def finish(self, work: Work, result: ResultPayload) -> bool | None:
        """As the source's; where the result cannot be recorded it is kept on disk until it can."""
        try:
            recorded = self._record_waiting()
            final = self._source.finish(work, result)
        except UnreachableError as error:
            self._waiting.append((work, result, self._keeper.keep(work, result)))
            self._gone(error)
            return True
        self._back(recorded)
        return final

    def _record_waiting(self) -> int:
        """Record what could not be recorded before; how many results. Raises UnreachableError."""
        count = 0
        while self._waiting:
            work, result, path = self._waiting[0]
            self._source.finish(work, result)
            if path is not None:
                path.unlink(missing_ok=True)
            del self._waiting[0]
            count += 1
        return count

    def _gone(self, error: UnreachableError) -> None:
        """Raises StorageError where there is nothing to wait for."""
        folder = self._keeper.spool.folder
        kept = f"; results are kept in {folder}" if self._waiting else ""
        if not self._shared:
            raise type(error)(f"{error}{kept and kept + ' and recorded then'}") from None
        now = time.monotonic()
        if self._away is None:
            self._away = now
            self._say(f"the database is away, trainings go on, results are kept in {folder} until it is back")
        if now - self._away > SERVER_PATIENCE and self._under_way() == len(self._waiting):
            raise StorageError(f"{error}{kept}; the same command continues the search") from None

    def _back(self, recorded: int) -> None:
        if self._away is not None:
            self._say(f"the database is back after {time.monotonic() - self._away:.0f} s, {recorded} results recorded")
            self._away = None


def outage_tolerant(driver: Driver, spool: Spool, say: Callable[[str], None]) -> OutageTolerantSource:
    """The work of a driver, whose results wait in `spool` while its database is away."""
    keeper = ResultKeeper(spool, driver.recipe_digest, driver.driver_id)
    shared = driver.database.shared
    return OutageTolerantSource(driver, keeper, shared=shared, under_way=lambda: driver.under_way, say=say)
