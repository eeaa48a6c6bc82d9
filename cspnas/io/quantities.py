"""Numbers with a unit that a person reads: 1.24M, 96.5KiB, 88.31%, 1.24ms, 1.2 min."""

from __future__ import annotations

from math import isnan

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))


def format_quantity(value: float | None, unit: str) -> str:
    """`value` in four digits, `-` where it is not known; `unit` is fraction, seconds, bytes, or what is counted."""
    if value is None or isnan(value):
        return "-"
    if unit == "fraction":
        return f"{100 * value:.2f}%"
    if unit == "seconds":
        scale, short = next((entry for entry in _SECONDS if abs(value) >= entry[0]), _SECONDS[-1])
        return f"{value / scale:.4g}{short}"
    base, names = (1024, ("B", "KiB", "MiB", "GiB", "TiB")) if unit == "bytes" else (1000, ("", "k", "M", "G", "T"))
    power = 0
    while abs(value) >= base and power < len(names) - 1:
        value, power = value / base, power + 1
    return f"{value:.4g}{names[power]}"


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 training`, `2,000 trainings`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """`seconds` for a person who waits: 45 s, 1.2 min, 3.5 h."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
