"""`cspnas search` around its driver: what is refused before anything is written, and what ends it in one line.

Trainings are made up here, by a runner in this process; `test_cli.py` and `faults/` have real ones.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import resource
import shutil
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import yaml
from PIL import Image

from cspnas.cli import app as cli
from cspnas.data import datasets as data
from cspnas.network.architecture import Architecture, Stage, Stem
from cspnas.network.serialization import architecture_to
from cspnas.runners.local import runner as local
from cspnas.runners.protocol import Work
from cspnas.runners.runner import Ended, RunnerEvent
from cspnas.storage import optuna_projection as projection
from cspnas.training.evaluation import Evaluator
from cspnas.training.recipe import TRAINING_VERSION, Recipe

SPACE = """\
family: densenet
stem: {channels: 4}
stages:
  - {csp: [true, false], split_ratio: 0.5, fusion: [first, last, both], growth_rate: [2, 4, 6], depth: [1, 2]}
proxy: {dataset: "folder:images", epochs: 1, batch_size: 4, precision: float32}
search: {sampler: random, trials: 4, workers: 1, confirm: 0}
baselines: {widths: 1}
"""


class Inline:
    """Gives each network an accuracy by its digest; `before` is called with the number of each training."""

    before: Callable[[int], None] = staticmethod(lambda number: None)
    failure: dict[str, str] | None = None
    logs = "none"

    def __init__(self, devices: list[str], folder: Path, evaluator: str) -> None:
        self.devices, self.folder = devices, folder
        self._given: list[Work] = []
        self._number = 0

    def precision(self) -> str:
        return "float32"

    def kinds(self) -> list[str]:
        return ["cpu"]

    def speed(self, networks: Sequence[Architecture], recipe: Recipe) -> None:
        """Nothing is measured."""

    def start(self) -> None:
        pass

    def submit(self, slot: int, work: Work) -> None:
        self._given.append(work)

    def collect(self, seconds: float) -> list[RunnerEvent]:
        work = self._given.pop(0)
        type(self).before(self._number)
        self._number += 1
        return [Ended(work, self.result(work))]

    def cancel(self, work: Work, failure: dict[str, Any]) -> None:
        raise AssertionError("nothing is late here")

    def close(self, *, finished: bool = False) -> None:
        pass

    def result(self, work: Work) -> dict[str, Any]:
        return {"accuracy": 0.5 + int(work.digest[:4], 16) / 2**18, "failure": self.failure, "device": "cpu"}


def draw(folder: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    for name in ("dark", "light"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(6):
            Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / name / f"{number}.png")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local, "LocalRunner", Inline)
    monkeypatch.setattr(Inline, "before", staticmethod(lambda number: None))
    (tmp_path / "space.yaml").write_text(SPACE)
    draw(tmp_path / "images", 0)
    return tmp_path


@pytest.fixture
def cspnas(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cspnas", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        gc.collect()  # closes what the end of a process would
        out, err = capsys.readouterr()
        return int(str(end.value.code)), out, err

    return run


Run = Callable[..., tuple[int, str, str]]


def files() -> dict[str, bytes]:
    """Content by path; SQLite's side files go when the process that opened them does."""
    kept = (path for path in Path().rglob("*") if path.is_file() and path.suffix not in (".db-wal", ".db-shm"))
    return {str(path): path.read_bytes() for path in kept}


def refused(cspnas: Run, *words: str, code: int = 2) -> str:
    """The one line of a refusal that writes nothing."""
    before = files()
    found, out, err = cspnas(*words)
    assert (found, out, err.count("\n")) == (code, "", 1), err
    assert err.startswith("cspnas: ")
    assert files() == before
    return err


def searched(cspnas: Run, *words: str) -> str:
    code, out, err = cspnas("search", "space.yaml", *words)
    assert code == 0, err
    return out + err


# Data ----------------------------------------------------------------------------------------------------------------


def test_a_class_of_another_name_is_said_where_its_images_and_its_place_are_the_same(cspnas: Run) -> None:
    """A name that moves it in the order of classes changes the labels, and is refused."""
    searched(cspnas, "--trials", "2")
    Path("images/dark").rename("images/black")
    note = "note: study space: classes have other names (dark is black now); what is exported keeps the earlier ones"
    assert note in searched(cspnas, "--trials", "3")
    Path("images/black").rename("images/zebra")
    assert "found other images or labels" in refused(cspnas, "search", "space.yaml", "--trials", "4")


