"""YAML as plain data together with the line of every key. Safe loading only; duplicate keys are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from cspnas.errors import InputError

# Path of keys and indices -> line, from 1.
Lines = dict[tuple[Any, ...], int]


class _Loader(yaml.SafeLoader):
    """SafeLoader that also reads 1e-3 as a number, as YAML 1.2 does, and leaves dates, 1:30 (90 in YAML 1.1) and 010 (8 in
    YAML 1.1, 10 in YAML 1.2) alone: they stay text, which no number's key takes.
    """


_OURS = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OURS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_INT = re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)$")
_POINT = re.compile(
    r"([-+]?([0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _POINT, list("-+0123456789."))
FLOAT = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))
# A space or an architecture has some kilobytes.
MOST_BYTES = 1_000_000
# A few aliases of aliases can stand for billions of values.
MOST_NODES = 100_000
MOST_DIGITS = (
    # Of a whole number: it fits into a float; one of thousands (in hex they read quickly) does not even print.
    100
)


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """(data, lines) of the file. Raises InputError for a file that is missing, empty or not YAML."""
    try:
        text = _text(path)
    except FileNotFoundError:
        raise InputError("no such file", where=str(path), hint="check the path") from None
    except IsADirectoryError:
        raise InputError("a folder", expected="a YAML file", where=str(path)) from None
    except UnicodeDecodeError:
        raise InputError("bytes that are not UTF-8 text", expected="a YAML file", where=str(path)) from None
    except OSError as error:
        raise InputError(f"{error.strerror}", where=str(path)) from None
    if not text.strip():
        raise InputError("an empty file", expected="a YAML document", where=str(path))
    return parse_yaml(text, str(path))


def _text(path: Path) -> str:
    """The text of a file. Raises InputError for one that is too long to be a document of ours, before it is read."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InputError(
            f"more than {MOST_BYTES:,} bytes", expected="a space or an architecture of some kilobytes", where=str(path)
        )
    return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def parse_yaml(text: str, name: str) -> tuple[Any, Lines]:
    """(data, lines) of YAML text; `name` stands in errors. Nothing in the data is shared, whatever aliases there are.

    Raises InputError for text that is not YAML, has a key twice, a whole number of more than `MOST_DIGITS`, or stands for
    more than `MOST_NODES` values.
    """
    lines: Lines = {}
    loader = None
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            raise InputError("no content", expected="a YAML document", where=name)
        _walk(root, (), lines, name, [0])
        return _unshared(loader.construct_document(root)), lines
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        hint = "indent with spaces, not tabs" if "\\t" in str(error.problem) else ""
        raise InputError(f"not valid YAML: {error.problem or error.context}", where=where, hint=hint) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(f"not valid YAML: character U+{error.character:04X}", where=f"{name}:{line}") from None
    except RecursionError:
        raise InputError("values nested too deeply", expected="a few levels", where=name) from None
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError) as error:
        # All but the first are what PyYAML lets through where a value is not of its tag, as in `!!bool maybe`.
        raise InputError(f"not valid YAML: {error}", where=name) from None
    finally:
        if loader is not None:
            loader.dispose()


def _walk(node: yaml.Node, path: tuple[Any, ...], lines: Lines, name: str, visited: list[int]) -> None:
    lines.setdefault(path, node.start_mark.line + 1)
    visited[0] += 1
    if visited[0] > MOST_NODES:
        raise InputError(f"more than {MOST_NODES} values", where=name, hint="remove the aliases that repeat others")
    _check_digits(node, path, name)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _check_digits(key, path, name)
            place = (*path, _key(key, path, name))
            if place in lines:
                raise InputError(
                    f"key {key.value!r} twice",
                    expected=f"each key once (first on line {lines[place]})",
                    where=f"{name}:{key.start_mark.line + 1} {dotted(place)}",
                    hint="remove one",
                )
            lines[place] = key.start_mark.line + 1
            _walk(value, place, lines, name, visited)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), lines, name, visited)


def _check_digits(node: yaml.Node, path: tuple[Any, ...], name: str) -> None:
    if node.tag == "tag:yaml.org,2002:int" and len(node.value) > MOST_DIGITS:
        raise InputError(
            f"a whole number of {len(node.value):,} digits",
            expected=f"at most {MOST_DIGITS}",
            where=f"{name}:{node.start_mark.line + 1} {dotted(path)}".strip(),
        )


def _key(key: yaml.Node, path: tuple[Any, ...], name: str) -> str:
    if not isinstance(key, yaml.ScalarNode):
        where = f"{name}:{key.start_mark.line + 1} {dotted(path)}"
        raise InputError("a key that is a list or a mapping", expected="text", where=where.strip())
    return str(key.value)


def _unshared(value: Any) -> Any:
    """A copy in which no list or mapping stands in two places: changing one must not change the other."""
    if isinstance(value, dict):
        return {key: _unshared(entry) for key, entry in value.items()}
    return [_unshared(entry) for entry in value] if isinstance(value, list) else value


def dotted(path: tuple[Any, ...]) -> str:
    """`stages.1.depth`; list items count from 0."""
    return ".".join(str(part) for part in path)
