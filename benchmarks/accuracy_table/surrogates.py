"""Which model of accuracy the cost-aware sampler should have, decided on the accuracy table.

    python benchmarks/accuracy_table/surrogates.py [SPLITS]    a line a model and number of rows

Models are trained on random rows (first seeds) and judged on the others: Spearman's rank correlation, rms error in
points, the mean log density of the measured -log(error) under the predicted mean and noise (of a model that predicts a
deviation), CPU time of a fit with its hyperparameters and of 10,000 predictions. The product's own features for all.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.stats import norm, spearmanr
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import BayesianRidge
from table import load

from cspnas.network.serialization import architecture_from
from cspnas.samplers.features import Scaling, raw_features
from cspnas.samplers.hyperparameters import KernelHyperparameters, to_target

RESULTS = Path(__file__).parents[1] / "results" / "surrogates.json"
SIZES = (20, 50, 100, 200)
Array = np.ndarray
Predict = Callable[[Array], tuple[Array, Array | None]]  # mean and deviation of one training


def ours(x: Array, y: Array) -> Predict:
    """scikit-learn's Gaussian process, as the product has it."""
    surrogate = KernelHyperparameters()
    surrogate.fit(x, y)
    process = surrogate.condition(x, y)
    return lambda new: process.predict(new, return_std=True)


def a_length_each(x: Array, y: Array) -> Predict:
    """The same with a length for each feature."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    lengths = np.full(x.shape[1], np.sqrt(x.shape[1]))
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(lengths, (0.3, 60.0), nu=2.5) + WhiteKernel(0.1, (1e-4, 2.0))
    process = GaussianProcessRegressor(kernel, alpha=1e-8, normalize_y=True).fit(x, y)
    return lambda new: process.predict(new, return_std=True)


def botorch(x: Array, y: Array) -> Predict:
    """BoTorch's SingleTaskGP with its default priors."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Normalize, Standardize
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.set_num_threads(1)
    inputs, target = torch.tensor(x), torch.tensor(y)[:, None]
    process = SingleTaskGP(inputs, target, outcome_transform=Standardize(1), input_transform=Normalize(x.shape[1]))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(process.likelihood, process))

    def predict(new: Array) -> tuple[Array, Array | None]:
        with torch.no_grad():
            found = process.posterior(torch.tensor(new), observation_noise=True)
        return found.mean[:, 0].detach().numpy(), found.variance[:, 0].detach().sqrt().numpy()

    return predict


def linear(x: Array, y: Array) -> Predict:
    """Bayesian ridge regression."""
    model = BayesianRidge().fit(x, y)
    return lambda new: model.predict(new, return_std=True)


def forest(x: Array, y: Array) -> Predict:
    """A random forest of 300 trees."""
    model = RandomForestRegressor(300, min_samples_leaf=2, max_features=0.5, random_state=0).fit(x, y)
    return lambda new: (model.predict(new), None)


def boosted(x: Array, y: Array) -> Predict:
    """Gradient-boosted trees."""
    model = GradientBoostingRegressor(
        n_estimators=400, learning_rate=0.05, max_depth=3, subsample=0.5, min_samples_leaf=3, random_state=0
    ).fit(x, y)
    return lambda new: (model.predict(new), None)


MODELS = {
    "scikit-learn GP, one length (ours)": ours,
    "scikit-learn GP, a length for each feature": a_length_each,
    "BoTorch SingleTaskGP": botorch,
    "Bayesian ridge": linear,
    "random forest": forest,
    "boosted trees": boosted,
}


def judged(make: Callable[[Array, Array], Predict], x: Array, y: Array, train: Array, test: Array) -> dict[str, float]:
    """One split."""
    began = time.process_time()
    predict = make(x[train], y[train])
    fitted = time.process_time()
    many = x[np.resize(test, 10_000)]
    predict(many)
    ended = time.process_time()
    mean, deviation = predict(x[test])
    return {
        "spearman": float(spearmanr(mean, y[test]).statistic),
        "rms_points": float(100 * np.sqrt(np.mean((np.exp(-mean) - np.exp(-y[test])) ** 2))),
        "log_density": float(norm.logpdf(y[test], mean, deviation).mean()) if deviation is not None else float("nan"),
        "fit_cpu_seconds": fitted - began,
        "predict_cpu_seconds": ended - fitted,
    }


def main() -> None:
    """All models on the same splits; medians."""
    rows, _ = load()
    raw = [raw_features(architecture_from(row.architecture), row.costs) for row in rows]
    x, y = Scaling(raw)(raw), to_target(np.array([row.accuracies[0] for row in rows]))
    splits = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    document: dict[str, dict[str, dict[str, float]]] = {}
    print("| Model | Rows | Spearman | rms error, points | log density | fit, CPU s | 10,000 predictions, CPU s |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for size in SIZES:
        for name, make in MODELS.items():
            found = []
            for split in range(splits):
                order = np.random.default_rng(split).permutation(len(x))
                found.append(judged(make, x, y, order[:size], order[size:]))
            middle = {key: float(np.median([one[key] for one in found])) for key in found[0]}
            document.setdefault(name, {})[str(size)] = middle
            cells = [f"{middle[k]:.3f}" for k in ("spearman", "rms_points", "log_density")]
            cells += [f"{middle[k]:.2f}" for k in ("fit_cpu_seconds", "predict_cpu_seconds")]
            print(f"| {name} | {size} | " + " | ".join(cells).replace("nan", "-") + " |", flush=True)
    RESULTS.write_text(json.dumps({"rows": len(rows), "splits": splits, "models": document}, indent=1) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
