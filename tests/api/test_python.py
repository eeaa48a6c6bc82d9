"""cspnas as a Python package: the functions that the command line calls, their values, their errors."""

from __future__ import annotations

import dataclasses
import inspect
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from searches import SPACE

import cspnas
from cspnas.documents.space_file import read_space
from cspnas.errors import CspnasError, InputError
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.study.settings import Study

BUILT = Architecture("densenet", (1, 28, 28), 10, Stem(8), (Stage(2, 4, 8, 8),))
FUNCTIONS = ("build", "cost", "load_space", "open_study", "search", "train")
SCRIPT = """
import cspnas
events = []
space = cspnas.load_space("tiny.yaml", {"proxy.epochs": 1, "baselines.widths": 1})
study = cspnas.search(space, trials=4, sampler="random", workers=1, device="cpu", on_event=events.append)
print([event.kind for event in events if event.kind != "tick"], events[-1].trainings, study.reason)
print(len(study.networks()), {str(training.state) for training in study.trainings()})
"""


def python(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """A script as users write them: no guard around what it does."""
    (folder / "script.py").write_text(code)
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("python")
    (folder / "tiny.yaml").write_text(SPACE)
    return folder, python(folder, SCRIPT)


@pytest.fixture
def folder(searched: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(searched[0])
    return searched[0]


def test_a_script_without_a_guard_searches_once(searched: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Workers are spawned processes, which would run the script again."""
    done = searched[1]
    assert done.returncode == 0, done.stderr
    kinds, networks = done.stdout.splitlines()
    assert kinds.count("'started'") == kinds.count("'finished'") == kinds.count("'epoch'") == 4
    assert kinds.endswith("4 all 4 trainings are done")
    assert networks.endswith("{'trained'}")


def test_a_study_shows_what_the_command_line_shows(folder: Path) -> None:
    study = cspnas.open_study("tiny")
    command = [sys.executable, "-m", "cspnas", "front", "tiny", "--json"]
    printed = json.loads(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)
    assert study.summary() == printed
    assert [dataclasses.asdict(network) for network in study.front()] == printed["front"]
    assert pickle.loads(pickle.dumps([study.front(), study.trainings()])) == [study.front(), study.trainings()]
    assert {network.digest for network in study.front()} <= {network.digest for network in study.networks()}
    assert len(study.trainings()) == printed["trainings"] == 4
    accuracies = {training.digest: training.accuracy for training in study.trainings() if not training.repeat}
    assert all(network.seeds > 1 or network.accuracy == accuracies[network.digest] for network in study.networks())


def test_its_values_are_frozen(folder: Path) -> None:
    network = cspnas.open_study("tiny").networks()[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.accuracy = 1.0  # type: ignore[misc]


def test_a_network_of_a_study_builds_and_costs_what_it_says(folder: Path) -> None:
    study = cspnas.open_study("tiny")
    network = study.front()[0]
    architecture = study.architecture(network)
    assert cspnas.cost(architecture).flops == network.flops
    built = cspnas.build(architecture)
    assert sum(parameter.numel() for parameter in built.parameters()) == network.params
    assert study.architecture(network.digest[:16]) == architecture
    with pytest.raises(InputError, match="found 0 networks of digest 'xyz', expected one"):
        study.architecture("xyz")


def test_a_frame_has_a_row_a_network_and_a_column_a_field(folder: Path) -> None:
    study = cspnas.open_study("tiny")
    frame = study.to_frame()
    assert list(frame["digest"]) == [network.digest for network in study.networks()]
    assert list(study.to_frame("trainings").columns) == [f.name for f in dataclasses.fields(study.trainings()[0])]


def test_a_space_is_that_of_the_reader_with_keys_replaced(folder: Path) -> None:
    space = cspnas.load_space("tiny.yaml", {"search.trials": 7})
    assert space == dataclasses.replace(read_space(folder / "tiny.yaml"), trials=7)
    assert isinstance(cspnas.load_space("densenet"), Study)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("cspnas.load_space('tinny.yaml')", "found no file and no shipped space 'tinny.yaml'"),
        ("cspnas.load_space('tiny.yaml', {'proxy.epochs': 0})", "settings['proxy.epochs']"),
        (
            "cspnas.search('tiny.yaml', trials=0)",
            "cspnas.search: found trials=0, expected an integer of at least 1 and at most 1,000,000",
        ),
        ("cspnas.search('tiny.yaml', trials=True)", "found trials=True"),
        ("cspnas.search('tiny.yaml', seconds=-1)", "found seconds=-1, expected a number of at least 0"),
        ("cspnas.search('tiny.yaml', sampler='tpee')", "found sampler='tpee'"),
        ("cspnas.search('tiny.yaml', study='a/b')", "study name 'a/b'"),
        ("cspnas.search('tiny.yaml', runner='slurm')", "runner 'slurm'"),
        ("cspnas.search('tiny.yaml', seed=5)", "as when study 'tiny' was made"),
        ("cspnas.search('tiny.yaml', study=3)", "found study=3, expected a text"),
        ("cspnas.search('tiny.yaml', seconds='1')", "found seconds='1', expected a number"),
        ("cspnas.search('tiny.yaml', seconds=float('nan'))", "found seconds=nan"),
        ("cspnas.search('tiny.yaml', trials=10**9)", "at most 1,000,000"),
        ("cspnas.search('tiny.yaml', per_gpu=0)", "found per_gpu=0"),
        ("cspnas.search('tiny.yaml', on_event=3)", "found on_event=3, expected a function"),
        ("cspnas.load_space('tiny.yaml', [1])", "found settings=[1], expected a mapping"),
        ("cspnas.open_study(None)", "found study=None"),
        ("cspnas.open_study('tiny').to_frame('x')", "found rows='x', expected networks, front or trainings"),
        ("cspnas.build('csdarknet53', seed='a')", "found seed='a', expected an integer"),
        ("cspnas.train('csdarknet53', epochs=-1)", "found epochs=-1"),
        ("cspnas.open_study('tinny')", "found no study 'tinny'"),
        ("cspnas.cost('csdarknet')", "found no file and no shipped architecture 'csdarknet'"),
        ("cspnas.cost(replace(BUILT, input_shape=(3, 32)))", "cspnas.cost input_shape: found [3, 32]"),
        ("cspnas.build(replace(BUILT, stages=()))", "cspnas.build stages: found [], expected a list"),
        ("cspnas.search('tiny.yaml', seed_with=[replace(BUILT, classes=True)])", "classes: found true"),
        ("cspnas.train(BUILT)", "found architecture=Architecture, expected a file"),
        ("cspnas.train('tiny.yaml')", "not a cspnas architecture file"),
    ],
)
def test_errors_are_the_projects_own_and_one_line(folder: Path, call: str, line: str) -> None:
    before = (folder / "studies" / "tiny.db").read_bytes()
    with pytest.raises(CspnasError) as caught:
        eval(call, {"cspnas": cspnas, "BUILT": BUILT, "replace": dataclasses.replace})
    assert line in str(caught.value) and "\n" not in str(caught.value)
    assert (folder / "studies" / "tiny.db").read_bytes() == before


def test_importing_it_loads_neither_torch_nor_optuna_and_its_functions_are_listed() -> None:
    code = "import sys, cspnas; print(sorted({'torch', 'optuna', 'pydantic'} & {*sys.modules}), dir(cspnas))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("[] ") and all(f"'{name}'" in shown for name in FUNCTIONS)
    assert {*FUNCTIONS} < {*cspnas.__all__}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_tells_arguments_result_and_errors(name: str) -> None:
    function = getattr(cspnas, name)
    text = inspect.getdoc(function) or ""
    assert "Raises" in text
    for parameter in inspect.signature(function).parameters.values():
        assert parameter.annotation is not parameter.empty
        assert f"`{parameter.name}`" in text or parameter.name == "on_step", (
            f"{name}: nothing is said of {parameter.name}"
        )


def test_a_training_gives_a_network_and_what_made_it(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "cspnas", "export", "tiny", "-o", "best.yaml", "--force"], check=True)
    heard = []
    trained = cspnas.train("best.yaml", epochs=1, device="cpu", on_epoch=heard.append, on_note=print)
    assert [epoch.accuracy for epoch in heard] == [trained.validation_accuracy]
    assert trained.test_images == 2000 and trained.test_accuracy is not None and trained.test_accuracy > 0.1
    assert trained.report["versions"]["cspnas"] == cspnas.__version__


def test_the_readmes_example_runs(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "cspnas.search" in block)
    assert len(code.splitlines()) <= 22
    done = python(tmp_path, code + "\nprint(module(__import__('torch').zeros(2, 1, 28, 28)).shape)")
    assert done.returncode == 0, done.stderr
    assert "4 of 4" in done.stdout and done.stdout.endswith("torch.Size([2, 3])\n")
