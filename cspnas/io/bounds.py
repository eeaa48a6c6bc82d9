"""Numbers with bounds, which files are checked against. Building a value in Python checks none of them."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

Width = Annotated[int, Interval(ge=1, le=65536)]
Depth = Annotated[int, Interval(ge=1, le=256)]
Ratio = Annotated[float, Interval(gt=0, lt=1)]
Share = Annotated[float, Interval(ge=0, lt=1)]
Positive = Annotated[float, Interval(gt=0, le=64)]
