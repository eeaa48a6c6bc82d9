"""Objectives by name, through a whole study: evenness (exact, maximised) and latency (measured) beside the others."""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from cspnas.cli import app as cli
from cspnas.data.datasets import DataSet, Split
from cspnas.data.image_settings import AS_THEY_ARE
from cspnas.documents.architecture_file import architecture_yaml, read_architecture
from cspnas.documents.space_file import read_space
from cspnas.errors import InputError
from cspnas.export.architecture_yaml import take_away
from cspnas.export.choice import Choice, chosen
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.cost import cost_of
from cspnas.network.serialization import architecture_from, architecture_to
from cspnas.network.wiring import wire
from cspnas.objectives.objectives import (
    OBJECTIVES,
    exact_names,
    exact_values,
    format_objective,
    measured_names,
    measures,
    parse_constraint,
    with_unit,
)
from cspnas.objectives.pareto import HypervolumeReference, losses
from cspnas.reports.summary import members, summarise
from cspnas.reports.summary_table import print_summary
from cspnas.runners.local.runner import LocalRunner
from cspnas.samplers.optuna_samplers import OptunaSampler
from cspnas.searching.driver import Done, Driver, Work
from cspnas.searching.reuse import finder, other_study
from cspnas.searching.run import check_device, measuring_device
from cspnas.storage.database import Database
from cspnas.storage.load_results import load_results
from cspnas.storage.open_study import OpenStudy, load_study
from cspnas.study.candidates import admitted_sample, reference_of
from cspnas.study.settings import Study
from cspnas.study.study_record import StudyFacts, StudyRecord
from cspnas.training.batches import InMemoryBatches
from cspnas.training.evaluation import Evaluator
from cspnas.training.latency import LEAST, MOST, RUNS, WARM_UP, device_name, enough, latency, one_thread, timed
from cspnas.training.module import NetworkModule

CPU = torch.device("cpu")
SPACE = """
family: densenet
stem: {channels: 8, stride: 4}
stages:
  - {csp: [true, false], split_ratio: [0.25, 0.5, 0.75], growth_rate: [2, 3, 4, 5, 6], depth: [1, 2, 3]}
objectives: [accuracy, flops, evenness, latency]
constraints: ["evenness >= 0.4"]
baselines: {widths: 1}
"""
SMALL = Architecture("densenet", (1, 28, 28), 10, Stem(2, 7, 4), (Stage(1, 2, 2, 4),))


# Names, units, constraints ------------------------------------------------------------------------------------------


def test_nine_objectives_seven_of_them_exact() -> None:
    counts = ("flops", "params", "peak_memory", "weights_memory", "training_memory", "traffic")
    assert exact_names() == (*counts, "evenness")
    assert measured_names() == ("accuracy", "latency")
    assert {name for name, objective in OBJECTIVES.items() if objective.maximise} == {"accuracy", "evenness"}


def test_exact_values_of_a_network_are_those_of_its_cost_and_evenness_is_that_of_its_layers() -> None:
    graph = wire(SMALL)
    cost, values = cost_of(graph), exact_values(cost_of(graph), 32)
    assert tuple(values) == exact_names()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        NetworkModule(graph).eval()(torch.zeros(1, 1, 28, 28))
    counts = {name: sum(found.values()) for name, found in counter.get_flop_counts().items()}
    flops = [count for name, count in counts.items() if name not in ("Global", "NetworkModule") and count]
    assert len(flops) == 5  # stem, two in the block, transition, linear
    assert values["evenness"] == pytest.approx(float(np.mean(flops)) / max(flops))
    assert 0 < values["evenness"] < 1
    assert values["training_memory"] == cost.training_memory(32)
    assert all(isinstance(value, int) for name, value in values.items() if name != "evenness")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("latency", 0.001234, "1.234ms"),
        ("latency", 2.5e-5, "25us"),
        ("latency", 3.0, "3s"),
        ("latency", 5e-8, "0.05us"),
        ("latency", float("nan"), "-"),
        ("latency", None, "-"),
        ("evenness", 0.5, "50.00%"),
        ("peak_memory", 4864, "4.75KiB"),
        ("flops", 1_240_000, "1.24M"),
        ("flops", 2_048_013_065_256_960, "2048T"),
        ("params", 10**12, "1T"),
        ("training_memory", 3 * 2**41, "6TiB"),
    ],
)
def test_a_person_reads_a_unit(name: str, value: float | None, text: str) -> None:
    assert format_objective(name, value) == text


