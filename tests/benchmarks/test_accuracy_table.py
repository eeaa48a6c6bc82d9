"""The accuracy table that is shipped with the benchmarks, and the statistics that are told of it."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cspnas.documents.space_file import find_space, read_space
from cspnas.network.cost import cost_of
from cspnas.network.serialization import architecture_from
from cspnas.network.wiring import wire
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.study.candidates import candidate

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports one of the benchmarks' modules."""
    for folder in ("accuracy_table", "samplers"):
        monkeypatch.syspath_prepend(BENCHMARKS / folder)
    return importlib.import_module


def test_the_shipped_rows_have_the_digests_and_costs_that_the_product_gives_today(load: Any) -> None:
    """At least 400 networks, 100 of them with three seeds; every fifth one wired and costed anew."""
    rows, provenance = load("table").load()
    assert len({row.digest for row in rows}) == len(rows) >= 400
    assert sum(len(row.accuracies) >= 3 for row in rows) == 100
    assert provenance["trainings"] == sum(len(row.accuracies) for row in rows)
    assert {"cspnas", "torch", "python"} <= provenance["versions"].keys()
    for row in rows[::5]:
        graph = wire(architecture_from(row.architecture))
        assert graph.digest() == row.digest
        now = cost_of(graph)
        assert {name: getattr(now, name) for name in ("flops", "params", "peak_memory")}.items() <= row.costs.items()
        assert all(curve[-1] == accuracy for curve, accuracy in zip(row.curves, row.accuracies, strict=True))


def row_of(load: Any, accuracies: np.ndarray) -> Any:
    """A row of which only the accuracies matter."""
    return load("table").Row("", {}, {}, {}, tuple(accuracies), (), ())


def test_seeds_that_are_noise_alone_agree_by_chance_among_the_best_too(load: Any) -> None:
    """Chosen by their own mean the best fifth of pure noise has a tau of about -.4: each pair is chosen by a third seed."""
    noise = np.random.default_rng(0).normal(size=(600, 3))
    rows = [row_of(load, one) for one in noise]
    for share in (1.0, 0.2):
        found = load("report").seed_tau(rows, share)
        assert abs(found["tau"]) < 0.15
        assert found["low"] < 0 < found["high"]
        assert found["networks"] == round(share * 600)


def test_seeds_that_agree_have_a_tau_of_one(load: Any) -> None:
    rows = [row_of(load, np.array([n, 2 * n, n + 5])) for n in range(50)]
    assert [load("report").seed_tau(rows, share)["tau"] for share in (1.0, 0.2)] == pytest.approx([1, 1])
    assert load("report").seed_tau(rows[:4]) is None


@pytest.mark.parametrize(
    ("curve", "reached"),
    [
        ({10: 0.5, 20: 0.04, 30: 0.03}, 20),
        ({10: 0.04, 20: 0.06, 30: 0.03}, 30),  # a front of lucky seeds may fall back: it has to stay there
        ({10: 0.01, 20: 0.01}, 10),
        ({10: 0.5, 20: 0.06}, float("inf")),
    ],
)
def test_trainings_to_a_regret_count_from_where_it_stays(load: Any, curve: dict[int, float], reached: float) -> None:
    assert load("figures").trainings_to(curve, 0.05) == reached


@pytest.mark.parametrize("after", ["tpe", "nsga2", "gp"])
def test_who_goes_on_from_random_rows_is_told_the_genes_of_the_rows(load: Any, after: str) -> None:
    """Not those that the random sampler had proposed before it was led to the row: the values belong to the row."""
    rows, study = load("truth").Rows(), read_space(find_space("densenet"), {})
    first, second = (OptunaSampler(name, study.space, study.objectives, 0) for name in ("random", after))
    led = load("rows_only").Nearest(first, study.space, rows, 0)
    led.watch(SimpleNamespace(networks={}))
    told = []
    for number in range(3):
        genotype, state = led.suggest(number)
        led.tell(number, {"accuracy": 0.8, "flops": 1e6, "peak_memory": 1e4}, {})
        second.restore(number, genotype, state, {"accuracy": 0.8, "flops": 1e6, "peak_memory": 1e4}, {})
        told.append(genotype)
    for trial, genotype in zip(second._study.get_trials(), told, strict=True):
        values = {
            gene.name: _choice(gene, trial.params[gene.name]) for gene in study.space.genes() if gene.name in genotype
        }
        assert values == genotype


def test_a_gaussian_process_is_told_the_value_of_what_it_proposes_again(load: Any) -> None:
    """As an objective that remembers would; of a network that nobody has trained there is nothing to tell."""
    study = read_space(find_space("densenet"), {})
    sampler, networks = load("peers").Gp(study), dict[str, Any]()
    sampler.watch(SimpleNamespace(networks=networks))
    sampler.suggest(0)
    sampler.forget(0)
    drawn = candidate(study, sampler.suggest(1)[0])
    networks[drawn.digest] = SimpleNamespace(accuracies=(0.8, 0.9), costs=drawn.costs)
    sampler.forget(1)
    unknown, known = sampler._study.get_trials()
    assert (unknown.state.name, known.state.name) == ("FAIL", "COMPLETE")
    costs = [math.log(drawn.costs[name]) for name in ("flops", "peak_memory")]
    assert known.values == pytest.approx([-math.log(0.2), *costs])


def _choice(gene: Any, value: Any) -> Any:
    return gene.choices[value] if gene.ordered else value
