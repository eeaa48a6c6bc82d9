"""Objectives by name, each with its unit, direction and whether it is exact or has to be measured; constraints on them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cspnas.errors import InputError
from cspnas.io.did_you_mean import nearest
from cspnas.io.quantities import format_quantity
from cspnas.network.cost import Cost

Exact = Callable[[Cost, int], float]  # (cost, batch size) -> value


@dataclass(frozen=True, slots=True)
class Objective:
    """`exact` objectives are closed forms of the network; the others are measured in each evaluation, whose result has
    the value under the objective's name.

    `span` is (least, greatest) where the hypervolume's range is fixed; elsewhere it is the admitted range of the space.
    Fractions count on a linear scale, all others on a log scale.
    """

    name: str
    unit: str
    maximise: bool
    exact: Exact | None
    span: tuple[float, float] | None = None

    @property
    def linear(self) -> bool:
        """Whether its scale is linear."""
        return self.unit == "fraction"


# No space tells its range of latencies before one is measured: from faster than any kernel starts to slower than any
# proxy runs, so that networks that differ by a factor differ alike wherever they lie.
LATENCY_SPAN = (1e-6, 10.0)

OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        objective.name: objective
        for objective in (
            Objective("accuracy", "fraction", True, None, (0.0, 1.0)),
            Objective("flops", "FLOPs", False, lambda cost, batch: cost.flops),
            Objective("params", "parameters", False, lambda cost, batch: cost.params),
            Objective("peak_memory", "bytes", False, lambda cost, batch: cost.peak_memory),
            Objective("training_memory", "bytes", False, lambda cost, batch: cost.training_memory(batch)),
            Objective("traffic", "elements", False, lambda cost, batch: cost.traffic),
            Objective("evenness", "fraction", True, lambda cost, batch: cost.evenness, (0.0, 1.0)),
            Objective("latency", "seconds", False, None, LATENCY_SPAN),
        )
    }
)
EXACT = tuple(name for name, objective in OBJECTIVES.items() if objective.exact)
MEASURED = tuple(name for name, objective in OBJECTIVES.items() if not objective.exact)


def exact_values(cost: Cost, batch_size: int) -> dict[str, float]:
    """Every exact objective of one network; keys are the objectives' names, counts are integers."""
    exact = ((name, objective.exact) for name, objective in OBJECTIVES.items())
    return {name: value(cost, batch_size) for name, value in exact if value is not None}


def with_unit(name: str) -> str:
    """A figure's name with its unit, as machine-readable output has it: `peak_memory_bytes`."""
    unit = OBJECTIVES[name].unit if name in OBJECTIVES else ""
    return f"{name}_{unit}" if unit in ("bytes", "elements", "seconds") else name


def check_objectives(names: list[str], where: str = "--objective") -> tuple[str, ...]:
    """`names` as they stand, accuracy among them. Raises InputError for an unknown, repeated or missing one."""
    for name in names:
        if name not in OBJECTIVES:
            raise InputError(
                f"objective {name!r}",
                expected=f"one of {', '.join(OBJECTIVES)}",
                where=where,
                hint=nearest(name, OBJECTIVES),
            )
    if len(set(names)) < len(names):
        raise InputError(f"objectives {names}", expected="each once", where=where)
    if "accuracy" not in names or len(names) < 2:
        raise InputError(f"objectives {names}", expected="accuracy and at least one cost", where=where)
    return tuple(names)


def check_one_measured(names: Sequence[str], where: str) -> None:
    """Raises InputError where sampler cost-aware would have to model more than accuracy."""
    measured = [name for name in names if name in MEASURED]
    if len(measured) != 1:
        raise InputError(
            f"objectives {' and '.join(measured)} with sampler cost-aware",
            expected="one measured objective, all others exact",
            where=where,
            hint="take sampler nsga2 or tpe, or leave one of them out",
        )


_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BYTES = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
GREATEST = 1e30  # of a bound
_CONSTRAINT = re.compile(r"\s*(\w+)\s*(<=|>=)\s*([0-9]*\.?[0-9]+(?:e[0-9]{1,2})?)\s*([A-Za-z]*)\s*")


@dataclass(frozen=True, slots=True)
class Constraint:
    """`name` `sign` `bound`, for an exact objective; `text` is how the user wrote it."""

    name: str
    sign: str
    bound: float
    text: str

    def violation(self, values: Mapping[str, Any]) -> float:
        """How far beyond the bound, relative to it; 0 or less where it holds."""
        excess = (values[self.name] - self.bound) / max(1, self.bound)
        return float(excess if self.sign == "<=" else -excess)


def parse_constraint(text: str, where: str = "--constraint") -> Constraint:
    """`flops<=40M`, `peak_memory <= 256KiB`. Raises InputError for anything else."""
    match = _CONSTRAINT.fullmatch(text)
    if not match:
        raise InputError(
            f"constraint {text[:60]!r}",
            expected="NAME<=VALUE or NAME>=VALUE, as in flops<=40M or peak_memory<=256KiB",
            where=where,
        )
    name, sign, number, unit = match.groups()
    if name not in EXACT:
        raise InputError(
            f"constraint on {name!r}", expected=f"one of {', '.join(EXACT)}", where=where, hint=nearest(name, EXACT)
        )
    bound = _fraction(name, number, unit, where) if OBJECTIVES[name].linear else _amount(name, number, unit, where)
    return Constraint(name, sign, bound, text.replace(" ", ""))


def _amount(name: str, number: str, unit: str, where: str) -> int:
    units = _BYTES if OBJECTIVES[name].unit == "bytes" else _UNITS
    if unit not in units:
        raise InputError(f"unit {unit!r} of {name}", expected=f"one of {', '.join(filter(None, units))}", where=where)
    amount = float(number) * units[unit]
    if amount > GREATEST:
        raise InputError(f"{name} {number[:20]}...{unit}", expected=f"at most {GREATEST:g}", where=where)
    return round(amount)


def _fraction(name: str, number: str, unit: str, where: str) -> float:
    if unit or float(number) > 1:
        raise InputError(f"{name} {number}{unit}", expected="a fraction from 0 to 1 without a unit", where=where)
    return float(number)


# A training pass over 10,000 images of a larger one is days of a GPU: a slip of a width, not a wish.
LARGEST = Constraint("flops", "<=", 10**12, "flops<=1T")


def format_objective(name: str, value: float | None) -> str:
    """`value` of an objective with a unit that a person reads: 1.24M, 96.5KiB, 88.31%, 1.24ms."""
    return format_quantity(value, OBJECTIVES[name].unit)