@pytest.mark.parametrize(("name", "bound"), [("flops", 2_048_013_065_256_960), ("training_memory", 3 * 2**41)])
def test_what_is_printed_can_be_a_bound(name: str, bound: int) -> None:
    assert parse_constraint(f"{name} <= {format_objective(name, bound)}").bound == pytest.approx(bound, rel=1e-3)


def test_machine_readable_names_have_their_unit() -> None:
    assert [with_unit(name) for name in ("flops", "peak_memory", "traffic", "evenness", "latency", "macs")] == [
        "flops",
        "peak_memory_bytes",
        "traffic_elements",
        "evenness",
        "latency_seconds",
        "macs",
    ]


def test_constraints_on_a_fraction() -> None:
    constraint = parse_constraint("evenness >= 0.5")
    assert (constraint.name, constraint.bound, constraint.text) == ("evenness", 0.5, "evenness>=0.5")
    assert constraint.violation({"evenness": 0.5}) == 0
    assert constraint.violation({"evenness": 0.4}) == pytest.approx(0.1)
    assert constraint.violation({"evenness": 0.6}) < 0
    assert parse_constraint("flops<=1.5M").bound == 1_500_000


@pytest.mark.parametrize("text", ["evenness>=50", "evenness>=0.5M", "evenness>=1.01", "latency<=1", "accuracy>=0.5"])
def test_constraints_that_cannot_be(text: str) -> None:
    with pytest.raises(InputError):
        parse_constraint(text)


@pytest.mark.parametrize(
    ("text", "name", "bound"),
    [("accuracy>=80%", "accuracy", 0.8), ("accuracy >= 0.8", "accuracy", 0.8), ("latency<=2.5ms", "latency", 0.0025)],
)
def test_a_bound_on_what_was_measured(text: str, name: str, bound: float) -> None:
    constraint = parse_constraint(text, measured=True)
    assert (constraint.name, constraint.bound) == (name, pytest.approx(bound))
    with pytest.raises(InputError, match="constraint on"):
        parse_constraint(text)


# Losses -------------------------------------------------------------------------------------------------------------


def test_a_fraction_is_linear_and_a_time_logarithmic() -> None:
    reference = HypervolumeReference(("accuracy", "evenness", "latency"), 0.1, (0.0, 0.0, 1e-6), (1.0, 1.0, 10.0))
    points = np.array([[0.1, 0.0, 10.0], [1.0, 1.0, 1e-6], [0.55, 0.25, 1e-3], [0.5, 0.5, float("nan")]])
    expected = [[1, 1, 1], [0, 0, 0], [0.5, 0.75, 3 / 7], [5 / 9, 0.5, float("nan")]]
    assert losses(points, reference) == pytest.approx(np.array(expected), nan_ok=True)
    worst = np.array([[reference.worst(name) for name in reference.objectives]])
    assert losses(worst, reference) == pytest.approx(np.ones((1, 3)))


def test_a_reference_from_before_there_were_fractions_means_what_it_meant() -> None:
    """Accuracy's entries were 1 and 2."""
    old = {"objectives": ["accuracy", "flops"], "chance": 0.1, "low": [1.0, 100.0], "high": [2.0, 10_000.0]}
    assert losses(np.array([[0.55, 1000.0]]), HypervolumeReference.from_json(old)) == pytest.approx(
        np.array([[0.5, 0.5]])
    )


