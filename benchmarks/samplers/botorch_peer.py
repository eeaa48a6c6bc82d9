"""What a specialist would write with BoTorch: qLogNEHVI with a Gaussian process for accuracy and deterministic models for the
known costs, over the same pool and the same features that the cost-aware sampler has.

Daulton, Balandat and Bakshy 2021 (NEHVI); Ament et al. 2023 (its logarithm).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from botorch.acquisition.multi_objective import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
from botorch.fit import fit_gpytorch_mll
from botorch.models import ModelList, SingleTaskGP
from botorch.models.deterministic import GenericDeterministicModel
from botorch.models.transforms import Normalize, Standardize
from botorch.models.transforms.input import ChainedInputTransform, FilterFeatures
from botorch.sampling.get_sampler import get_sampler
from gpytorch.mlls import ExactMarginalLogLikelihood

from cspnas.samplers.acquisition import Observations, Points
from cspnas.samplers.cost_aware import CostAwareSampler
from cspnas.samplers.hyperparameters import to_target
from cspnas.study.suggestion import SamplerState

DRAWS = 32  # of the Monte Carlo mean; each partitions its own front, which is most of the time
BATCH = 1024  # candidates at once

torch.set_num_threads(1)


class BotorchSampler(CostAwareSampler):
    """The cost-aware sampler's candidates ranked by BoTorch; the process is fitted for every suggestion, as its users do."""

    name = "botorch"

    def about(self) -> dict[str, str]:
        """Name and version."""
        import botorch

        return {"sampler": self.name, "botorch": botorch.__version__}

    def _refit(self, trained: Observations) -> SamplerState:
        return {}

    def _ranked(self, trained: Observations, pending: Points, candidates: Points) -> Iterator[int]:
        x = _inputs(trained.points)[trained.network]
        model = _model(x, torch.tensor(to_target(trained.accuracy))[:, None], trained.points.costs.shape[1])
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model,
            ref_point=[self._results.reference.chance] + [-1.0] * trained.points.costs.shape[1],
            X_baseline=_inputs(trained.points),
            X_pending=_inputs(pending) if len(pending.costs) else None,
            sampler=get_sampler(model.posterior(x[:1]), torch.Size([DRAWS]), seed=len(x)),
            objective=GenericMCMultiOutputObjective(_gains),
            prune_baseline=True,
        )
        with torch.no_grad():
            values = torch.cat([acquisition(part[:, None]) for part in _inputs(candidates).split(BATCH)])
        yield from np.argsort(-values.numpy(), kind="stable").tolist()


def _inputs(points: Points) -> torch.Tensor:
    """(n, features + costs)."""
    return torch.tensor(np.concatenate([points.features, points.costs], axis=1))


def _model(x: torch.Tensor, y: torch.Tensor, costs: int) -> ModelList:
    """-log(error) by a fitted process on the features, the costs as they stand in the input."""
    features = x.shape[1] - costs
    transform = ChainedInputTransform(features=FilterFeatures(torch.arange(features)), scale=Normalize(features))
    process = SingleTaskGP(x, y, outcome_transform=Standardize(1), input_transform=transform)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(process.likelihood, process))
    return ModelList(process, GenericDeterministicModel(lambda inputs: inputs[..., features:], num_outputs=costs))


def _gains(samples: torch.Tensor, X: torch.Tensor | None = None) -> torch.Tensor:  # noqa: N803 - BoTorch's name
    """Maximised: accuracy, and each cost with its sign turned."""
    return torch.cat([1 - torch.exp(-samples[..., :1]), -samples[..., 1:]], dim=-1)
