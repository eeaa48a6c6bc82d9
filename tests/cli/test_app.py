"""The command line as a user meets it: help, refusals, and one small search taken all the way to trained weights."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml

from cspnas import build
from cspnas.cli import app as cli
from cspnas.data import datasets as data
from cspnas.documents.space_file import read_space
from cspnas.objectives.objectives import format_objective

COMMANDS: dict[str, Any] = typer.main.get_command(cli.app).commands
TINY = """\
family: densenet
stem: {channels: 4, stride: 2}
stages:
  - {csp: [true, false], split_ratio: [0.25, 0.5], fusion: [first, last, both], growth_rate: [2, 4], depth: [1, 2]}
  - {csp: [true, false], split_ratio: [0.25, 0.5], fusion: [first, last, both], growth_rate: [4, 8], depth: [1, 2]}
constraints: [flops <= 2M]
proxy: {dataset: fashion-mnist-mini, epochs: 1, batch_size: 250, precision: float32}
search: {sampler: random, trials: 8}
baselines: {widths: 2}
deployment: {precision: float16, batch: 2, order: best}
"""


def cspnas(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A real process in `folder`."""
    command = [sys.executable, "-m", "cspnas", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def listing(folder: Path) -> dict[str, bytes | None]:
    """Every path below `folder` with its content; SQLite's side files go when the process that opened them does."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if not path.name.endswith(("-shm", "-wal"))
    }


# Help ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_explains_itself(name: str) -> None:
    assert COMMANDS[name].help
    assert [parameter.name for parameter in COMMANDS[name].params if not getattr(parameter, "help", None)] == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['cspnas', '--help']\nfrom cspnas.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('HEAVY', sorted({'torch', 'optuna', 'sqlalchemy', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.splitlines()[-1] == "HEAVY []"


# Refusals: exit code 2, one line on stderr, nothing written -----------------------------------------------------------

REFUSED = {
    "unknown study": (["front", "tinny"], "did you mean tiny?"),
    "study name with a slash": (["search", "tiny.yaml", "--study", "a/b"], "A-Z, a-z, 0-9"),
    "study name that climbs": (["search", "tiny.yaml", "--study", ".."], "no '..'"),
    "unknown study in a file": (["front", "sqlite:///studies/tiny.db#other"], "other"),
    "studies of a storage that is not there": (["studies", "--storage", "nosuch.db"], "nosuch.db"),
    "storage of another kind": (["search", "tiny.yaml", "--storage", "mysql://u:secret@h/d"], "sqlite:///PATH"),
    "storage below a file": (["search", "tiny.yaml", "--storage", "sqlite:///tiny.yaml/x/s.db"], "--storage"),
    "storage that is a folder": (["search", "tiny.yaml", "--storage", "sqlite:///studies"], "a folder"),
    "storage that is no database": (["search", "tiny.yaml", "--storage", "sqlite:///tiny.yaml"], "tiny.yaml"),
    "missing space": (["search", "none.yaml"], "'none.yaml'"),
    "misspelt shipped space": (["space", "densnet"], "did you mean densenet?"),
    "unknown sampler": (["search", "tiny.yaml", "--sampler", "nsga"], "did you mean nsga2?"),
    "unknown objective": (["search", "tiny.yaml", "--objective", "flop"], "did you mean flops?"),
    "objectives without accuracy": (["search", "tiny.yaml", "--objective", "flops"], "expected accuracy"),
    "unknown data set": (["search", "tiny.yaml", "--dataset", "cifar"], "did you mean cifar10"),
    "images of no height": (
        ["space", "tiny.yaml", "--set", "proxy.image_size=[0, 96]"],
        "proxy.image_size: found [0, 96]",
    ),
    "images of a negative size": (["space", "tiny.yaml", "--set", "proxy.image_size=-5"], "proxy.image_size: found -5"),
    "a data set of no size": (
        ["data", "fashion-mnist-mini", "--image-size", "0"],
        "'--image-size': Input should be greater than or equal to 1",
    ),
    "a data set that is nowhere": (["data", "nowhere"], "found data set 'nowhere', expected one of"),
    "missing image folder": (["search", "tiny.yaml", "--dataset", "folder:none"], "no such folder"),
    "constraint on nothing": (["search", "tiny.yaml", "--constraint", "flop<=3M"], "did you mean flops?"),
    "constraint that is none": (["search", "tiny.yaml", "--constraint", "flops=3M"], "flops<=40M"),
    "constraint in the wrong unit": (["search", "tiny.yaml", "--constraint", "flops<=3MiB"], "'MiB'"),
    "unknown key": (["search", "tiny.yaml", "--set", "proxy.epoch=2"], "epochs"),
    "set without a value": (["search", "tiny.yaml", "--set", "proxy.epochs"], "KEY=VALUE"),
    "no trials": (["search", "tiny.yaml", "--trials", "0"], "--trials"),
    "time that is none": (["search", "tiny.yaml", "--time", "soon"], "90s"),
    "unknown device": (["search", "tiny.yaml", "--device", "gpu"], "cuda:0,1"),
    "GPU that is not there": (["search", "tiny.yaml", "--device", "cuda:99"], "GPU"),
    "reuse from nothing": (["search", "tiny.yaml", "--study", "new", "--reuse-from", "tinny"], "did you mean tiny?"),
    "reuse from a damaged file": (["search", "tiny.yaml", "--study", "new", "--reuse-from", "damaged"], "damaged"),
    "damaged study": (["front", "damaged"], "studies/damaged.db"),
    "search on a damaged study": (["search", "tiny.yaml", "--study", "damaged"], "studies/damaged.db"),
    "unknown pick": (["export", "tiny", "-o", "new.yaml", "--pick", "best"], "most-accurate"),
    "two choices": (["export", "tiny", "-o", "new.yaml", "--trial", "1", "--pick", "knee"], "--pick and --trial"),
    "digest too short": (["export", "tiny", "-o", "new.yaml", "--digest", "abc"], "hexadecimal"),
    "unknown format": (["export", "tiny", "-o", "new.yaml", "--format", "onx"], "onnx"),
    "cost of nothing": (["cost", "none.yaml"], "none.yaml"),
    "cost of a space": (["cost", "tiny.yaml"], "architecture/1"),
    "training of nothing": (["train", "none.yaml"], "none.yaml"),
    "space without a name": (["space"], "densenet"),
    "dashboard of nothing": (["dashboard", "tinny"], "did you mean tiny?"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space and two study files: one that holds no study yet, one damaged."""
    (tmp_path / "tiny.yaml").write_text(TINY)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "damaged.db").write_bytes(bytes(range(256)) * 64)
    from cspnas.storage.database import Database

    Database(f"sqlite:///{tmp_path / 'studies' / 'tiny.db'}", create=True).close()
    return tmp_path