def test_changed_images_are_refused_and_the_old_ones_go_on(folder: Path, cspnas: Run) -> None:
    searched(cspnas, "--trials", "2")
    before = data.load("folder:images").checksum[:12]
    draw(folder / "images", 1)
    now = data.load("folder:images").checksum[:12]
    line = refused(cspnas, "search", "space.yaml", "--trials", "4")
    assert all(text in line for text in ("study space", "folder:images", before, now, "--study NEW_NAME"))
    draw(folder / "images", 0)
    assert "all 4 trainings are done" in searched(cspnas, "--trials", "4")


def test_a_search_begins_with_a_line_of_what_it_read_and_keeps_it(folder: Path, cspnas: Run) -> None:
    """Two validation images are copies of training images; the same is said when the study goes on."""
    for name in ("dark", "light"):
        for number, part in enumerate(("train", "valid", "valid")):
            (folder / "pets" / part / name).mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "images" / name / f"{number % 2}.png", folder / "pets" / part / name / f"{number}.png")
    (folder / "pets" / "train" / "dark" / "notes.txt").write_text("x")
    line = (
        "data set folder:pets: 6 images (2 training + 4 validation), 1 x 8 x 8, classes dark, light; 1 skipped: .txt\n"
        "warning: 2 images stand in both training and validation: the accuracy will be too good\n"
    )
    for trials in ("1", "2"):
        assert searched(cspnas, "--dataset", "folder:pets", "--trials", trials).count(line) == 1
    ((facts,),) = _rows("SELECT facts FROM cspnas_studies")
    assert json.loads(facts)["data"]["images"] == {
        "training": 2, "validation": 4, "shape": [1, 8, 8], "in_both": 2, "skipped": {".txt": 1}, "enlarged": 0
    }  # fmt: skip
    said = searched(cspnas, "--dataset", "fashion-mnist-mini", "--trials", "1", "--study", "mini")
    assert "data set fashion-mnist-mini: 14,000 images (10,000 training + 4,000 validation), 1 x 28 x 28" in said


def test_a_study_goes_on_wherever_its_images_lie(folder: Path, cspnas: Run) -> None:
    """A scratch folder has another path in each job. What is another data set is refused, folder or not."""
    searched(cspnas, "--trials", "1")
    moved = shutil.copytree(folder / "images", folder / "scratch" / "job 2")
    for number, path in enumerate(("images/", str(folder / "images"), "./scratch/../images", str(moved))):
        said = searched(cspnas, "--dataset", f"folder:{path}", "--trials", str(number + 2))
        assert f"all {number + 2} trainings are done" in said
    draw(moved, 1)
    line = refused(cspnas, "search", "space.yaml", "--dataset", f"folder:{moved}", "--trials", "9")
    assert f"other images or labels in folder:{moved}" in line
    line = refused(cspnas, "search", "space.yaml", "--dataset", "fashion-mnist-mini", "--trials", "9")
    assert "as when study 'space' was made" in line


@pytest.mark.parametrize("version", ["this", "earlier"])
def test_results_are_reused_wherever_their_images_lay(version: str, folder: Path, cspnas: Run) -> None:
    """Earlier versions counted the path in a recipe's digest, which is made here as they made it."""
    searched(cspnas, "--trials", "2")
    if version == "earlier":
        ((facts, identity),) = _rows("SELECT facts, identity FROM cspnas_studies")
        recipe = {key[6:]: value for key, value in json.loads(identity).items() if key.startswith("proxy.")}
        recipe |= {"data_checksum": json.loads(facts)["data"]["checksum"], "training_version": TRAINING_VERSION}
        digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
        with sqlite3.connect("studies/space.db") as tables:
            tables.execute("update cspnas_studies set facts = json_set(facts, '$.recipe_digest', ?)", (digest,))
            tables.execute("update cspnas_evaluations set recipe_digest = ?", (digest,))
    moved = shutil.copytree(folder / "images", folder / "elsewhere")
    words = ("--dataset", f"folder:{moved}", "--trials", "2", "--study", "next", "--reuse-from", "space")
    said = searched(cspnas, *words)
    assert said.count("not trained again") >= 2 and "note:" not in said
    assert "all 2 trainings are done" in searched(cspnas, "--trials", "2")


