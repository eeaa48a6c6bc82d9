"""The shape of the documents a user writes, as pydantic models: what is checked at the edge and what editors are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field

from cspnas.documents.derived import DocumentModel, as_value, bare, choices, model_of, read
from cspnas.io.bounds import Width
from cspnas.network.architecture import Activation, Architecture, Csp, Downsample, NormOrder, Stage, Stem
from cspnas.network.deployment import DEFAULT_DEPLOYMENT, Deployment
from cspnas.network.families import all_families
from cspnas.objectives.objectives import all_objectives
from cspnas.space.stage_choices import StageChoices
from cspnas.study.settings import Baselines, Study
from cspnas.training.recipe import Recipe


def _of_families(key: str, text: str) -> str:
    """The description of a stage's key, after the names of the families that have it where others do not."""
    names = [name for name, row in all_families().items() if key in row.keys]
    return text if len(names) == len(all_families()) else f"{', '.join(names)}: {text}"


StemDocument = model_of(Stem, "StemDocument", "The layers before the first stage.", channels=8)
StageDocument = model_of(
    StageChoices,
    "StageDocument",
    "One stage; each key is a value or a list of choices.",
    kind=lambda hint: choices(read(get_args(bare(hint))[0])),
    words=_of_families,
    split_ratio=[0.25, 0.5, 0.75],
    fusion=["first", "last", "both"],
    **dict.fromkeys(key for row in all_families().values() for key in (*row.defaults, row.size_gene)),
)
ProxyDocument = model_of(Recipe, "ProxyDocument", "How each candidate is trained.")
# Fields of a study that a file has under `search`, with their keys there.
SEARCH = {name: name for name in ("sampler", "trials", "seed", "workers", "timeout")} | {"confirm_share": "confirm"}
SearchDocument = model_of(Study, "SearchDocument", "Budget and method.", keys=SEARCH)
BaselinesDocument = model_of(Baselines, "BaselinesDocument", "The plain and the all-CSP curve, trained first.")
DeploymentDocument = model_of(Deployment, "DeploymentDocument", "How the networks will run.")
model_of(Csp, "CspDocument", "The CSP wiring of a stage, widths resolved.")
model_of(Downsample, "DownsampleDocument", "The layer before a stage's split or block.")
model_of(Stage, "ResolvedStageDocument", "One stage of an architecture, widths resolved.")

# Mypy reads no computed types.
if TYPE_CHECKING:
    Family = str
    Activations = list[str]
    Norms = list[NormOrder]
    Stems = list[Stem]
    Stages = list[DocumentModel]
    Proxy = Recipe
    Curves = Baselines
    Deployed = Deployment
    ArchitectureModel = DocumentModel
    Search = Any
    Trained = Any
    DeployedKeys = Any
else:
    Family = Literal[tuple(all_families())]
    Activations, Norms, Stems = map(choices, (Activation, NormOrder, as_value(StemDocument, Stem)))
    Stages = list[StageDocument]
    Proxy, Curves = as_value(ProxyDocument, Recipe), as_value(BaselinesDocument, Baselines)
    ArchitectureModel = model_of(Architecture, "Architecture", "")
    Deployed = as_value(DeploymentDocument, Deployment)
    Search, Trained, DeployedKeys = SearchDocument, ProxyDocument, DeploymentDocument


class InputDocument(DocumentModel):
    """The images that the networks read, where no data set is at hand to say it."""

    shape: Annotated[list[Width], Field(min_length=3, max_length=3)] = Field(
        description="channels, height, width, as in [3, 224, 224]"
    )
    classes: Annotated[int, Field(ge=2, le=10_000_000)] = Field(description="of the classification")


class SpaceDocument(DocumentModel):
    """A search space with everything a search needs."""

    family: Family = Field(description="the kind of block")
    activation: Activations = Field(default=["relu"], description="after every convolution; one or a list of choices")
    norm: Norms = Field(
        default=["after"], description="batch norm after each convolution, or before it; one or a list of choices"
    )
    stem: Stems = Field(default=[Stem(8)], description="before the first stage; one or a list of choices")
    stages: Stages = Field(min_length=1, description="in order; every stage but the last halves the map")
    objectives: list[str] = Field(
        default=["accuracy", "flops", "peak_memory"],
        description=f"accuracy and at least one of {', '.join(name for name in all_objectives() if name != 'accuracy')}",
    )
    constraints: list[str] = Field(default=[], description="bounds on exact costs, as in flops <= 4M")
    input: InputDocument | None = Field(
        default=None, description="shape and classes; the data set's where not said, and where both are said they agree"
    )
    proxy: Proxy = Field(default=Recipe(), description="how each candidate is trained")
    search: Search = Field(default=SearchDocument(), description="budget and method")
    baselines: Curves = Field(default=Baselines(), description="curves that are trained first")
    deployment: Deployed = Field(
        default=DEFAULT_DEPLOYMENT,
        description="how the networks will run: what peak_memory, weights_memory and traffic are worked out for",
    )


class ArchitectureDocument(ArchitectureModel):
    """One architecture, with what was measured about it where it comes from a study."""

    cspnas: Literal["architecture/1"]
    family: Family
    digest: str | None = None
    costs: dict[str, int | float] | None = None
    deployment: DeployedKeys | None = None
    measured: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    recipe: Trained | None = None
    made_by: dict[str, Any] | None = None
    source: str | None = None
