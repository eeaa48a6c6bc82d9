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
Ratio = Annotated[float, BeforeValidator(_number), Field(gt=0, lt=1)]
Positive = Annotated[float, BeforeValidator(_number), Field(gt=0, le=64)]
Depth = Annotated[int, Field(ge=1, le=256)]
# Every gene is one value (fixed) or a list of choices (searched).
DepthChoices = Annotated[list[Depth], BeforeValidator(_as_list), Field(min_length=1)]
WidthChoices = Annotated[list[Width], BeforeValidator(_as_list), Field(min_length=1)]
Switches = Annotated[list[bool], BeforeValidator(_as_list), Field(min_length=1)]
Ratios = Annotated[list[Ratio], BeforeValidator(_as_list), Field(min_length=1)]
Fusions = Annotated[list[Fusion], BeforeValidator(_as_list), Field(min_length=1)]
Positives = Annotated[list[Positive], BeforeValidator(_as_list), Field(min_length=1)]
Activation = Literal["relu", "leaky_relu", "silu", "mish", "hardswish", "gelu"]


class StemDocument(_Model):
    """The convolution before the first stage."""

    channels: Width = 8
    kernel: Literal[1, 3, 5, 7] = 3
    stride: Literal[1, 2, 4] = 1


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

    dataset: str = "fashion-mnist-mini"
    epochs: Annotated[int, Field(ge=1, le=10000)] = 5
    batch_size: Annotated[int, Field(ge=2, le=65536)] = 100
    learning_rate: Positive = 0.2
    weight_decay: Annotated[float, BeforeValidator(_number), Field(ge=0, lt=1)] = 5e-4
    label_smoothing: Annotated[float, BeforeValidator(_number), Field(ge=0, lt=1)] = 0.0
    flip: bool = True
    shift: Annotated[int, Field(ge=0, le=64)] = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class SearchDocument(_Model):
    """Budget and method."""

    sampler: str = "nsga2"
    trials: Annotated[int, Field(ge=1)] = Field(default=40, description="trainings in all, confirmations included")
    seed: Annotated[int, Field(ge=0)] = 0
    confirm: Annotated[float, BeforeValidator(_number), Field(ge=0, lt=1)] = Field(
        default=0.25, description="share of the trainings that re-train the front with new seeds"
    )
    workers: Annotated[int, Field(ge=0)] = Field(default=0, description="processes; 0 = one per core or GPU")


class BaselinesDocument(_Model):
    """The plain and the all-CSP curve, trained first."""

    widths: Annotated[int, Field(ge=0, le=50)] = 5
    split_ratio: Ratio = 0.5
    fusion: Fusion = "both"


class SpaceDocument(_Model):
    """A search space with everything a search needs."""

    family: Literal["densenet"]
    activation: Activation = "relu"
    stem: StemDocument = StemDocument()
    stages: list[StageDocument] = Field(min_length=1)
    objectives: list[str] = ["accuracy", "flops", "peak_memory"]
    constraints: list[str] = []
    proxy: ProxyDocument = ProxyDocument()
    search: SearchDocument = SearchDocument()
    baselines: BaselinesDocument = BaselinesDocument()


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
