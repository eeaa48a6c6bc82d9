"""The model's beliefs in parts, against scikit-learn's own answers and against conditioning on everything anew."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

from cspnas.samplers.acquisition import AccuracyModel, Observations, Points
from cspnas.samplers.gaussian_process import GaussianProcess
from cspnas.samplers.hyperparameters import KernelHyperparameters

RNG = np.random.default_rng(3)
FEATURES, ACCURACY = RNG.normal(size=(30, 5)), RNG.uniform(0.7, 0.9, 30)
TARGET, NEW = -np.log(1 - ACCURACY), RNG.normal(size=(40, 5))


@pytest.fixture
def surrogate() -> KernelHyperparameters:
    fitted = KernelHyperparameters()
    fitted.fit(FEATURES, TARGET)
    return fitted


def test_mean_and_deviation_are_scikit_learns_without_the_noise(surrogate: KernelHyperparameters) -> None:
    model, process = GaussianProcess(surrogate, FEATURES, TARGET), surrogate.condition(FEATURES, TARGET)
    nothing = model.describe(np.empty((0, 5)))
    found = model.beside(model.describe(NEW), nothing)
    mean, deviation = process.predict(NEW, return_std=True)
    noise = process.kernel_.k2.noise_level * process._y_train_std**2
    assert found.mean == pytest.approx(mean) and model.mean(NEW) == pytest.approx(mean)
    assert found.deviation**2 == pytest.approx(deviation**2 - noise, rel=1e-6)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_points_in_flight_count_as_measured_at_the_models_own_mean(
    surrogate: KernelHyperparameters, count: int
) -> None:
    """Conditioned on all of them anew by scikit-learn; one of them is a network in flight a second time."""
    pending = np.concatenate([NEW[:count], NEW[:1]])
    model = GaussianProcess(surrogate, FEATURES, TARGET)
    found = model.beside(model.describe(NEW), model.describe(pending))
    process = surrogate.condition(FEATURES, TARGET)
    centre, scale = process._y_train_mean, process._y_train_std
    whole = GaussianProcessRegressor(process.kernel_, alpha=1e-8, optimizer=None)
    both = np.concatenate([TARGET, process.predict(pending)])
    whole.fit(np.concatenate([FEATURES, pending]), (both - centre) / scale)
    mean, deviation = whole.predict(NEW, return_std=True)
    assert found.mean == pytest.approx(centre + scale * mean)
    assert found.deviation**2 == pytest.approx(scale**2 * (deviation**2 - process.kernel_.k2.noise_level), rel=1e-5)


def test_what_is_kept_between_suggestions_changes_no_belief(surrogate: KernelHyperparameters) -> None:
    """More in flight, other candidates, new results, other hyperparameters, in turn: as a model that keeps nothing."""
    costs, kept = RNG.random((30, 2)), AccuracyModel(surrogate)
    candidates = [Points(NEW, RNG.random((40, 2))), Points(NEW + 1, RNG.random((40, 2)))]
    less = Observations(Points(FEATURES[:20], costs[:20]), np.arange(20), ACCURACY[:20])
    more = Observations(Points(FEATURES, costs), np.arange(30), ACCURACY)
    other = {"theta": [value + 0.5 for value in surrogate.dump()["theta"]], "rows": 30}
    asked = [(less, 0, 0, None), (less, 3, 0, None), (less, 3, 1, None), (more, 3, 1, None), (more, 2, 1, other)]
    for trained, flying, which, fitted in asked:
        if fitted:
            surrogate.load(fitted)
        pending = Points(NEW[:flying], costs[:flying])
        beliefs = [one.believe(trained, pending, candidates[which], 0.1) for one in (kept, AccuracyModel(surrogate))]
        assert (beliefs[0].found.mean == beliefs[1].found.mean).all()
        assert (beliefs[0].found.deviation == beliefs[1].found.deviation).all()
        assert (beliefs[0].costs == beliefs[1].costs).all() and (beliefs[0].accuracies == beliefs[1].accuracies).all()
