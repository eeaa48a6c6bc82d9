"""What a reader can copy out of the pages works, and the tables say what the code and the results say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import BENCHMARKS, GUIDE, PAGES, ROOT, blocks, rows, section, shown, tables

from cspnas.documents.space_file import read_space, space_schema

SPACES = [(page, code) for page in PAGES for code in blocks(page.read_text(), "yaml") if "stages:" in code]
WITH_WEIGHTS = {code for page in PAGES for code in blocks(page.read_text(), "python") if "best.yaml" in code}
RESULTS = ROOT / "benchmarks" / "results" / "samplers" / "samplers.md"
METHODS = {"BoTorch": "botorch", "NSGA-III": "nsga3", "TPE, every gene a category": "tpe-categorical"}


def page_of(case: Any) -> str | None:
    return shown(case) if isinstance(case, Path) else ""


# Spaces ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "code"), SPACES, ids=page_of)
def test_each_space_in_a_page_can_be_read(page: Path, code: str, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(code)
    assert read_space(file).space.size > 1


def test_there_are_spaces_in_the_pages() -> None:
    assert {shown(page) for page, _ in SPACES} >= {"README.md", "docs/user_guide.md"}


def keys_of(schema: dict[str, Any], part: Any) -> dict[str, Any]:
    """The properties of the mapping that `part` of the schema describes, be it behind a reference or in a list; else none."""
    if isinstance(part, list):
        return next(filter(None, (keys_of(schema, one) for one in part)), {})
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
    if "properties" in part:
        return dict(part["properties"])
    inside = [part[key] for key in ("anyOf", "allOf", "items") if key in part]
    return next(filter(None, (keys_of(schema, one) for one in inside)), {})


SCHEMA = space_schema()
PARTS = {"the file": SCHEMA["properties"]} | {
    f"`{key}`": keys for key, part in SCHEMA["properties"].items() if (keys := keys_of(SCHEMA, part))
}


@pytest.mark.parametrize("part", PARTS)
def test_each_key_of_a_space_file_has_a_row_with_its_default(part: str) -> None:
    head, *lines = tables(section(GUIDE.read_text(), f"Keys of {part}"))[0]
    assert head == ["Key", "Default", "Meaning"]
    table = {row[0].strip("`"): row[1].strip("`") for row in lines}
    for key, about in PARTS[part].items():
        assert key in table, f"docs/user_guide.md has no row for {key} under Keys of {part}"
        default = about.get("default")
        if default is not None and f"`{key}`" not in PARTS:  # a part of its own has a table for its defaults
            assert yaml.safe_load(table[key]) == default, f"default of {key} under Keys of {part}"


# Python ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(WITH_WEIGHTS), ids=lambda code: f"{len(code.splitlines())} lines")
def test_the_example_with_an_exported_network_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    from cspnas import build

    reference = ROOT / "architectures" / "peleenet.yaml"
    (tmp_path / "best.yaml").write_bytes(reference.read_bytes())
    weights = {name: tensor.contiguous() for name, tensor in build(reference, seed=7).state_dict().items()}
    save_file(weights, tmp_path / "best.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, "example", "exec"), names)
    assert not names["network"].training
    assert all(bool((names["network"].state_dict()[name] == tensor).all()) for name, tensor in weights.items())


def test_the_example_of_a_backbone_gives_a_pyramid() -> None:
    (code,) = [code for code in blocks(GUIDE.read_text(), "python") if "features=True" in code]
    names: dict[str, Any] = {}
    exec(compile(code, "example", "exec"), names)
    sizes = {name: tuple(level.shape) for name, level in names["levels"].items()}
    assert sizes == {f"1/{n}": (2, 64, 224 // n, 224 // n) for n in (8, 16, 32)}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_each_python_example_compiles(page: Path) -> None:
    for code in blocks(page.read_text(), "python"):
        compile(code, shown(page), "exec")


# Figures --------------------------------------------------------------------------------------------------------------


def results(title: str) -> dict[str, dict[str, str]]:
    """Of one worker, method to the figures of its row, each without its quartiles."""
    head, *lines = rows(section(RESULTS.read_text(), title))
    table = [dict(zip(head, line, strict=True)) for line in lines]
    return {
        row["Method"]: {name: value.split(" ")[0] for name, value in row.items()}
        for row in table
        if row["Workers"] == "1"
    }


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("On the accuracy table", "On the table's rows alone"),
        ("On the whole space", "On the whole space, by a model of the table"),
    ],
)
def test_the_figures_of_the_comparison_are_those_of_the_results(heading: str, title: str) -> None:
    found = results(title)
    head, *lines = rows(section(BENCHMARKS.read_text(), heading))
    assert len(lines) > 7
    for cells in lines:
        row = dict(zip(head, cells, strict=True))
        figures = found[METHODS.get(row["Method"], row["Method"].strip("`"))]
        for name, value in row.items():
            if name.startswith("Trainings to regret"):
                measured = figures[f"trainings to 0{name.split()[-1]}"]
                assert value == measured or (value.startswith("not within") and measured == "never"), (row, name)
            if name.startswith("Regret"):
                assert float(value) == float(figures[name.lower()]), (row, name)
        assert row["CPU ms a training"] == figures["CPU ms a training"]


def test_the_first_words_on_the_sampler_are_of_the_results() -> None:
    readme = re.search(r"after (\d+) trainings in the\s+median", (ROOT / "README.md").read_text())
    assert readme is not None
    assert readme[1] == results("On the table's rows alone")["cost-aware"]["trainings to 0.05"]
