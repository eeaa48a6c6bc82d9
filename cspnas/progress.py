"""What a person sees while a search runs: a live line on a terminal, plain lines in a pipe; always on stderr."""

from __future__ import annotations

import sys
import time
from typing import Any

from cspnas.failures import MAX_ATTEMPTS, quarantined
from cspnas.objectives import human
from cspnas.search import Session


class Progress:
    """Hears the runner's events. A finished training prints a line; on a terminal a last line shows the state."""

    def __init__(self, session: Session) -> None:
        self.driver, self.study = session.driver, session.study
        self.ledger = self.driver.ledger
        self._start, self._before = time.monotonic(), self.ledger.finished
        self._live = sys.stderr.isatty()
        workers = f"{len(session.devices)} workers on {', '.join(sorted(set(session.devices)))}"
        resumed = f", continuing after {self._before} trainings" if self._before else ""
        self._say(f"{self.study.trials} trainings, {workers}, sampler {self.study.sampler}{resumed}")

    def __call__(self, kind: str, work: Any, detail: Any) -> None:
        """One event of the runner."""
        if kind in ("finished", "crashed"):
            self._say(self._finished(kind, work, detail))
        if kind == "reused":
            self._say(
                f"reused: {human('accuracy', detail['accuracy'])}, network {detail['digest'][:12]}, not trained again"
            )
        if self._live:
            sys.stderr.write(f"\r\x1b[K{self.state()}")
            sys.stderr.flush()

    def _say(self, text: str) -> None:
        sys.stderr.write(("\r\x1b[K" if self._live else "") + text + "\n")
        sys.stderr.flush()

    def _finished(self, kind: str, work: Any, result: dict[str, Any]) -> str:
        network = self.ledger.networks[work.digest]
        failure = result.get("failure")
        outcome = _failed(kind, failure) if failure else human("accuracy", result["accuracy"])
        repeat = next(row["repeat"] for row in network.evaluations if row["id"] == work.evaluation_id)
        source = network.source if not repeat else f"seed {repeat + 1} of {network.source}"
        trial = self.ledger.trials.get(work.digest)
        source += "" if trial is None else f", trial {trial}"
        costs = ", ".join(
            f"{human(name, network.value(name))} {name}" for name in self.study.objectives if name != "accuracy"
        )
        line = f"[{self.ledger.finished}/{self.study.trials}] {outcome:>7}  {costs}  {source}"
        return line if self._live else f"{line}  | {self.state()}"

    def state(self) -> str:
        """Counts, rate, time left, front, hypervolume, best so far, on one line."""
        done, elapsed = self.ledger.finished, time.monotonic() - self._start
        fresh = done - self._before
        rate = 60 * fresh / elapsed if fresh else 0.0
        left = f"{(self.study.trials - done) / rate:.1f} min left" if rate else "time left unknown"
        front = self.ledger.front()
        best = human("accuracy", front[0].accuracy) if front else "-"
        counts = ", ".join(f"{n} {o}" for o, n in sorted(self.driver.outcomes.items()) if o != "training")
        failed = self.ledger.failed
        parts = [
            f"{done}/{self.study.trials} trained" + (f" ({failed} failed)" if failed else ""),
            f"{self.ledger.in_flight} running",
            counts,
            f"{rate:.1f}/min",
            left,
            f"front {len(front)}, hypervolume {self.ledger.hypervolume():.4f}, best {best}",
        ]
        return ", ".join(part for part in parts if part)

    def end(self) -> None:
        """Leave the terminal on a line of its own."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _failed(event: str, failure: dict[str, Any]) -> str:
    kind = failure["kind"]
    if event != "crashed":
        return f"failed ({kind} {MAX_ATTEMPTS} times: quarantined)" if quarantined(kind) else f"failed ({kind})"
    how = "alone and in smaller parts" if kind == "out of memory" else "again"
    return f"failed ({kind}, trying {how})"
