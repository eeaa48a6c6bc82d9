"""Packages that only some commands need: how they are asked for, and how a user gets them."""

from __future__ import annotations

from importlib.util import find_spec

from cspnas.errors import InputError


def check_extra(extra: str, modules: tuple[str, ...], *, purpose: str, where: str) -> None:
    """Raises InputError where one of an extra's modules is not installed."""
    if missing := [name for name in modules if find_spec(name) is None]:
        raise InputError(f"no {missing[0]} in this environment", expected=purpose, where=where, hint=how_to_get(extra))


def how_to_get(extra: str) -> str:
    """The command that installs an extra in the versions that are tested."""
    return f"in the checkout of cspnas: .venv/bin/pip install -c constraints.txt -e '.[{extra}]'"
