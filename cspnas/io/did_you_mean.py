"""The nearest known name, for errors about unknown ones."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

# The comparison takes the square of its time.
LONGEST = 100


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean X?`, or nothing where no known name is near; none is to a name of more than `LONGEST` characters."""
    if len(str(name)) > LONGEST:
        return ""
    matches = get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"did you mean {matches[0]}?" if matches else ""
