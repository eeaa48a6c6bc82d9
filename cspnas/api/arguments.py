"""Arguments of the Python functions, checked as a file or a flag would be."""

from __future__ import annotations

from math import isfinite
from numbers import Integral, Real
from typing import Any

from cspnas.errors import InputError

_KINDS: dict[type, tuple[type, str]] = {int: (Integral, "an integer"), float: (Real, "a number"), str: (str, "a text")}


def expect(where: str, **arguments: tuple[Any, ...]) -> None:
    """Each argument is (value, kind), (value, kind, least) or (value, kind, least, greatest); None is always allowed.

    Raises InputError for a value of another kind, beyond its bounds, infinite or NaN.
    """
    for name, (value, kind, *bounds) in arguments.items():
        if value is None:
            continue
        accepted, noun = _KINDS[kind]
        fits = isinstance(value, accepted) and not isinstance(value, bool)
        if fits and kind is not str:
            fits = isfinite(value) and bounds[0] <= value <= (bounds[1:] or [value])[0]
        if not fits:
            least = f" of at least {bounds[0]:,}" if bounds else ""
            most = f" and at most {bounds[1]:,}" if len(bounds) > 1 else ""
            raise InputError(f"{name}={value!r}", expected=f"{noun}{least}{most}", where=where)
