"""What a study is: its space, objectives, constraints, recipe and search settings, as one frozen value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cspnas.objectives import Constraint
from cspnas.recipe import Recipe
from cspnas.space import SearchSpace


@dataclass(frozen=True, slots=True)
class Baselines:
    """The plain and the all-CSP curve: `widths` networks each, the CSP one with this `split_ratio` and `fusion`."""

    widths: int = 5
    split_ratio: float = 0.5
    fusion: str = "both"


@dataclass(frozen=True, slots=True)
class Study:
    """`trials`: trainings in all; `confirm_share` of them re-train the front with new seeds. `time_limit` in seconds;
    `timeout` in seconds for one training, 0: generous.
    """

    space_name: str
    space: SearchSpace
    objectives: tuple[str, ...]
    constraints: tuple[Constraint, ...]
    recipe: Recipe
    baselines: Baselines
    sampler: str = "nsga2"
    trials: int = 40
    seed: int = 0
    confirm_share: float = 0.25
    workers: int = 0
    time_limit: float | None = None
    timeout: float = 0.0

    def identity(self) -> dict[str, Any]:
        """What may not change while a study goes on, as flat JSON; budget, sampler and workers may."""
        space = asdict(self.space)
        stages = space.pop("stages")
        flat = {f"space.{key}": value for key, value in space.items()}
        flat |= {f"stages.{n}.{k}": list(v) for n, stage in enumerate(stages) for k, v in stage.items()}
        flat |= {"objectives": list(self.objectives), "constraints": sorted(c.text for c in self.constraints)}
        flat |= {f"proxy.{key}": value for key, value in asdict(self.recipe).items()}
        flat |= {f"baselines.{key}": value for key, value in asdict(self.baselines).items()}
        return flat | {"search.seed": self.seed}
