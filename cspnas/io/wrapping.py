"""Text for people as wide as their terminal; in a pipe it has a width of its own, the same on every machine."""

from __future__ import annotations

import sys
from textwrap import fill

# Columns.
PIPE_WIDTH = 100
# Between two columns of a table.
GAP = "  "


def width() -> int:
    """Columns of what is printed on stdout: the terminal's, or `PIPE_WIDTH`."""
    if not sys.stdout.isatty():
        return PIPE_WIDTH
    from rich.console import Console

    return Console().width


def wrapped(text: str, columns: int | None = None, indent: str = "  ") -> str:
    """`text` in lines of at most `columns`, or of what there is; the second and later ones are indented."""
    return fill(text, columns or width(), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def wrapped_lines(text: str) -> str:
    """Each line of `text` wrapped on a terminal; in a pipe it stays a line, for whoever looks for it."""
    return "\n".join(map(wrapped, text.splitlines())) if sys.stdout.isatty() else text