# Latency ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "runs"), [(0.001, 100), (0.01, RUNS), (0.049, RUNS), (0.1, 10), (0.4, 3), (2.0, 1), (1e-5, 10_000)]
)
def test_runs_are_many_where_they_are_short_and_never_longer_than_a_second_in_all(seconds: float, runs: int) -> None:
    now, done = [0.0], [0]

    def run() -> None:
        now[0] += seconds
        done[0] += 1

    times = timed(run, lambda: now[0])
    assert times == pytest.approx([seconds] * runs, rel=1e-6) or len(times) == pytest.approx(runs, abs=1)
    assert done[0] == len(times) + WARM_UP
    assert (len(times) >= RUNS and sum(times) >= LEAST * 0.99) or sum(times) >= MOST * 0.99
    assert not enough(times[:-1])


def wide(channels: int) -> NetworkModule:
    return NetworkModule(wire(Architecture("densenet", (3, 32, 32), 10, Stem(channels), (Stage(2, channels, 8, 8),))))


def test_a_network_with_a_hundred_times_the_work_takes_longer() -> None:
    small, large = wide(2), wide(128)
    assert 1e-6 < latency(small, CPU) < latency(large, CPU) < 10


def test_measuring_leaves_the_network_and_torch_as_they_were() -> None:
    network = wide(4).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    latency(network, CPU)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.is_grad_enabled()
    torch.set_num_threads(2)
    try:
        with one_thread(CPU):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_an_evaluation_has_the_latency_and_the_device_it_was_measured_on() -> None:
    recipe = {"epochs": 1, "batch_size": 5, "precision": "float32"}
    images = Split(torch.zeros(10, 1, 28, 28, dtype=torch.uint8), torch.arange(10))
    data = DataSet("zeros", images, images, (0.5,), (0.3,), tuple("0123456789"), checksum="0")
    evaluate = Evaluator("cpu")
    evaluate._data["fashion-mnist-mini", AS_THEY_ARE] = InMemoryBatches(data, CPU)
    unit = {"architecture": architecture_to(SMALL), "recipe": recipe, "seed": 1, "measures": measures(["accuracy"])}
    result = json.loads(json.dumps(evaluate(unit)))
    assert result["failure"] is None
    assert 1e-6 < result["latency"] < 1
    assert result["device"] == device_name(CPU)
    assert result["device"].startswith("cpu ")


# A study with them --------------------------------------------------------------------------------------------------


def measure(work: Work) -> dict[str, Any]:
    """Accuracy and latency by network and seed, as a training gives them; one network in nine diverges."""
    own, noise = (hashlib.sha256(text.encode()).digest() for text in (work.digest, f"{work.digest}{work.unit['seed']}"))
    if own[0] % 9 == 0:
        return {"failure": {"kind": "diverged", "message": ""}}
    accuracy = 0.4 + own[1] / 1000 + noise[0] / 1e5
    return {"accuracy": accuracy, "latency": 1e-4 * (1 + own[2] + noise[1] / 100), "failure": None, "device": "cpu X"}


@dataclass
class Run:
    study: Study
    database: Database
    row: StudyRecord

    def go(self, train: Callable[[Work], dict[str, Any]] = measure) -> Driver:
        sampler = OptunaSampler(self.study.sampler, self.study.space, self.study.objectives, self.study.seed)
        driver = Driver(self.study, self.database, self.row, sampler, self.database.start_driver(self.row.id, {}))
        while not isinstance(work := driver.suggest(), Done):
            assert isinstance(work, Work)
            driver.finish(work, train(work))
        return driver

    @property
    def opened(self) -> OpenStudy:
        return load_study(self.database, self.study.space_name)


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Run]:
    def make(text: str = SPACE, sampler: str = "random", trials: int = 24, name: str = "small") -> Run:
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        study = read_space(path, {"search.trials": trials, "search.sampler": sampler})
        database = Database(f"sqlite:///{tmp_path / 'studies.db'}", create=True)
        facts = {
            "reference": reference_of(study, admitted_sample(study, 50)).to_json(),
            "recipe_digest": "r" * 64,
            "precision": "float32",
            "data": {},
            "space": name,
        }
        return Run(study, database, database.create_study(name, study.identity(), facts))

    return make


