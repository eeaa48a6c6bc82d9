"""What a study is: its space, objectives, constraints, recipe and search settings, as one frozen value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from annotated_types import Interval

from cspnas.io.bounds import Ratio, Share
from cspnas.network.architecture import Architecture, Fusion
from cspnas.network.cost import Cost, CostTable
from cspnas.network.deployment import DEFAULT_DEPLOYMENT, Deployment, stated_deployment
from cspnas.objectives.objectives import Constraint, exact_values
from cspnas.space.search_space import SearchSpace
from cspnas.training.recipe import Recipe, stated_keys

SAMPLERS = ("cost-aware", "nsga2", "tpe", "gp", "random")
_SAMPLERS = f"{', '.join(SAMPLERS[:-1])} or {SAMPLERS[-1]}"

NO_CSP_BASELINES = "no all-CSP baselines: the space says csp: false of every stage"


@dataclass(frozen=True, slots=True)
class Baselines:
    """The plain and the all-CSP curve: `widths` networks each, the CSP one with this `split_ratio` and `fusion`."""

    widths: Annotated[int, Interval(ge=0, le=50), "networks on each curve"] = 5
    split_ratio: Annotated[Ratio, "of every stage of the all-CSP curve"] = 0.5
    fusion: Annotated[Fusion, "of every stage of the all-CSP curve"] = "both"


@dataclass(frozen=True, slots=True)
class Study:
    """`trials`: trainings in all; `confirm_share` of them repeat networks with new seeds, by turns one of the front and one
    of the baselines beside it. `time_limit` in seconds; `timeout` in seconds for one training, 0: generous.
    `given`: networks that are trained first.
    """

    space_name: str
    space: SearchSpace
    objectives: tuple[str, ...]
    constraints: tuple[Constraint, ...]
    recipe: Recipe
    baselines: Baselines
    sampler: Annotated[str, _SAMPLERS] = "cost-aware"
    trials: Annotated[int, Interval(ge=1, le=1_000_000), "trainings in all, confirmations included"] = 40
    seed: Annotated[int, Interval(ge=0, lt=2**63), "of the sampler and of every training"] = 0
    confirm_share: Annotated[
        Share,
        "share of the trainings that repeat a network with a new seed: by turns one of the front and one of the "
        "baselines beside it",
    ] = 0.25
    workers: Annotated[int, Interval(ge=0, le=4096), "processes; 0 = one per core or GPU"] = 0
    time_limit: float | None = None
    timeout: Annotated[
        float,
        Interval(ge=0, le=1e7),
        "seconds for one training, then its worker counts as hung; 0 = generous, from its work",
    ] = 0.0
    given: tuple[Architecture, ...] = ()
    deployment: Deployment = DEFAULT_DEPLOYMENT

    def cost_table(self) -> CostTable:
        """An empty table of costs of its networks, in the order that they are deployed in."""
        return CostTable(self.deployment.order)

    def exact_costs(self, cost: Cost) -> dict[str, float]:
        """Every exact objective of a network of this `cost`, as it trains and is deployed here. Raises InputError for a cost
        in another order.
        """
        return exact_values(cost.deployed(self.deployment), self.recipe.batch_size)

    def identity(self) -> dict[str, object]:
        """What may not change while a study goes on, as flat JSON; budget, sampler and workers may."""
        flat = {f"space.{key}": value for key, value in asdict(self.space).items() if key != "stages"}
        stages = enumerate(self.space.stages)
        flat |= {f"stages.{n}.{key}": list(choices) for n, stage in stages for key, choices in stage.stated().items()}
        flat |= {"objectives": list(self.objectives), "constraints": sorted(c.text for c in self.constraints)}
        flat |= {f"proxy.{key}": value for key, value in stated_keys(self.recipe).items()}
        flat |= {f"baselines.{key}": value for key, value in asdict(self.baselines).items()}
        flat |= {f"deployment.{key}": value for key, value in stated_deployment(self.deployment).items()}
        return flat | {"search.seed": self.seed}
