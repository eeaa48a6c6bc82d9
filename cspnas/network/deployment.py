"""How a network will run, which the costs of its inference are worked out for."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Literal, get_args

from annotated_types import Interval

Precision = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Order = Literal["written", "best"]
ORDERS: tuple[Order, ...] = get_args(Order)
# Of one value or weight.
BYTES_OF = dict(zip(PRECISIONS, (4, 2, 1), strict=True))
LARGEST_BATCH = 65536


@dataclass(frozen=True, slots=True)
class Deployment:
    """`precision` of values and weights; `batch`: images at a time; `order` of the operations, which memory depends on. What
    `int8` kernels keep besides (32-bit accumulators, scales and zero points) is counted nowhere.
    """

    precision: Annotated[Precision, "of values and weights: float32, float16 or int8"] = "float32"
    batch: Annotated[int, Interval(ge=1, le=LARGEST_BATCH), "images at a time"] = 1
    order: Annotated[Order, "of the operations: as written, or the best one, which needs the least peak_memory"] = (
        "written"
    )

    @property
    def bytes(self) -> int:
        """Of one value or weight."""
        return BYTES_OF[self.precision]

    def __str__(self) -> str:
        order = "" if self.order == "written" else f", {self.order} order"
        return f"{self.precision}, batch {self.batch}{order}"


# Of what says nothing else.
DEFAULT_DEPLOYMENT = Deployment()


def stated_deployment(deployment: Deployment) -> dict[str, str | int]:
    """The keys whose values are not the default: what a study is made of, so that studies of before go on."""
    neutral = asdict(DEFAULT_DEPLOYMENT)
    return {key: value for key, value in asdict(deployment).items() if value != neutral[key]}