Start = Callable[..., Run]


def test_the_ranges_of_evenness_and_latency_are_fixed(start: Start) -> None:
    reference = start().row.facts.reference
    assert reference.objectives == ("accuracy", "flops", "evenness", "latency")
    assert (reference.low[2:], reference.high[2:]) == ((0.0, 1e-6), (1.0, 10.0))
    assert reference.low[1] > 1


def test_the_front_is_what_nothing_dominates_by_means_over_seeds(start: Start) -> None:
    run = start()
    driver = run.go()
    results: dict[str, list[dict[str, Any]]] = {}
    for row in run.database.evaluations(run.row.id):
        if row["state"] == "trained":
            results.setdefault(row["digest"], []).append(run.database.result(row["id"]))
    assert max(map(len, results.values())) > 1
    points = {}
    for digest, found in results.items():
        cost = cost_of(wire(architecture_from(driver.results.networks[digest].document)))
        means = [sum(result[name] for result in found) / len(found) for name in measured_names()]
        points[digest] = (-means[0], cost.flops, -cost.evenness, means[1])
    expected = {
        digest
        for digest, point in points.items()
        if not any(all(map(float.__le__, map(float, q), map(float, point))) and q != point for q in points.values())
    }
    assert {network.digest for network in driver.results.front()} == expected
    assert 0 < driver.results.hypervolume() < 1
    for network in driver.results.measured():
        assert network.value("latency") == pytest.approx(points[network.digest][3])
        assert network.value("evenness") == -points[network.digest][2]
        assert network.value("evenness") >= 0.4  # the constraint


def test_a_ledger_read_back_is_the_one_that_was_written(start: Start) -> None:
    run = start()
    driver = run.go()
    again = load_results(run.database, run.row)
    assert [network.digest for network in again.front()] == [network.digest for network in driver.results.front()]
    assert again.hypervolume() == driver.results.hypervolume()
    for digest, network in driver.results.networks.items():
        assert again.networks[digest].values("latency") == network.values("latency")
        assert again.networks[digest].values("accuracy") == network.values("accuracy")
    snapshot = run.database.fronts(run.row.id)[-1]
    assert snapshot["hypervolume"] == driver.results.hypervolume()
    assert {point[0] for point in snapshot["points"]} == {network.digest for network in driver.results.front()}
    assert all(len(point) == 5 for point in snapshot["points"])


@pytest.mark.parametrize(("sampler", "trials"), [("random", 8), ("nsga2", 8), ("tpe", 8), ("gp", 4)])
def test_optunas_samplers_take_two_measured_objectives_and_go_on_after_a_restart(
    start: Start, sampler: str, trials: int
) -> None:
    run = start(SPACE.replace("evenness, ", ""), sampler=sampler, trials=trials)  # gp is slow with four objectives
    assert run.go().results.finished == trials
    run.study = replace(run.study, trials=trials + 1)
    assert run.go().results.finished == trials + 1


def test_the_gaussian_process_is_told_logarithms_of_times_and_fractions_as_they_are(start: Start) -> None:
    study = start().study
    told = OptunaSampler("gp", study.space, study.objectives, 0)._transformed(
        {"accuracy": 0.9, "flops": 1000, "evenness": 0.3, "latency": 0.001}
    )
    assert told == pytest.approx([math.log(10), 3 * math.log(10), 0.3, -3 * math.log(10)])


def test_what_was_never_measured_counts_as_the_worst(start: Start) -> None:
    run = start()
    driver = run.go()
    failed = next(n for n in driver.results.networks.values() if n.evaluations[0].failure_kind == "diverged")
    told = driver._feedback._values(failed)
    assert told is not None
    assert (told["accuracy"], told["latency"]) == (0.1, 10.0)
    assert math.isnan(failed.value("latency"))
    assert failed not in driver.results.front()
    measured = driver.results.measured()[0]
    told = driver._feedback._values(measured)
    assert told is not None
    assert told["latency"] == measured.evaluations[0].measured["latency"]


