"""CONTRIBUTING draws the code as it is: its floors, the files to read first, and the files that each recipe touches."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from pages import CONTRIBUTING, ROOT, headings, rows, section, spans

TEXT = CONTRIBUTING.read_text()
TOP = {path.name for path in ROOT.iterdir()} - {".venv"}

# Of each recipe, something that was added by it, and how it is met in the code: as a word in texts (docstrings apart), as
# a whole text, or as a name. Wherever it is met, the recipe has to send its reader.
ADDED = {
    "Add a family": [("word", "resnext")],
    "Add a data set": [("word", "cifar100"), ("text", "npz")],
    "Add an objective": [("word", "evenness"), ("name", "evenness"), ("word", "latency"), ("name", "latency")],
    "Add an export format": [("word", "onnx")],
    "Add a sampler": [("word", "gp")],
    "Add a runner": [("word", "ray"), ("import", "cspnas.runners.ray")],
    "Add a gene": [("word", "taps"), ("name", "taps")],
    "Add a kind of operation": [("text", "flatten")],
}


def paths(text: str) -> list[str]:
    """The paths of the checkout that stand as code in it."""
    found = (span for span in spans(text) if "/" in span and " " not in span)
    return [path for path in found if path.split("/")[0] in TOP and not re.search(r"[A-Z]{3,}/|_[A-Z]+\.|\*", path)]


def test_each_file_that_is_named_exists() -> None:
    assert len(set(paths(TEXT))) > 30
    assert [path for path in paths(TEXT) if not (ROOT / path).exists()] == []


def test_five_files_are_to_be_read_first() -> None:
    files = paths(section(TEXT, "Read these five files first"))
    assert len(set(files)) == 5
    assert all((ROOT / file).is_file() for file in files)


def test_the_floors_are_those_of_the_import_contract() -> None:
    contract = configparser.ConfigParser()
    contract.read(ROOT / ".importlinter")
    floors = contract["importlinter:contract:floors"]["layers"].strip().splitlines()
    drawn = [row[1] for row in rows(section(TEXT, "The picture")) if row[0].isdigit()]
    assert [set(re.findall(r"\w+", line)) for line in drawn] == [set(re.findall(r"\w+", line)) for line in floors]


def test_each_recipe_is_looked_at() -> None:
    recipes = {title for level, title in headings(section(TEXT, "Recipes")) if level == 3}
    assert recipes == set(ADDED)


@pytest.mark.parametrize("recipe", ADDED)
def test_a_recipe_names_each_file_that_has_what_it_adds(recipe: str) -> None:
    named = paths(section(TEXT, recipe))
    folders = tuple(path for path in named if path.endswith("/"))
    for how, what in ADDED[recipe]:
        holders = {str(file.relative_to(ROOT)) for file in (ROOT / "cspnas").rglob("*.py") if holds(file, how, what)}
        assert holders, f"nothing in cspnas/ has {what} as a {how}"
        missing = {file for file in holders - set(named) if not file.startswith(folders)}
        assert not missing, f"{recipe!r} does not name {sorted(missing)}, which has {what} as a {how}"


def holds(file: Path, how: str, what: str) -> bool:
    """Whether a source file has `what`: as a `name`, in an `import`, as a whole `text` or as a `word` in one."""
    found = said_in(file)
    if how == "import":
        return any(module.startswith(what) for module in found["import"])
    if how == "word":
        return any(re.search(rf"(?<![\w-]){what}(?![\w-])", text) for text in found["text"])
    return what in found[how]


@cache
def said_in(file: Path) -> dict[str, set[str]]:
    """Names, texts and imported modules of a source file."""
    tree = ast.parse(file.read_text())
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {"name": set(names(tree)), "text": set(texts(tree)), "import": modules}


def names(tree: ast.Module) -> Iterator[str]:
    """Every name in the code: of values, attributes, arguments."""
    for node in ast.walk(tree):
        for attribute in ("id", "attr", "arg"):
            if isinstance(name := getattr(node, attribute, None), str):
                yield name
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def texts(tree: ast.Module) -> list[str]:
    """Every string in the code, docstrings apart."""
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef)
    first = [node.body[0] for node in ast.walk(tree) if isinstance(node, nodes) and node.body]
    docstrings = {id(statement.value) for statement in first if isinstance(statement, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return [node.value for node in constants if isinstance(node.value, str)]
