"""The objectives, one row each, and constraints on them.

A package outside adds one by an entry point of group `cspnas.objectives` that names an `Objective`; every process that
imports the package then knows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from cspnas.errors import InputError
from cspnas.io.did_you_mean import nearest
from cspnas.io.installed import with_installed
from cspnas.io.quantities import format_quantity
from cspnas.network.cost import Cost

# (cost, batch size) -> value.
Exact = Callable[[Cost, int], float]
# Of a value, and of a bound.
GREATEST = 1e30


@dataclass(frozen=True, slots=True)
class Objective:
    """Its `title` heads an axis. An `exact` one is a closed form of the network. A measured one comes with a training:
    `measure` is MODULE:FUNCTION of a number from a `Trained` (`cspnas/training/measurement.py`), and the mean over seeds
    counts.

    `unit`: `fraction`, `seconds`, `bytes`, or what is counted. `span`: (least, greatest) where the hypervolume's range is
    fixed, as every measured one's is; elsewhere it is the admitted range of the space. `of_device`: values of two kinds of
    devices do not compare. `always`: measured in every training, wanted or not.
    """

    name: str
    title: str
    unit: str
    maximise: bool
    exact: Exact | None = None
    span: tuple[float, float] | None = None
    measure: str | None = None
    of_device: bool = False
    always: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a row that cannot be searched for."""
        if not re.fullmatch("[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"the objective's name {self.name!r} is not of small letters, digits and _")
        if (self.exact is None) == (self.measure is None) and self.name != "accuracy":
            raise ValueError(f"objective {self.name} has to be either exact or measured")
        if self.exact is None and self.span is None:
            raise ValueError(f"the measured objective {self.name} has no span")

    @property
    def linear(self) -> bool:
        """Whether its scale is linear, as a fraction's is; all others' are logarithmic."""
        return self.unit == "fraction"

    @property
    def key(self) -> str:
        """Its name with its unit, as machine-readable output has it: `peak_memory_bytes`."""
        return self.name if self.unit in ("fraction", "FLOPs", "parameters", self.name) else f"{self.name}_{self.unit}"

    @property
    def values(self) -> str:
        """What its values are, in words."""
        if self.linear:
            return "a number from 0 to 1"
        return "seconds above 0" if self.unit == "seconds" else f"a number from 0 to {GREATEST:g}"

    def accepts(self, value: object) -> bool:
        """Whether `value` is one of its values; true, false, NaN and what is infinite are none."""
        if type(value) not in (int, float):
            return False
        assert isinstance(value, int | float)
        least, greatest = (0.0, 1.0) if self.linear else (0.0, GREATEST)
        return least <= value <= greatest and (value > 0 or self.unit != "seconds")


_ROWS = (
    # Its training gives it.
    Objective("accuracy", "validation accuracy", "fraction", True, span=(0.0, 1.0)),
    Objective("flops", "FLOPs of one image", "FLOPs", False, lambda cost, _: cost.flops),
    Objective("params", "trainable parameters", "parameters", False, lambda cost, _: cost.params),
    Objective("peak_memory", "peak memory of inference (bytes)", "bytes", False, lambda cost, _: cost.peak_memory),
    Objective("weights_memory", "memory of the weights (bytes)", "bytes", False, lambda cost, _: cost.weight_bytes),
    Objective("training_memory", "memory of a training step (bytes)", "bytes", False, Cost.training_memory),
    Objective("traffic", "traffic (elements)", "elements", False, lambda cost, _: cost.traffic),
    Objective("evenness", "evenness of the layers' MACs", "fraction", True, lambda cost, _: cost.evenness, (0.0, 1.0)),
    # No space tells its range of latencies before one is measured: from faster than any kernel starts to slower than any
    # proxy runs, so that networks that differ by a factor differ alike wherever they lie.
    Objective(
        "latency",
        "latency of one inference (seconds)",
        "seconds",
        False,
        span=(1e-6, 10.0),
        measure="cspnas.training.latency:of_trained",
        of_device=True,
        always=True,
    ),
)
OBJECTIVES: Mapping[str, Objective] = MappingProxyType({row.name: row for row in _ROWS})


@cache
def all_objectives() -> Mapping[str, Objective]:
    """Ours, then those of installed packages. Raises InputError for one of these that cannot be used."""
    return with_installed(OBJECTIVES, Objective, "cspnas.objectives")


def objective_of(name: str) -> Objective:
    """The row of an objective. Raises InputError for a name that is none, and as `all_objectives` does."""
    row = OBJECTIVES.get(name) or all_objectives().get(name)
    if row is None:
        known = nearest(name, all_objectives())
        hint = f"{known} Else install the package that adds it" if known else "install the package that adds it"
        raise InputError(f"objective {name!r}", expected=f"one of {', '.join(all_objectives())}", hint=hint)
    return row


@cache
def exact_names() -> tuple[str, ...]:
    """The objectives that are closed forms of the network."""
    return tuple(name for name, row in all_objectives().items() if row.exact)


@cache
def measured_names() -> tuple[str, ...]:
    """The objectives that come with a training, accuracy first."""
    return tuple(name for name, row in all_objectives().items() if not row.exact)


def of_device(objectives: Collection[str]) -> list[str]:
    """Those of `objectives` whose values of two kinds of devices do not compare."""
    return [name for name in objectives if objective_of(name).of_device]


def measures(objectives: Collection[str]) -> dict[str, str]:
    """Name to MODULE:FUNCTION of what the trainings of a study with these objectives measure, accuracy apart."""
    rows = all_objectives().values()
    return {row.name: row.measure for row in rows if row.measure and (row.always or row.name in objectives)}


def exact_values(cost: Cost, batch_size: int) -> dict[str, float]:
    """Every exact objective of one network; keys are the objectives' names, counts are integers."""
    return {name: row.exact(cost, batch_size) for name, row in all_objectives().items() if row.exact}


def with_unit(name: str) -> str:
    """A figure's name with its unit, as machine-readable output has it: `peak_memory_bytes`."""
    row = all_objectives().get(name)
    return row.key if row else name


def check_objectives(names: list[str], where: str = "--objective") -> tuple[str, ...]:
    """`names` as they stand, accuracy among them. Raises InputError for an unknown, repeated or missing one."""
    for name in names:
        if name not in all_objectives():
            known = all_objectives()
            raise InputError(
                f"objective {name!r}", expected=f"one of {', '.join(known)}", where=where, hint=nearest(name, known)
            )
    if len(set(names)) < len(names):
        raise InputError(f"objectives {names}", expected="each once", where=where)
    if "accuracy" not in names or len(names) < 2:
        raise InputError(f"objectives {names}", expected="accuracy and at least one cost", where=where)
    return tuple(names)


def check_one_measured(names: Sequence[str], where: str) -> None:
    """Raises InputError where sampler cost-aware would have to model more than accuracy."""
    measured = [name for name in names if name in measured_names()]
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
_SECONDS = {"": 1, "s": 1, "ms": 1e-3, "us": 1e-6}
_OF_UNIT: Mapping[str, Mapping[str, float]] = {"bytes": _BYTES, "seconds": _SECONDS}
# Characters.
LONGEST_CONSTRAINT = 200
_CONSTRAINT = re.compile(r"\s*(\w+)\s*(<=|>=)\s*([0-9]*\.?[0-9]+(?:e[0-9]{1,2})?)\s*([A-Za-z]*|%)\s*")


@dataclass(frozen=True, slots=True)
class Constraint:
    """`name` `sign` `bound`, for an objective; `text` is how the user wrote it."""

    name: str
    sign: str
    bound: float
    text: str

    def violation(self, values: Mapping[str, float]) -> float:
        """How far beyond the bound, relative to it; 0 or less where it holds."""
        excess = (values[self.name] - self.bound) / max(1, self.bound)
        return float(excess if self.sign == "<=" else -excess)


def parse_constraint(text: str, where: str = "--constraint", *, measured: bool = False) -> Constraint:
    """`flops<=40M`, `peak_memory <= 256KiB`; with `measured` also `accuracy>=80%` and `latency<=2ms`, where trainings have
    told these. Raises InputError for anything else.
    """
    match = _CONSTRAINT.fullmatch(text) if len(text) <= LONGEST_CONSTRAINT else None
    if not match:
        raise InputError(
            f"constraint {text[:60]!r}",
            expected="NAME<=VALUE or NAME>=VALUE, as in flops<=40M or peak_memory<=256KiB",
            where=where,
        )
    name, sign, number, unit = match.groups()
    known = tuple(all_objectives()) if measured else exact_names()
    if name not in known:
        raise InputError(
            f"constraint on {name!r}", expected=f"one of {', '.join(known)}", where=where, hint=nearest(name, known)
        )
    bound = _fraction(name, number, unit, where) if objective_of(name).linear else _amount(name, number, unit, where)
    return Constraint(name, sign, bound, text.replace(" ", ""))


def _amount(name: str, number: str, unit: str, where: str) -> float:
    units = _OF_UNIT.get(objective_of(name).unit, _UNITS)
    if unit not in units:
        raise InputError(f"unit {unit!r} of {name}", expected=f"one of {', '.join(filter(None, units))}", where=where)
    amount = float(number) * units[unit]
    if amount > GREATEST:
        raise InputError(f"{name} {number[:20]}...{unit}", expected=f"at most {GREATEST:g}", where=where)
    return round(amount) if unit and units is not _SECONDS else amount


def _fraction(name: str, number: str, unit: str, where: str) -> float:
    value = float(number) / (100 if unit == "%" else 1)
    if unit not in ("", "%") or value > 1:
        raise InputError(f"{name} {number}{unit}", expected="a fraction from 0 to 1, or up to 100%", where=where)
    return value


# A training pass over 10,000 images of a larger one is days of a GPU: a slip of a width, not a wish.
DEFAULT_LIMIT = Constraint("flops", "<=", 10**12, "flops<=1T")


def format_objective(name: str, value: float | None) -> str:
    """`value` of an objective with a unit that a person reads: 1.24M, 96.5KiB, 88.31%, 1.24ms."""
    return format_quantity(value, objective_of(name).unit)
