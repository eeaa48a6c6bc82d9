"""The sampler that a study names."""

from __future__ import annotations

from cspnas.sampler_protocol import Sampler
from cspnas.study import Study


def sampler_of(study: Study) -> Sampler:
    """A new one, which knows no results yet. Only what it needs is imported."""
    if study.sampler == "cost-aware":
        from cspnas.samplers.cost_aware import CostAwareSampler

        return CostAwareSampler(study)
    from cspnas.samplers.optuna_samplers import OptunaSampler

    return OptunaSampler(study.sampler, study.space, study.objectives, study.seed)
