"""Where a logarithmic axis has its ticks: at round numbers, few enough to be read side by side."""

from __future__ import annotations

from math import ceil, floor, log10

# Ticks of a wide range, whose labels are short.
MOST = 9
# Of a narrow one, whose labels have more digits.
NARROW_MOST = 6


def log_ticks(low: float, high: float, *, binary: bool = False) -> list[float]:
    """Round values from just below `low` to just above `high`, both above 0: 1, 2, 5 of each decade, or powers of two of
    bytes (`binary`); within a narrow range even steps.
    """
    if high < 10 * low:
        return _apart(_even(low, high, binary=binary), log10(high / low) / NARROW_MOST)
    ladder = _powers(low, high) if binary else _decades(low, high)
    return ladder[:: ceil(len(ladder) / MOST)]


def _apart(ticks: list[float], least: float) -> list[float]:
    """Those that are so many decades beyond the one before: even steps crowd at the upper end of a log axis."""
    kept = ticks[:1]
    for tick in ticks[1:]:
        if log10(tick / kept[-1]) >= least:
            kept.append(tick)
    return kept


def _powers(low: float, high: float) -> list[float]:
    first, last = (int(value).bit_length() for value in (low, high))
    return [float(2**power) for power in range(max(0, first - 1), last + 1)]


def _decades(low: float, high: float) -> list[float]:
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    digits = (1, 2, 5) if len(powers) <= MOST // 3 + 1 else (1,)
    values = [digit * 10.0**power for power in powers for digit in digits]
    return [value for value in values if low / 2.5 <= value <= high * 2.5]


def _even(low: float, high: float, *, binary: bool) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, in bytes times a power of 1024."""
    unit = 1024.0 ** floor(log10(max(1.0, low)) / log10(1024)) if binary else 1.0
    span = max(high - low, low / 10) / unit
    rough = span / 6
    power = 10.0 ** floor(log10(rough))
    step = unit * power * next(digit for digit in (1, 2, 5, 10) if digit * power >= rough)
    first, last = floor(low / step), ceil(high / step)
    return [step * count for count in range(max(1, first), last + 1)]
