"""YAML as plain data together with the line of every key. Safe loading only; duplicate keys are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from cspnas.errors import InputError

Lines = dict[tuple[Any, ...], int]  # path of keys and indices -> line, from 1


class _Loader(yaml.SafeLoader):
    """SafeLoader that also reads 1e-3 as a number, as YAML 1.2 does, and leaves dates alone."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+"), list("-+0123456789")
)


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """(data, lines) of the file. Raises InputError for a file that is missing, empty or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), do="check the path") from None
    except IsADirectoryError:
        raise InputError("a folder", expected="a YAML file", where=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("bytes that are not UTF-8 text", expected="a YAML file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"{error.strerror}", where=str(path)) from None
    if not text.strip():
        raise InputError("an empty file", expected="a YAML document", where=str(path))
    return parse_yaml(text, str(path))


def parse_yaml(text: str, name: str) -> tuple[Any, Lines]:
    """(data, lines) of YAML text; `name` stands in errors."""
    lines: Lines = {}
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            raise InputError("no content", expected="a YAML document", where=name)
        _walk(root, (), lines, name)
        return loader.construct_document(root), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        do = "indent with spaces, not tabs" if "\\t" in str(error.problem) else ""
        raise InputError(f"not valid YAML: {error.problem or error.context}", where=where, do=do) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"not valid YAML: {error}", where=name) from None
    finally:
        loader.dispose()


def _walk(node: yaml.Node, path: tuple[Any, ...], lines: Lines, name: str) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*path, key.value)
            if place in lines:
                raise InputError(
                    f"key {key.value!r} twice",
                    expected=f"each key once (first on line {lines[place]})",
                    where=f"{name}:{key.start_mark.line + 1} {dotted(place)}",
                    do="remove one",
                )
            lines[place] = key.start_mark.line + 1
            _walk(value, place, lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, name)


def dotted(path: tuple[Any, ...]) -> str:
    """`stages.1.depth`; list items count from 0."""
    return ".".join(str(part) for part in path)
