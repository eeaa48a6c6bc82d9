"""The shape of the documents a user writes, as pydantic models: what is checked at the edge and what editors are told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cspnas.architecture import Fusion


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


Width = Annotated[int, Field(ge=1, le=65536)]
# The bounds stand before the validator: after it, they would not reach the JSON schema.
Ratio = Annotated[float, Field(gt=0, lt=1), BeforeValidator(_number)]
Share = Annotated[float, Field(ge=0, lt=1), BeforeValidator(_number)]
Positive = Annotated[float, Field(gt=0, le=64), BeforeValidator(_number)]
Depth = Annotated[int, Field(ge=1, le=256)]
Activation = Literal["relu", "leaky_relu", "silu", "mish", "hardswish", "gelu"]
# Every gene is one value (fixed) or a list of choices (searched); the JSON schema allows both.
DepthChoices = Annotated[
    Annotated[list[Depth], Field(min_length=1)],
    BeforeValidator(_as_list, json_schema_input_type=Depth | Annotated[list[Depth], Field(min_length=1)]),
]
WidthChoices = Annotated[
    Annotated[list[Width], Field(min_length=1)],
    BeforeValidator(_as_list, json_schema_input_type=Width | Annotated[list[Width], Field(min_length=1)]),
]
Switches = Annotated[
    Annotated[list[bool], Field(min_length=1)],
    BeforeValidator(_as_list, json_schema_input_type=bool | Annotated[list[bool], Field(min_length=1)]),
]
Ratios = Annotated[
    Annotated[list[Ratio], Field(min_length=1)],
    BeforeValidator(_as_list, json_schema_input_type=Ratio | Annotated[list[Ratio], Field(min_length=1)]),
]
Fusions = Annotated[
    Annotated[list[Fusion], Field(min_length=1)],
    BeforeValidator(_as_list, json_schema_input_type=Fusion | Annotated[list[Fusion], Field(min_length=1)]),
]
Positives = Annotated[
    Annotated[list[Positive], Field(min_length=1)],
    BeforeValidator(_as_list, json_schema_input_type=Positive | Annotated[list[Positive], Field(min_length=1)]),
]


class StemDocument(_Model):
    """The convolution before the first stage."""

    channels: Width = Field(default=8, description="output channels")
    kernel: Literal[1, 3, 5, 7] = Field(default=3, description="height and width of the filter")
    stride: Literal[1, 2, 4] = Field(default=1, description="the resolution is divided by it")


class StageDocument(_Model):
    """One stage; each key is a value or a list of choices."""

    depth: DepthChoices = Field(description="dense layers")
    growth_rate: WidthChoices = Field(description="channels that each dense layer adds")
    csp: Switches = Field(default=[True, False], description="whether the stage is Cross Stage Partial")
    split_ratio: Ratios = Field(default=[0.25, 0.5, 0.75], description="fraction of channels routed around the block")
    fusion: Fusions = Field(default=["first", "last", "both"], description="where the branches fuse")
    bottleneck_ratio: Positives = Field(default=[2.0], description="width of the 1x1 convolutions over growth_rate")
    compression: Positives = Field(default=[0.5], description="output channels over channels before the transition")


class ProxyDocument(_Model):
    """How each candidate is trained."""

    dataset: str = Field(
        default="fashion-mnist-mini", description="fashion-mnist-mini, fashion-mnist, cifar10, cifar100 or folder:PATH"
    )
    epochs: Annotated[int, Field(ge=1, le=10000)] = Field(default=4, description="passes over the training images")
    batch_size: Annotated[int, Field(ge=2, le=65536)] = Field(default=64, description="images a step")
    learning_rate: Positive = Field(default=0.15, description="peak; linear warm-up, then linear to zero")
    weight_decay: Share = Field(default=5e-4, description="L2 penalty on the weights")
    label_smoothing: Share = Field(default=0.0, description="share of the target spread over all classes")
    flip: bool = Field(default=True, description="mirror half of the images")
    shift: Annotated[int, Field(ge=0, le=64)] = Field(default=0, description="greatest random translation, pixels")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="of the arithmetic in training; auto measures which is faster"
    )


class SearchDocument(_Model):
    """Budget and method."""

    sampler: str = Field(default="nsga2", description="nsga2, tpe, gp or random")
    trials: Annotated[int, Field(ge=1)] = Field(default=40, description="trainings in all, confirmations included")
    seed: Annotated[int, Field(ge=0)] = Field(default=0, description="of the sampler and of every training")
    confirm: Share = Field(default=0.25, description="share of the trainings that re-train the front with new seeds")
    workers: Annotated[int, Field(ge=0)] = Field(default=0, description="processes; 0 = one per core or GPU")


class BaselinesDocument(_Model):
    """The plain and the all-CSP curve, trained first."""

    widths: Annotated[int, Field(ge=0, le=50)] = Field(default=5, description="networks on each curve")
    split_ratio: Ratio = Field(default=0.5, description="of every stage of the all-CSP curve")
    fusion: Fusion = Field(default="both", description="of every stage of the all-CSP curve")


class SpaceDocument(_Model):
    """A search space with everything a search needs."""

    family: Literal["densenet"] = Field(description="the kind of block")
    activation: Activation = Field(default="relu", description="after every convolution")
    stem: StemDocument = Field(default=StemDocument(), description="the convolution before the first stage")
    stages: list[StageDocument] = Field(min_length=1, description="in order; every stage but the last halves the map")
    objectives: list[str] = Field(
        default=["accuracy", "flops", "peak_memory"],
        description="accuracy and at least one of flops, params, peak_memory, training_memory, traffic",
    )
    constraints: list[str] = Field(default=[], description="bounds on exact costs, as in flops <= 4M")
    proxy: ProxyDocument = Field(default=ProxyDocument(), description="how each candidate is trained")
    search: SearchDocument = Field(default=SearchDocument(), description="budget and method")
    baselines: BaselinesDocument = Field(default=BaselinesDocument(), description="curves that are trained first")


class CspDocument(_Model):
    """The CSP wiring of a stage, widths resolved."""

    fusion: Fusion
    part1: Width
    part2: Width
    t1: Width | None = None


class ResolvedStageDocument(_Model):
    """One stage of an architecture, widths resolved."""

    depth: Depth
    growth_rate: Width
    bottleneck: Width
    out: Width
    pool: bool
    csp: CspDocument | None = None


class ArchitectureDocument(_Model):
    """One architecture, with what was measured about it where it comes from a study."""

    cspnas: Literal["architecture/1"]
    family: Literal["densenet"]
    input_shape: Annotated[list[Width], Field(min_length=3, max_length=3)]
    classes: Annotated[int, Field(ge=1)]
    activation: Activation = "relu"
    stem: StemDocument
    stages: list[ResolvedStageDocument] = Field(min_length=1)
    digest: str | None = None
    costs: dict[str, int] | None = None
    measured: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    recipe: ProxyDocument | None = None
    made_by: dict[str, Any] | None = None
