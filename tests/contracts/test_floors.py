"""The import contract: seven floors, and what is planted against them breaks it."""

from __future__ import annotations

import ast
import configparser
import graphlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTER = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"


def floors() -> list[list[str]]:
    """The packages of each floor, highest first, as `.importlinter` lists them."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / ".importlinter")
    lines = settings["importlinter:contract:floors"]["layers"].split("\n")
    return [[name.strip() for name in line.replace(":", "|").split("|")] for line in lines if line.strip()]


PACKAGES = {path.parent.name for path in (ROOT / "cspnas").glob("*/__init__.py")}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A copy of the package's source and of its contract."""
    shutil.copytree(ROOT / "cspnas", tmp_path / "cspnas", ignore=shutil.ignore_patterns("*.xz", "__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    command = [sys.executable, "-c", LINTER, "--no-cache"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_there_are_at_most_seven_floors_and_every_package_stands_on_one() -> None:
    named = [name for floor in floors() for name in floor]
    assert len(floors()) <= 7
    assert sorted(named) == sorted({*named})
    assert {*named} == PACKAGES | {"__main__", "errors", "version"}
    assert not any("(" in name for name in named), "no floor is optional"


def test_beside_its_packages_the_project_has_four_modules() -> None:
    modules = {path.stem for path in (ROOT / "cspnas").glob("*.py")}
    assert modules == {"__init__", "__main__", "errors", "version"}


def test_no_benchmark_imports_one_that_imports_it() -> None:
    """Benchmarks import each other by their file's name."""
    files = {path.stem: path for path in (ROOT / "benchmarks").rglob("*.py")}
    imports: dict[str, set[str]] = {}
    for name, path in files.items():
        nodes = list(ast.walk(ast.parse(path.read_text())))
        named = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        named |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imports[name] = {other for other in files if other in named}
    assert any(imports.values())
    assert list(graphlib.TopologicalSorter(imports).static_order())


def test_an_upward_import_in_any_package_breaks_the_contract(scratch: Path) -> None:
    """One is planted in every package: an import of the package on the floor above, and of the one beside it."""
    assert lint(scratch).returncode == 0
    planted = []
    for above, floor in zip(floors(), floors()[1:], strict=False):
        for number, name in enumerate(floor):
            if name not in PACKAGES:
                continue
            beside = [other for other in floor[number + 1 :] if other in PACKAGES]
            for target in [next(other for other in above if other in PACKAGES), *beside]:
                module = next(
                    path for path in sorted((scratch / "cspnas" / target).glob("*.py")) if path.stem[0] != "_"
                )
                line = f"from cspnas.{target} import {module.stem}"
                with (scratch / "cspnas" / name / "planted.py").open("a") as file:
                    file.write(f"{line}\n")
                planted.append(f"cspnas.{name}.planted -> cspnas.{target}.{module.stem}")
    broken = lint(scratch)
    assert broken.returncode == 1
    assert [chain for chain in planted if chain not in broken.stdout] == []


def test_a_package_without_a_floor_breaks_the_contract(scratch: Path) -> None:
    (scratch / "cspnas" / "attic").mkdir()
    (scratch / "cspnas" / "attic" / "__init__.py").write_text("")
    broken = lint(scratch)
    assert broken.returncode == 1 and "attic" in broken.stdout + broken.stderr