def refusal(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The one line that `cspnas WORDS` prints, run here; asserts exit code 2 and that nothing was written."""
    before = listing(Path())
    monkeypatch.setattr(sys, "argv", ["cspnas", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    captured = capsys.readouterr()
    assert end.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("cspnas: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    assert listing(Path()) == before
    return captured.err


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line_with_nothing_written(
    case: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    words, expected = REFUSED[case]
    line = refusal(words, capsys, monkeypatch)
    assert expected in line
    assert "secret" not in line


def test_an_impossible_constraint_says_how_far_the_nearest_architecture_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cspnas.errors import ArchitectureError
    from cspnas.study.candidates import candidate

    study = read_space(folder / "tiny.yaml")
    least = None
    for genotype in study.space.enumerate():  # the truth, by looking at every architecture
        try:
            flops = candidate(study, genotype).costs["flops"]
        except ArchitectureError:
            continue
        least = flops if least is None else min(least, flops)
    monkeypatch.chdir(folder)
    line = refusal(["search", "tiny.yaml", "--constraint", "flops<=1k"], capsys, monkeypatch)
    assert f"flops {format_objective('flops', least)}" in line


def test_a_refusal_of_the_real_process_has_no_traceback(folder: Path) -> None:
    before = listing(folder)
    run = cspnas("search", "tiny.yaml", "--study", "damaged", folder=folder)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert listing(folder) == before


# One small search, and everything one does with it ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder with a finished study `tiny`; made once, whichever of pytest's workers is first."""
    base = tmp_path_factory.getbasetemp()
    root = (base if worker_id == "master" else base.parent) / "searched"
    with (root.parent / "searched.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "done").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            (root / "tiny.yaml").write_text(TINY)
            words = ("search", "tiny.yaml", "--trials", "8", "--epochs", "1", "--workers", "2")
            run = cspnas(*words, folder=root)
            assert run.returncode == 0, run.stderr
            assert "next: cspnas export tiny" in run.stdout
            (root / "done").touch()
    return root


@pytest.fixture
def study(searched: Path, tmp_path: Path) -> Path:
    """A copy of that folder, to be changed at will."""
    return shutil.copytree(searched, tmp_path / "copy")


def front_of(folder: Path) -> dict[str, Any]:
    run = cspnas("front", "tiny", "--json", folder=folder)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def trained(folder: Path) -> dict[str, tuple[float, int, int]]:
    """Digest to (mean accuracy, flops, peak memory), read past cspnas from the tables."""
    with sqlite3.connect(folder / "studies" / "tiny.db") as database:
        rows = database.execute(
            "select e.digest, avg(e.accuracy), a.costs from cspnas_evaluations e join cspnas_architectures a "
            "on a.digest = e.digest where e.accuracy is not null group by e.digest"
        ).fetchall()
    costs = {digest: json.loads(text) for digest, _, text in rows}
    return {digest: (mean, costs[digest]["flops"], costs[digest]["peak_memory"]) for digest, mean, _ in rows}


def test_the_front_is_what_nothing_dominates_and_json_and_csv_agree(study: Path) -> None:
    summary = front_of(study)
    points = trained(study)
    expected = {
        digest
        for digest, (accuracy, flops, peak) in points.items()
        if not any(
            a >= accuracy and f <= flops and p <= peak and (a, f, p) != (accuracy, flops, peak)
            for a, f, p in points.values()
        )
    }
    assert {row["digest"] for row in summary["front"]} == expected
    assert sum(row["knee"] for row in summary["front"]) == 1
    assert summary["trainings"] == 8
    assert {kind: len(curve) for kind, curve in summary["baselines"].items()} == {"plain": 2, "csp": 2}
    printed = list(csv.DictReader(io.StringIO(cspnas("front", "tiny", "--csv", folder=study).stdout)))
    as_text = [{k: "" if v is None else str(v) for k, v in row.items()} for row in summary["front"]]
    assert printed == as_text
    table = cspnas("front", "tiny", folder=study)
    assert table.returncode == 0
    assert "knee" in table.stdout


def test_an_exported_network_costs_what_the_study_says_and_trains_to_weights_that_load(study: Path) -> None:
    from safetensors.torch import load_file

    assert cspnas("export", "tiny", "-o", "best.yaml", folder=study).returncode == 0
    knee = next(row for row in front_of(study)["front"] if row["knee"])
    exact = ("peak_memory_bytes", "weights_memory_bytes", "training_memory_bytes", "traffic_elements")
    figures = ("flops", "params", *exact, "digest")
    cost = cspnas("cost", "best.yaml", "--check", "--json", folder=study)
    assert cost.returncode == 0, cost.stderr
    printed = json.loads(cost.stdout)
    assert {name: printed[name] for name in figures} == {name: knee[name] for name in figures}
    assert len(printed["checks"]) == 4
    assert all(check["agrees"] for check in printed["checks"])
    assert printed["deployment"] == {"precision": "float16", "batch": 2, "order": "best"}

    network = build(study / "best.yaml")
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == knee["params"]

    run = cspnas("train", "best.yaml", "--epochs", "1", "--device", "cpu", folder=study)
    assert run.returncode == 0, run.stderr
    report = json.loads((study / "best.json").read_text())
    network.load_state_dict(load_file(study / "best.safetensors"))
    document = yaml.safe_load((study / "best.yaml").read_text())
    test = data.load_test("fashion-mnist-mini")
    mean, std = (torch.tensor(document["data"][key]).view(1, -1, 1, 1) for key in ("mean", "std"))
    network.eval()
    with torch.no_grad():
        predicted = network((test.images.float() / 255 - mean) / std).argmax(1)
    hits = int((predicted == test.labels).sum())
    assert report["test_images"] == len(test.labels) == 2000
    assert abs(hits - report["test_accuracy"] * 2000) < 1.5  # one image may tip over by rounding
    assert hits > 400  # twice chance

    again = cspnas("train", "best.yaml", "--epochs", "1", folder=study)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "--force" in again.stderr


def test_pick_takes_the_extreme_of_the_front_members_that_where_admits(study: Path) -> None:
    front = front_of(study)["front"]
    wanted = {
        "most-accurate": max(front, key=lambda row: row["accuracy"]),
        "smallest": min(front, key=lambda row: row["flops"]),
    }
    for pick, row in wanted.items():
        assert cspnas("export", "tiny", "--pick", pick, "-o", f"{pick}.yaml", folder=study).returncode == 0
        document = yaml.safe_load((study / f"{pick}.yaml").read_text())
        assert document["digest"] == row["digest"]
        assert document["measured"]["accuracy"] == row["accuracy"]
    row = front[-1]
    for words in (("--trial", str(row["trial"])), ("--digest", row["digest"][:8])):
        run = cspnas("export", "tiny", *words, "-o", "one.yaml", "--force", folder=study)
        assert f"one.yaml: trial {row['trial']}, network {row['digest'][:12]}" in run.stdout
        document = yaml.safe_load((study / "one.yaml").read_text())
        assert (document["digest"], document["made_by"]["trial"]) == (row["digest"], row["trial"])
    none = cspnas("export", "tiny", "--where", "flops<=1", "-o", "none.yaml", folder=study)
    assert (none.returncode, none.stderr.count("\n")) == (2, 1)
    assert not (study / "none.yaml").exists()


@pytest.mark.parametrize("words", [("export", "tiny", "-o", "tiny.yaml"), ("front", "tiny", "--plot", "tiny.yaml")])
def test_an_existing_file_is_replaced_only_with_force(words: tuple[str, ...], study: Path) -> None:
    before = listing(study)
    run = cspnas(*words, folder=study)
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (2, "", 1)
    assert "--force" in run.stderr
    assert listing(study) == before
    assert cspnas(*words, "--force", folder=study).returncode == 0
    assert (study / "tiny.yaml").read_text() != TINY


def test_the_same_command_trains_nothing_more_and_a_greater_budget_goes_on(study: Path) -> None:
    before = trained(study)
    words = ("search", "tiny.yaml", "--epochs", "1", "--workers", "1", "--trials")
    same = cspnas(*words, "8", folder=study)
    assert same.returncode == 0, same.stderr
    assert "all 8 trainings are done" in same.stderr
    assert trained(study) == before
    more = cspnas(*words, "9", folder=study)
    assert more.returncode == 0, more.stderr
    assert front_of(study)["trainings"] == 9
    changed = cspnas(*words, "9", "--set", "stem.channels=6", folder=study)
    assert (changed.returncode, changed.stderr.count("\n")) == (2, 1)
    assert "stem" in changed.stderr
    assert front_of(study)["trainings"] == 9


def test_studies_lists_it_beside_a_damaged_file_and_the_plot_is_a_page(study: Path) -> None:
    (study / "studies" / "broken.db").write_bytes(b"no database at all")
    rows = json.loads(cspnas("studies", "--json", folder=study).stdout)
    assert [row["study"] for row in rows if "study" in row] == ["tiny"]
    assert [row["file"] for row in rows if "error" in row] == ["studies/broken.db"]
    run = cspnas("front", "tiny", "--plot", "front.html", "--json", folder=study)
    assert run.returncode == 0, run.stderr
    page = (study / "front.html").read_text()
    assert page.lower().lstrip().startswith("<!doctype html>")
    assert all(row["digest"][:12] in page for row in json.loads(run.stdout)["front"])
    assert "<script src=" not in page  # self-contained
