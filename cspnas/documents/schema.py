"""The shape of the documents a user writes, as pydantic models: what is checked at the edge and what editors are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from cspnas.network.architecture import Fusion, NormOrder, Split, Taps


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
Family = Literal["densenet", "peleenet", "resnet", "resnext", "darknet"]
StemKind = Literal["conv", "pelee"]
PoolKernel = Literal[0, 2, 3]
Stride = Literal[1, 2, 4]


def _choices(value_type: Any) -> Any:
    """One value (fixed) or a list of choices (searched); the JSON schema allows both."""
    listed = Annotated[list[value_type], Field(min_length=1)]
    return Annotated[listed, BeforeValidator(_as_list, json_schema_input_type=value_type | listed)]


if TYPE_CHECKING:  # mypy reads no computed types
    Depths = list[int]
    Widths = list[int]
    Switches = list[bool]
    Ratios = list[float]
    Positives = list[float]
    Fusions = list[Fusion]
    Splits = list[Split]
    TapChoices = list[Taps]
    Pools = list[str]
    Activations = list[str]
    Norms = list[NormOrder]
else:
    Depths, Widths, Switches, Ratios = map(_choices, (Depth, Width, bool, Ratio))
    Positives, Fusions, Splits, TapChoices = map(
        _choices, (Positive, Fusion, Literal["slice", "project", "expand"], Taps)
    )
    Pools, Activations, Norms = map(_choices, (Literal["after", "before"], Activation, NormOrder))


class StemDocument(_Model):
    """The layers before the first stage."""

    channels: Width = Field(default=8, description="output channels of its convolutions")
    kernel: Literal[1, 3, 5, 6, 7] = Field(default=3, description="height and width of the filters")
    stride: Stride = Field(default=1, description="of the first convolution")
    kind: StemKind = Field(
        default="conv", description="conv: convolutions in a row; pelee: PeleeNet's two branches, stride 4"
    )
    hidden: list[Width] = Field(default=[], max_length=8, description="convolutions before the last one (deep stem)")
    pool: PoolKernel = Field(default=0, description="max pool of this size and stride 2 at the end; 0: none")
    fuse: bool = Field(
        default=True,
        description="pelee: a 1x1 convolution over both branches; false: in the pooled branch, twice as wide",
    )


Stems = Annotated[
    Annotated[list[StemDocument], Field(min_length=1)],
    BeforeValidator(_as_list, json_schema_input_type=StemDocument | Annotated[list[StemDocument], Field(min_length=1)]),
]


class StageDocument(_Model):
    """One stage; each key is a value or a list of choices."""

    depth: Depths = Field(description="layers or blocks")
    growth_rate: Widths | None = Field(
        default=None, description="densenet, peleenet: channels that each dense layer adds"
    )
    width: Widths | None = Field(default=None, description="resnet, resnext, darknet: output channels of the stage")
    csp: Switches = Field(default=[True, False], description="whether the stage is Cross Stage Partial")
    split_ratio: Ratios = Field(default=[0.25, 0.5, 0.75], description="fraction of channels routed around the block")
    fusion: Fusions = Field(default=["first", "last", "both"], description="where the branches fuse")
    split: Splits | None = Field(
        default=None,
        description="how the parts are made: slice of the input, project (two 1x1), expand (one 1x1, cut in two); "
        "slice where not said, project in resnet, resnext and darknet",
    )
    taps: TapChoices | None = Field(
        default=None, description="resnet, resnext, darknet: what the block hands to the fusion; last where not said"
    )
    pool: Pools | None = Field(
        default=None,
        description="densenet, peleenet: pool after or before the last transition; not in the last stage; "
        "after where not said",
    )
    bottleneck_ratio: Positives | None = Field(
        default=None,
        description="width inside a layer over growth_rate (2 where not said), or inside a block over the block's width "
        "(at most 1; 0.5 where not said)",
    )
    groups: Widths | None = Field(
        default=None, description="resnet, resnext, darknet: groups of the 3x3 convolutions; 1 where not said"
    )
    compression: Positives | None = Field(
        default=None,
        description="densenet, peleenet: output channels over channels before the transition; 0.5 where not said",
    )


class InputDocument(_Model):
    """The images that the networks read, where no data set is at hand to say it."""

    shape: Annotated[list[Width], Field(min_length=3, max_length=3)] = Field(
        description="channels, height, width, as in [3, 224, 224]"
    )
    classes: Annotated[int, Field(ge=2, le=10_000_000)] = Field(description="of the classification")


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

    sampler: str = Field(default="cost-aware", description="cost-aware, nsga2, tpe, gp or random")
    trials: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=40, description="trainings in all, confirmations included"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=0, description="of the sampler and of every training")
    confirm: Share = Field(
        default=0.25,
        description="share of the trainings that repeat a network with a new seed: by turns one of the front and one of the "
        "baselines beside it",
    )
    workers: Annotated[int, Field(ge=0, le=4096)] = Field(default=0, description="processes; 0 = one per core or GPU")
    timeout: Annotated[Annotated[float, Field(ge=0, le=1e7)], BeforeValidator(_number)] = Field(
        default=0.0, description="seconds for one training, then its worker counts as hung; 0 = generous, from its work"
    )


class BaselinesDocument(_Model):
    """The plain and the all-CSP curve, trained first."""

    widths: Annotated[int, Field(ge=0, le=50)] = Field(default=5, description="networks on each curve")
    split_ratio: Ratio = Field(default=0.5, description="of every stage of the all-CSP curve")
    fusion: Fusion = Field(default="both", description="of every stage of the all-CSP curve")


class SpaceDocument(_Model):
    """A search space with everything a search needs."""

    family: Family = Field(description="the kind of block")
    activation: Activations = Field(default=["relu"], description="after every convolution; one or a list of choices")
    norm: Norms = Field(
        default=["after"], description="batch norm after each convolution, or before it; one or a list of choices"
    )
    stem: Stems = Field(default=[StemDocument()], description="before the first stage; one or a list of choices")
    stages: list[StageDocument] = Field(min_length=1, description="in order; every stage but the last halves the map")
    objectives: list[str] = Field(
        default=["accuracy", "flops", "peak_memory"],
        description="accuracy and at least one of flops, params, peak_memory, training_memory, traffic, evenness, latency",
    )
    constraints: list[str] = Field(default=[], description="bounds on exact costs, as in flops <= 4M")
    input: InputDocument | None = Field(
        default=None, description="shape and classes; the data set's where not said, and where both are said they agree"
    )
    proxy: ProxyDocument = Field(default=ProxyDocument(), description="how each candidate is trained")
    search: SearchDocument = Field(default=SearchDocument(), description="budget and method")
    baselines: BaselinesDocument = Field(default=BaselinesDocument(), description="curves that are trained first")


class CspDocument(_Model):
    """The CSP wiring of a stage, widths resolved."""

    fusion: Fusion
    part1: Width
    part2: Width
    t1: Width | None = None
    split: Split = "slice"
    linear: bool = False
    taps: Taps = "last"


class DownsampleDocument(_Model):
    """The layer before a stage's split or block."""

    width: Width
    stride: Stride = 2
    kind: Literal["conv", "average"] = "conv"
    groups: Width = 1


class ResolvedStageDocument(_Model):
    """One stage of an architecture, widths resolved."""

    depth: Depth
    growth_rate: Width | None = None
    bottleneck: Width
    out: Width
    pool: bool = False
    csp: CspDocument | None = None
    pool_first: bool = False
    transition: bool = True
    width: Width | None = None
    groups: Width = 1
    stride: Stride = 1
    shortcut: Literal["project", "common"] = "project"
    downsample: DownsampleDocument | None = None


class ArchitectureDocument(_Model):
    """One architecture, with what was measured about it where it comes from a study."""

    cspnas: Literal["architecture/1"]
    family: Family
    input_shape: Annotated[list[Width], Field(min_length=3, max_length=3)]
    classes: Annotated[int, Field(ge=1, le=10_000_000)]
    activation: Activation = "relu"
    norm: NormOrder = "after"
    head: Literal["linear", "conv"] = "linear"
    negative_slope: Share = 0.1
    stem: StemDocument
    stages: list[ResolvedStageDocument] = Field(min_length=1)
    digest: str | None = None
    costs: dict[str, int | float] | None = None
    measured: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    recipe: ProxyDocument | None = None
    made_by: dict[str, Any] | None = None
    source: str | None = None
