"""When a search ends because its machine is broken, or something that every network meets, which is no network's fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from cspnas.errors import CspnasError, FailureKind
from cspnas.runners.protocol import Done, Wait, Work, WorkSource
from cspnas.study.failures import quarantined
from cspnas.training.payload import Failure, ResultPayload

# Different networks that crash in a row: before any training of this search has ended well, and after.
ENOUGH_AT_FIRST, ENOUGH = 3, 5


class MachineFaults:
    """Passes on the work of `source`. What crashes is tried again as always, but is quarantined only once another training
    has ended, or there is nothing else to train. Where enough networks crashed before that, none is charged for it.

    Of trainings that crash at the same time one counts: whatever it was, the others may be its victims.
    `give_back` makes trainings again the tries that they are given as. `folder` has the logs.
    """

    def __init__(self, source: WorkSource, give_back: Callable[[Iterable[Work]], None], folder: Path) -> None:
        self._source, self._give_back, self._folder = source, give_back, folder
        # Crashes that counted in all, and by evaluation how many they were when each training that runs began.
        self._crashes, self._running = 0, dict[int, int]()
        self._is_sound = False
        self._begin_row()

    def _begin_row(self) -> None:
        # By evaluation: the first try that crashed in this row.
        self._crashed: dict[int, Work] = {}
        # By digest: what each network that counts failed of.
        self._counted: dict[str, Failure] = {}
        # Last tries, with their results.
        self._held: dict[int, tuple[Work, ResultPayload]] = {}

    def suggest(self) -> Work | Wait | Done:
        """As the source's. Raises CspnasError where enough networks crashed, once nothing is under way any more."""
        if len(self._counted) >= (ENOUGH if self._is_sound else ENOUGH_AT_FIRST):
            if self._running:
                return Wait()
            self._give_back(self._crashed.values())
            raise CspnasError(self._line())
        found = self._source.suggest()
        if self._held and not self._running and not isinstance(found, Work):
            self._record_held()
            found = self._source.suggest()
        if isinstance(found, Work):
            self._running[found.evaluation_id] = self._crashes
        return found

    def finish(self, work: Work, result: ResultPayload) -> bool | None:
        """As the source's."""
        began = self._running.pop(work.evaluation_id, -1)
        failure = result.get("failure")
        if failure is None or not self._may_be_machines(failure["kind"]):
            self._record_held()
            self._is_sound = True
            return self._source.finish(work, result)
        self._crashed.setdefault(work.evaluation_id, replace(work))
        if began == self._crashes and work.digest not in self._counted:
            self._crashes += 1
            self._counted[work.digest] = failure
        if work.again(failure["kind"]) is not None:
            return self._source.finish(work, result)
        self._held[work.evaluation_id] = work, result
        return True

    def _may_be_machines(self, kind: str) -> bool:
        """A timeout says that something hangs, or that too little time is allowed, until some training has ended in time."""
        return quarantined(kind) or (kind == FailureKind.TIMEOUT and not self._is_sound)

    def _record_held(self) -> None:
        held = list(self._held.values())
        self._begin_row()
        for work, result in held:
            self._source.finish(work, result)

    def _line(self) -> str:
        failure = list(self._counted.values())[-1]
        last = str(failure["message"]).strip().rpartition("\n")[2]
        return (
            f"{self._folder}: {len(self._counted)} different networks in a row failed ({failure['kind']}: {last}) and none "
            "ended between, which is no network's fault; see the logs there; the same command trains them again and goes on"
        )