def test_an_exported_network_names_its_images_by_their_whole_path(folder: Path, cspnas: Run) -> None:
    searched(cspnas, "--trials", "2")
    assert cspnas("export", "space", "-o", "best.yaml")[0] == 0
    exported = yaml.safe_load(Path("best.yaml").read_text())
    assert exported["recipe"]["dataset"] == exported["data"]["dataset"] == f"folder:{folder / 'images'}"
    assert exported["data"]["images"]["training"] == 10


class Training(Inline):
    """Trains for real, each time as a worker that was just started: it reads the data anew."""

    def result(self, work: Work) -> dict[str, Any]:
        return Evaluator("cpu")(work.unit)


def _recolour(folder: Path) -> None:
    Image.new("RGB", (8, 8), (9, 99, 200)).save(folder / "light" / "3.png")


# What is done to the images, what the last line says of it, and whether a new study takes what is left as it is.
BREAKS: dict[str, tuple[Callable[[Path], object], str, bool]] = {
    "an image that was cut": (lambda f: os.truncate(f / "dark" / "4.png", 60), "4.png: an image that cannot", False),
    "an image that is gone": (lambda f: (f / "dark" / "4.png").unlink(), "found other images or labels", True),
    "a class without images": (
        lambda f: [p.unlink() for p in (f / "light").iterdir()],
        "light: found no images",
        False,
    ),
    "a folder that is gone": (shutil.rmtree, "images: no such folder", False),
    "one image in colour": (_recolour, "found other images or labels", True),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_worker_trains_on_no_other_data_than_the_studys_and_again_when_they_are_mended(
    name: str, folder: Path, cspnas: Run
) -> None:
    """And a new study is refused in one line, with nothing written, where what is left cannot be a data set."""
    damage, said, accepted = BREAKS[name]
    checksum = data.load("folder:images").checksum
    recipe = asdict(Recipe(dataset="folder:images", epochs=1, batch_size=4, precision="float32"))
    small = architecture_to(Architecture("densenet", (1, 8, 8), 2, Stem(4), (Stage(1, 4, 4, 8),)))
    unit = {"architecture": small, "recipe": recipe, "seed": 0, "data_checksum": checksum}
    evaluate = Evaluator("cpu")
    damage(folder / "images")
    failure = evaluate(unit)["failure"]
    assert failure["kind"] == "bad data" and said in failure["message"]
    if not accepted:
        assert said in refused(cspnas, "search", "space.yaml")
    shutil.rmtree(folder / "images", ignore_errors=True)
    draw(folder / "images", 0)
    assert evaluate(unit)["failure"] is None


@pytest.mark.parametrize("name", ["an image that was cut", "an image that is gone"])
def test_data_that_break_end_a_search_in_one_line_and_mended_it_goes_on(
    name: str, folder: Path, cspnas: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two of six trainings: two more fail of it, the others are not begun. Typed again while they are broken, one line
    and nothing written; once mended, the same command trains what failed, to the results of a study that never broke.
    """
    damage, said, _ = BREAKS[name]
    monkeypatch.setattr(local, "LocalRunner", Training)
    monkeypatch.setattr(
        Inline, "before", staticmethod(lambda number: damage(folder / "images") if number == 2 else None)
    )
    code, out, err = cspnas("search", "space.yaml", "--trials", "6")
    last = err.splitlines()[-1]
    assert (code, out, err.count("failed (bad data)")) == (2, "", 2)
    assert last.startswith("cspnas: folder:images: found bad data for 2 networks (") and said in last
    assert "the same command trains these networks" in last and "Traceback" not in err
    assert said in cspnas("front", "space", "--failed")[1]
    assert _results() == [("failed", "bad data")] * 2 + [("trained", None)] * 2
    monkeypatch.setattr(Inline, "before", staticmethod(lambda number: None))
    refused(cspnas, "search", "space.yaml", "--trials", "6")
    shutil.rmtree(folder / "images", ignore_errors=True)
    draw(folder / "images", 0)
    assert "all 6 trainings are done" in searched(cspnas, "--trials", "6")
    assert _results() == [("trained", None)] * 6
    searched(cspnas, "--trials", "6", "--study", "whole")
    query = "SELECT digest, seed, accuracy FROM cspnas_evaluations ORDER BY digest"
    assert _rows(query) == _rows(query, "whole")


def _rows(query: str, study: str = "space") -> list[Any]:
    connection = sqlite3.connect(f"studies/{study}.db")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def _results() -> list[Any]:
    return _rows("SELECT state, failure_kind FROM cspnas_evaluations ORDER BY state, digest")


def test_a_search_whose_every_training_failed_is_a_failure(cspnas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Inline, "failure", {"kind": "diverged", "message": "loss nan"})
    code, _, err = cspnas("search", "space.yaml", "--trials", "2", "--study", "bad")
    assert code == 1 and err.splitlines()[-1] == "no training gave a result; next: cspnas front bad --failed"


def test_every_candidate_of_more_than_a_trillion_flops_is_rejected_from_its_cost(folder: Path, cspnas: Run) -> None:
    text = Path("space.yaml").read_text()
    wide = re.sub(r"growth_rate: \[[^]]*\]", "growth_rate: 60000", text)
    Path("wide.yaml").write_text(wide)
    line = refused(cspnas, "search", "wide.yaml", "--trials", "2")
    assert "flops<=1T" in line and "the nearest one has flops" in line


# One writer, one file ------------------------------------------------------------------------------------------------


def test_a_search_through_another_path_meets_the_lock(folder: Path, cspnas: Run) -> None:
    searched(cspnas, "--storage", "real.db", "--trials", "2")
    Path("link.db").symlink_to("real.db")
    seen = []

    def second(number: int) -> None:
        if number == 0:
            seen.append(cspnas("search", "space.yaml", "--storage", "link.db", "--study", "space", "--trials", "5"))

    Inline.before = staticmethod(second)
    assert cspnas("search", "space.yaml", "--storage", "real.db", "--trials", "3")[0] == 0
    assert seen[0][0] == 2
    assert f"pid {os.getpid()}" in seen[0][2] and "another --storage" in seen[0][2]
    Path("hard.db").hardlink_to("real.db")
    assert "hard links" in refused(cspnas, "search", "space.yaml", "--storage", "hard.db", "--study", "space")


def test_a_second_writer_is_one_line(cspnas: Run) -> None:
    def meddle(number: int) -> None:
        if number == 1:  # takes the next suggestion's number
            with sqlite3.connect("studies/space.db") as tables:
                tables.execute(
                    "insert into cspnas_suggestions (study_id, number, source, outcome) "
                    "select 1, max(number) + 1, 'x', 'rejected' from cspnas_suggestions"
                )

    Inline.before = staticmethod(meddle)
    code, _, err = cspnas("search", "space.yaml")
    assert code == 2
    assert "another program writes to this study" in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_file_that_goes_away_ends_the_search_and_nothing_is_made_anew(how: str, cspnas: Run) -> None:
    def remove(number: int) -> None:
        if number == 1:
            for path in Path("studies").glob("space.db*"):
                path.unlink()
            if how == "replaced":
                Path("studies/space.db").write_bytes(b"other")

    Inline.before = staticmethod(remove)
    code, out, err = cspnas("search", "space.yaml")
    assert (code, out) == (1, "")
    assert "the study's file was deleted or replaced while it was in use" in err.splitlines()[-1]
    left = {path.name: path.read_bytes() for path in Path("studies").glob("space.db*")}
    assert left == ({} if how == "deleted" else {"space.db": b"other"})


@pytest.mark.parametrize("stranger", [False, True])
def test_a_file_that_is_moved_ends_the_search_and_loses_nothing(stranger: bool, cspnas: Run) -> None:
    """All is in the moved file or in the spool, although the -wal stayed behind; another file in its place is not touched."""

    def move(number: int) -> None:
        if number == 1:
            Path("studies/space.db").rename("kept.db")
            if stranger:
                with closing(sqlite3.connect("studies/other.db")) as other, other:
                    other.execute("CREATE TABLE theirs (x)")
                Path("studies/other.db").rename("studies/space.db")

    Inline.before = staticmethod(move)
    code, out, err = cspnas("search", "space.yaml")
    line = err.splitlines()[-1]
    assert (code, out) == (1, "") and f"moved to {Path('kept.db').absolute()} while it was in use" in line
    assert "results are kept in studies/space/spool" in line
    if stranger:
        with closing(sqlite3.connect("studies/space.db")) as other:
            assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    for path in Path("studies").glob("space.db*"):
        path.unlink()
    Path("kept.db").rename("studies/space.db")
    Inline.before = staticmethod(lambda number: None)
    assert "1 result that an earlier search kept" in searched(cspnas)
    with closing(sqlite3.connect("studies/space.db")) as tables:
        assert tables.execute("SELECT state, attempt FROM cspnas_evaluations").fetchall() == [("trained", 1)] * 4


@pytest.mark.parametrize("words", [("front", "space"), ("export", "space", "-o", "x.yaml"), ("studies",)])
def test_reading_makes_no_file(words: tuple[str, ...], cspnas: Run) -> None:
    searched(cspnas, "--trials", "2")
    before = sorted(files())
    cspnas(*words)
    assert sorted(path for path in files() if path != "x.yaml") == before


# What cannot be stored -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 10, 5000])
def test_a_full_disk_is_one_line_and_leaves_no_file(room: int, cspnas: Run) -> None:
    Path("studies").mkdir()
    before, limits = files(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))  # a write beyond it fails
    try:
        code, out, err = cspnas("search", "space.yaml")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert files() == before
    assert [path.name for path in Path("studies").iterdir()] == []


def test_optunas_tables_that_cannot_be_written_are_one_line(cspnas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlalchemy as sa

    def full(*arguments: Any, **options: Any) -> None:
        raise sa.exc.OperationalError("insert", {}, sqlite3.OperationalError("database or disk is full"))

    monkeypatch.setattr(projection.RDBStorage, "create_new_study", full)
    code, out, err = cspnas("search", "space.yaml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "disk is full" in err


def test_a_name_that_optuna_has_already_is_refused_before_any_table_is_added(cspnas: Run) -> None:
    storage = optuna.storages.RDBStorage("sqlite:///mine.db")
    optuna.create_study(storage=storage, study_name="space", directions=["maximize"])
    storage.engine.dispose()
    assert "'space'" in refused(cspnas, "search", "space.yaml", "--storage", "mine.db")
    searched(cspnas, "--storage", "mine.db", "--study", "other", "--trials", "2")


@pytest.mark.parametrize(
    "damage",
    [
        "update cspnas_studies set facts = '{}'",
        "update cspnas_studies set facts = '[]'",
        "update cspnas_studies set facts = 'null'",
        "update cspnas_studies set identity = '[1]'",
        "update cspnas_studies set facts = json_remove(facts, '$.reference.ranges')",
        "update cspnas_studies set facts = json_set(facts, '$.reference', 7)",
        "update cspnas_architectures set costs = '{}'",
        "update cspnas_architectures set costs = '[]'",
        "update cspnas_architectures set document = '{}'",
        "update cspnas_fronts set points = '7'",
    ],
)
def test_a_study_that_lacks_what_it_should_have_is_one_line_and_hides_no_other(damage: str, cspnas: Run) -> None:
    searched(cspnas, "--trials", "3")
    searched(cspnas, "--trials", "2", "--study", "sound")
    searched(cspnas, "--trials", "2", "--study", "beside", "--storage", "studies/space.db")
    with sqlite3.connect("studies/space.db") as tables:
        tables.execute(damage + ("" if "architectures" in damage or "fronts" in damage else " where name = 'space'"))
    for words in (("front", "space"), ("search", "space.yaml", "--trials", "5")):
        code, _, err = cspnas(*words)
        assert "Traceback" not in err
        assert code in (0, 2)
        if code:
            assert err.splitlines()[-1].startswith("cspnas: ")
    code, out, err = cspnas("studies", "--json")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["study"] for row in rows if row["file"].endswith("sound.db")] == ["sound"]
    if "architectures" not in damage and "fronts" not in damage:
        assert "beside" in [row.get("study") for row in rows]


# Reuse ---------------------------------------------------------------------------------------------------------------


def test_only_the_named_studys_results_are_reused_and_each_is_said(cspnas: Run) -> None:
    searched(cspnas, "--storage", "two.db", "--study", "a", "--trials", "4")
    searched(cspnas, "--storage", "two.db", "--study", "b", "--trials", "2")
    with sqlite3.connect("two.db") as tables:  # told apart by their accuracies
        tables.execute("update cspnas_evaluations set result = json_set(result, '$.accuracy', 0.25) where study_id = 2")
    assert "2 studies" in refused(cspnas, "search", "space.yaml", "--study", "c", "--reuse-from", "two.db")
    line = refused(cspnas, "search", "space.yaml", "--study", "c", "--reuse-from", "two.db#none")
    assert "'none'" in line and "one of a, b" in line and "--reuse-from" in line
    said = searched(cspnas, "--study", "c", "--trials", "2", "--reuse-from", "two.db#b")
    assert said.count("reused: 25.00%") == 2
    deployment = ("--set", "deployment={precision: int8, order: best}")
    said = searched(cspnas, "--study", "d", "--trials", "2", "--reuse-from", "two.db#a", *deployment)
    assert said.count("not trained again") >= 4
    assert "reused: 25.00%" not in said
    assert "note:" not in said
    # Accuracies are the same in every deployment, costs are not.
    fronts = [json.loads(cspnas("front", name, "--json")[1])["front"] for name in ("two.db#a", "d")]
    before, now = ({row["digest"]: row["weights_memory_bytes"] for row in rows} for rows in fronts)
    assert before.keys() & now.keys()
    assert all(4 * now[digest] == before[digest] for digest in before.keys() & now.keys())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--epochs", "2"), "proxy.epochs is 1 there, 2 here"),
        (("--seed", "9"), "search.seed is 0 there, 9 here"),
        (("--set", "proxy.precision=bfloat16"), "precision is float32 there, bfloat16 here"),
    ],
)
def test_that_nothing_can_be_reused_is_said_with_the_reason(words: tuple[str, ...], expected: str, cspnas: Run) -> None:
    searched(cspnas, "--trials", "2")
    said = searched(cspnas, "--study", "next", "--trials", "2", "--reuse-from", "space", *words)
    assert expected in said
    assert "not trained again" not in said


# Words of the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--constraint", "flops<=" + "9" * 40), "at most 1e+30"),
        (("--constraint", "peak_memory<=" + "9" * 40 + "GiB"), "at most 1e+30"),
        (("--seed", "9" * 24), "--seed"),
        (("--seed", "9" * 5000), "--seed"),
        (("--trials", "9" * 20), "--trials"),
        (("--workers", "1000"), "4 for each of"),
        (("--workers", "9" * 20), "--workers"),
        (("--device", "cuda:" + "9" * 5000), "cuda:0,1"),
        (("--set", "stages." + "9" * 5000 + ".depth=1"), "there are 1, counted from 0"),
        (("--set", "stages.1.depth=1"), "stages.0 to stages.0: there are 1, counted from 0"),
        (("--set", "stages.first.depth=1"), "--set stages.first.depth"),
        (("--set", "family.x=1"), "--set family.x"),
        (("--set", "proxy.epochs=1:30"), "'1:30'"),
        (("--time", "9" * 400), "--time"),
        (("--study", ""), "--study"),
        (("--study", "x.db"), "without .db"),
        (("--storage", ""), "--storage"),
        (("--storage", "sqlite:///"), "--storage"),
        (("--storage", "/dev/null"), "a device"),
        (("--storage", "x" * 300), "File name too long"),
        (("--reuse-from", ""), "--reuse-from"),
    ],
)
def test_refused_in_one_line(words: tuple[str, ...], expected: str, cspnas: Run) -> None:
    line = refused(cspnas, "search", "space.yaml", *words)
    assert expected in line
    assert len(line) < 600


@pytest.mark.parametrize(
    "words",
    [
        ("--study", "a/b"),
        ("--time", "soon"),
        ("--objective", "flop"),
        ("--storage", ""),
        ("--reuse-from", "none"),
        ("--constraint", "x<=1"),
    ],
)
def test_what_is_cheap_is_checked_before_the_data_are_opened(words: tuple[str, ...], folder: Path, cspnas: Run) -> None:
    (folder / "images" / "dark" / "0.png").write_bytes(b"no image")
    assert "0.png" not in refused(cspnas, "search", "space.yaml", *words)


def test_a_space_file_whose_name_is_no_study_name(folder: Path, cspnas: Run) -> None:
    (folder / "space.yaml").rename(folder / "a@b.yaml")
    assert "the name comes from the file: add --study NAME" in refused(cspnas, "search", "a@b.yaml")
    assert cspnas("search", "a@b.yaml", "--study", "ab", "--trials", "2")[0] == 0


@pytest.mark.parametrize("storage", [(), ("--storage", "my #1 & it's.db")])
def test_the_next_commands_can_be_pasted(storage: tuple[str, ...], cspnas: Run) -> None:
    import shlex

    out = searched(cspnas, "--study", "my study", "--trials", "2", *storage)
    (line,) = [line for line in out.splitlines() if line.startswith("next: ")]
    words = shlex.split(line.removeprefix("next: "))
    assert words[:2] == ["cspnas", "export"]
    code, out, err = cspnas(*words[1:-1], "the best.yaml")
    assert code == 0, err
    assert shlex.split(out.split("next: ")[1])[2] == "the best.yaml"


def test_an_output_never_replaces_the_study(cspnas: Run) -> None:
    searched(cspnas, "--trials", "2")
    for words in (("export", "space", "-o", "studies/space.db"), ("front", "space", "--plot", "studies/space.db")):
        assert "the file that is read" in refused(cspnas, *words, "--force")


def test_an_early_interrupt_says_that_everything_is_kept(cspnas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cspnas.documents.space_settings.read_space", interrupt)
    assert cspnas("search", "space.yaml") == (
        130,
        "",
        "interrupted: everything finished is kept; the same command continues the search\n",
    )


# Networks that are given ---------------------------------------------------------------------------------------------


def test_a_network_that_is_given_is_trained_first_and_once(cspnas: Run) -> None:
    """From an exported file, and from the front of a study, which has it too; the same command again begins nothing anew."""
    searched(cspnas, "--study", "first", "--seed", "5")
    code, _, err = cspnas("export", "first", "-o", "best.yaml", "--pick", "most-accurate")
    assert code == 0, err
    given = ("--study", "second", "--seed-with", "best.yaml", "--seed-with", "first", "--trials", "9")
    searched(cspnas, *given)
    query = "SELECT source, digest FROM cspnas_suggestions WHERE outcome = 'training' ORDER BY number"
    begun = _rows(query, study="second")
    front = [digest for (digest,) in _rows("SELECT DISTINCT digest FROM cspnas_evaluations", study="first")]
    first = [source for source, _ in begun if source.startswith("given:")]
    assert 1 <= len(first) == len(set(first))
    assert [source for source, _ in begun[: len(first)]] == first
    assert {digest for _, digest in begun[: len(first)]} <= set(front)
    assert begun[0][1] == yaml.safe_load(Path("best.yaml").read_text())["digest"]
    searched(cspnas, *given[:-1], "10")
    assert len([1 for source, _ in _rows(query, study="second") if source.startswith("given:")]) == len(first)


def test_a_network_that_is_no_point_of_the_space_says_what_differs(cspnas: Run) -> None:
    line = refused(cspnas, "search", "space.yaml", "--seed-with", "csdarknet53")
    assert "--seed-with csdarknet53: found family darknet, expected one of densenet, as the space has it" in line
    assert "neither" not in refused(cspnas, "search", "space.yaml", "--seed-with", "nothing")


def test_a_budget_that_the_baselines_use_up_is_said_before_the_search(cspnas: Run) -> None:
    said = "1 training left, and 2 baselines first: the sampler may try nothing"
    assert said in searched(cspnas, "--study", "few", "--trials", "1", "--set", "baselines.widths=1")
    assert "baselines first" not in searched(cspnas, "--study", "many", "--trials", "3", "--set", "baselines.widths=1")
