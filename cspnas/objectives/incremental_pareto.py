"""A Pareto front kept up to date while points come and change: a step costs one comparison with its members."""

from __future__ import annotations

import numpy as np

from cspnas.objectives.pareto import Array, non_dominated


class IncrementalFront:
    """The non-dominated rows of (n, m) losses, 0 best; equal rows are all kept, rows with a NaN never are."""

    def __init__(self, loss: Array) -> None:
        self._loss, self._count = loss.astype(float), len(loss)
        # Row numbers, in no order.
        self.members = np.flatnonzero(non_dominated(self._loss))

    @property
    def loss(self) -> Array:
        """(n, m) losses of all rows; a view."""
        return self._loss[: self._count]

    def put(self, row: int, loss: Array) -> bool:
        """Set the (m,) losses of `row`, a known one or the next; whether the front, or a point on it, changed."""
        if row == self._count:
            self._grow()
        others = self.members[self.members != row]
        was_member = len(others) < len(self.members)
        worse = was_member and bool((loss > self._loss[row]).any())
        self._loss[row] = loss
        # What it dominated before may now be on the front.
        if worse or not np.isfinite(loss).all():
            self.members = np.flatnonzero(non_dominated(self.loss))
            return True
        front = self._loss[others]
        if not was_member and bool(((front <= loss).all(1) & (front < loss).any(1)).any()):
            return False
        beaten = (loss <= front).all(1) & (loss < front).any(1)
        self.members = np.append(others[~beaten], row)
        return True

    def undominated(self, loss: Array) -> Array:
        """(k,) row numbers of the (n, m) `loss` that no member dominates."""
        left = np.arange(len(loss))
        for member in self._loss[self.members]:
            rows = loss[left]
            left = left[(rows < member).any(1) | (rows == member).all(1)]
        return left

    def _grow(self) -> None:
        if self._count == len(self._loss):
            more = np.full((max(64, self._count), self._loss.shape[1]), np.nan)
            self._loss = np.concatenate([self._loss, more])
        self._loss[self._count] = np.nan
        self._count += 1
