"""What is told of a search space, as values: the text and the JSON of `cspnas space` are made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cspnas.network.deployment import Deployment
from cspnas.objectives.objectives import with_unit
from cspnas.study.undecided_objectives import Undecided


@dataclass(frozen=True, slots=True)
class SpaceInput:
    """`shape` (C, H, W) of an image, and how many classes there are."""

    shape: tuple[int, ...]
    classes: int


@dataclass(frozen=True, slots=True)
class ObjectiveWords:
    """An objective as a reader is told of it: `known` is `exact` or `measured`, `better` `greater` or `smaller`."""

    name: str
    unit: str
    known: str
    better: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Of a cost, over the admitted networks, in its own unit."""

    least: float
    median: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Independence:
    """How many values a cost takes, and its Spearman correlation with flops (None where one of them never varies)."""

    values: int
    spearman_flops: float | None


@dataclass(frozen=True, slots=True)
class LowerShares:
    """Of CSP stages, the share that have fewer MACs, and a lower peak, than with the same genes and csp off."""

    macs: float
    peak_memory: float


@dataclass(frozen=True, slots=True)
class BaselinePlace:
    """A baseline of a `curve` (`plain` or `csp`): its exact costs by objective, and the share of admitted networks that cost
    less (`below`).
    """

    curve: str
    costs: dict[str, float]
    below: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """With units in the names of costs."""
        costs = {with_unit(name): value for name, value in self.costs.items()}
        return {"curve": self.curve, **costs, "below": self.below}


@dataclass(frozen=True, slots=True)
class TrainingSeconds:
    """Of one training: of the smallest, median and greatest network, and the mean; of `all` of a study's trainings."""

    least: float
    median: float
    greatest: float
    mean: float
    all: float


@dataclass(frozen=True, slots=True)
class MeasuredTrainings:
    """What a study's `trainings` take by so many `workers`; `memory_bytes` that the greatest is predicted to need."""

    seconds: TrainingSeconds
    memory_bytes: int
    workers: int
    trainings: int


@dataclass(frozen=True, slots=True)
class SpaceStatistics:
    """All figures of a space. `ranges` are by objective with its unit; `peak_held_by`: a part of the network to the share of
    networks whose peak lies there; `csp_lowers`: by fusion; `training` is None where it is not measured.
    """

    input: SpaceInput
    deployment: Deployment
    objectives: list[ObjectiveWords]
    genotypes: int
    architectures: int
    architectures_exact: bool
    architectures_draws: int
    whole: bool
    sampled: int
    valid_share: float
    admitted_share: float
    ranges: dict[str, Spread]
    independence: dict[str, Independence]
    peak_held_by: dict[str, float]
    csp_lowers: dict[str, LowerShares]
    baselines: list[BaselinePlace]
    warnings: list[Undecided]
    training: MeasuredTrainings | None = None

    def to_json(self) -> dict[str, Any]:
        """As `cspnas space --json` prints it."""
        return asdict(self) | {"baselines": [one.to_json() for one in self.baselines]}