def test_summary_table_and_export_have_the_figures(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    run = start()
    run.go()
    summary = summarise(run.opened)
    best = json.loads(json.dumps(summary.to_json()))["front"][0]
    network = run.opened.results.networks[best["digest"]]
    assert best["latency_seconds"] == network.value("latency")
    assert best["evenness"] == network.costs["evenness"]
    print_summary(summary)
    text = capsys.readouterr().out
    header = next(line for line in text.splitlines() if "accuracy" in line)
    assert "evenness" in header and "latency" in header
    assert format_objective("latency", best["latency_seconds"]) in text
    assert format_objective("evenness", best["evenness"]) in text
    extra = take_away(run.opened, chosen(run.opened, Choice("most-accurate", ("evenness>=0.4",))))
    assert extra["costs"]["evenness"] == best["evenness"]
    assert (extra["measured"]["latency_seconds"], extra["measured"]["latency_device"]) == (
        network.value("latency"),
        "cpu X",
    )


def test_an_exported_file_with_a_fraction_among_its_costs_is_read_back(tmp_path: Path) -> None:
    costs = exact_values(cost_of(wire(SMALL)), 64)
    path = tmp_path / "small.yaml"
    path.write_text(architecture_yaml(SMALL, {"costs": costs}))
    assert read_architecture(path).document["costs"] == costs


# Studies from before ------------------------------------------------------------------------------------------------


def forget(run: Run) -> None:
    """Make the study one of before: costs without evenness, results without latency."""
    with sqlite3.connect(str(run.database.url).removeprefix("sqlite:///")) as tables:
        tables.execute("update cspnas_architectures set costs = json_remove(costs, '$.evenness')")
        tables.execute("update cspnas_evaluations set result = json_remove(result, '$.latency')")


OLD = SPACE.replace(", evenness, latency]", "]").replace("evenness >= 0.4", "flops <= 90k")


def test_a_study_from_before_is_shown_exported_and_continued(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(OLD, trials=12)
    run.go()
    forget(run)
    summary = summarise(run.opened)
    assert {(row.value("evenness"), row.value("latency")) for row in summary.front} == {(None, None)}
    print_summary(summary)
    assert "evenness" not in capsys.readouterr().out
    extra = take_away(run.opened, chosen(run.opened, Choice()))
    assert "latency_seconds" not in extra["measured"]
    run.study = replace(run.study, trials=16)
    driver = run.go()
    assert driver.results.finished == 16
    assert all(math.isnan(n.value("evenness")) or n.evaluations[0].id > 12 for n in driver.results.measured())
    assert members(run.opened)[-1].latency_seconds is not None


def test_a_new_study_beside_an_old_one_adds_the_figures_that_it_needs(start: Start) -> None:
    """Both train all twelve networks of the space; the table has one row for each."""
    space = OLD.replace("depth: [1, 2, 3]", "depth: 1").replace("csp: [true, false]", "csp: false")
    old = start(space, trials=5)
    old.go()
    forget(old)
    new = start(space.replace("flops]", "flops, evenness]"), trials=5, name="new")
    first = new.go()
    again = load_results(new.database, new.row)
    assert set(again.networks) == set(old.opened.results.networks)
    assert [n.value("evenness") for n in again.front()] == [n.value("evenness") for n in first.results.front()]
    assert not any(math.isnan(n.value("evenness")) for n in again.networks.values())
    assert again.hypervolume() == first.results.hypervolume() > 0


# Devices ------------------------------------------------------------------------------------------------------------


def test_a_result_is_reused_for_its_latency_only_where_it_was_measured_on_the_same_device(
    start: Start, tmp_path: Path
) -> None:
    run = start(trials=6)
    run.go()
    from cspnas.storage.locations import StudyLocation

    other = other_study(StudyLocation(f"sqlite:///{tmp_path / 'studies.db'}", "small"))
    assert other is not None
    row = run.database.evaluations(run.row.id)[0]
    key = {name: row[name] for name in ("digest", "recipe_digest", "seed", "fidelity")}
    for device, found in (("cpu X", True), ("NVIDIA H100", False)):
        assert (finder(other, run.study.objectives, device)(key) is not None) == found
    forget(run)
    assert finder(other, ("accuracy", "flops"), None)(key) is not None
    assert finder(other, run.study.objectives, "cpu X")(key) is None


def test_latency_needs_one_kind_of_device_and_the_same_one_later(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(*devices: str) -> LocalRunner:
        return LocalRunner(list(devices), tmp_path, "cspnas.training.evaluation:Evaluator")

    study = start().study
    assert measuring_device(study, here("cpu", "cpu")) == device_name(CPU)
    assert measuring_device(replace(study, objectives=("accuracy", "flops")), here("cpu")) is None
    monkeypatch.setattr("cspnas.training.latency.device_name", lambda device: f"GPU {device.index}")
    with pytest.raises(InputError, match="GPU 0 and GPU 1"):
        measuring_device(study, here("cuda:0", "cuda:1"))
    check_device(study, "GPU 0", StudyFacts({"latency_device": "GPU 0"}))
    check_device(study, None, StudyFacts({}))
    with pytest.raises(InputError, match="as when the study was made"):
        check_device(study, "GPU 1", StudyFacts({"latency_device": "GPU 0"}))


# One search by the command line --------------------------------------------------------------------------------------


def images(folder: Path) -> None:
    """Two classes of 20 images, bright and dark, 16 x 16."""
    from PIL import Image

    for label, level in (("bright", 200), ("dark", 50)):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng(number).integers(0, 50, (16, 16, 3)) + level
            Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{number}.png")


def test_a_search_for_evenness_and_latency(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path / "images")
    space = SPACE.replace("constraints:", "proxy: {dataset: 'folder:images', epochs: 1, batch_size: 8}\nconstraints:")
    (tmp_path / "small.yaml").write_text(space.replace("stride: 4", "stride: 2"))
    monkeypatch.chdir(tmp_path)
    command = [sys.executable, "-m", "cspnas", "search", "small.yaml", "--trials", "4", "--workers", "1"]
    command += ["--sampler", "nsga2"]  # cost-aware has one measured objective
    run = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    assert "latency" in run.stdout

    def printed(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["cspnas", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 0
        return capsys.readouterr().out

    summary = json.loads(printed("front", "small", "--json"))
    assert summary["trainings"] == 4
    assert all(1e-6 < row["latency_seconds"] < 1 for row in summary["front"])
    best = max(row["accuracy"] for row in summary["front"])
    printed("export", "small", "-o", "accurate.yaml", "--pick", "smallest", "--where", f"accuracy>={best}")
    assert yaml.safe_load((tmp_path / "accurate.yaml").read_text())["measured"]["accuracy"] == best
    printed("export", "small", "-o", "best.yaml", "--where", "evenness>=0.4", "--where", "latency<=1000ms")
    document = yaml.safe_load((tmp_path / "best.yaml").read_text())
    assert 0.4 <= document["costs"]["evenness"] <= 1
    assert document["measured"]["latency_device"] == device_name(CPU)
    assert json.loads(printed("cost", "best.yaml", "--json"))["evenness"] == document["costs"]["evenness"]
    with sqlite3.connect(tmp_path / "studies" / "small.db") as tables:
        names = [name for (name,) in tables.execute("select direction from study_directions order by objective")]
        values = tables.execute("select count(*) from trial_values").fetchone()[0]
    assert names == ["MAXIMIZE", "MINIMIZE", "MAXIMIZE", "MINIMIZE"]
    assert values == 4 * summary["networks"]
