"""One name for one thing: whoever searches for a public name finds one definition."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Commands are named as they are typed, which is how the Python API names what they call.
COMMANDS = ROOT / "cspnas" / "cli" / "commands"
# What a process is started with.
ENTRY_POINTS = {"main"}


def public_names(source: str) -> Iterator[str]:
    """What a module defines at its top level: classes, functions, constants."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_no_two_public_things_of_the_package_share_a_name() -> None:
    places = defaultdict(list)
    for path in sorted((ROOT / "cspnas").rglob("*.py")):
        if COMMANDS not in path.parents:
            for name in set(public_names(path.read_text())) - ENTRY_POINTS:
                places[name].append(str(path.relative_to(ROOT)))
    shared = {name: found for name, found in places.items() if len(found) > 1 and not name.startswith("_")}
    assert len(places) > 500
    assert shared == {}
