"""A pydantic complaint as one line: where, what was found, what was expected, what to do."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cspnas.documents.yaml_source import Lines, dotted
from cspnas.errors import ArchitectureError, InputError
from cspnas.io.did_you_mean import nearest

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Schema = dict[str, Any]
# Keys that describe the networks together: what one says may be wrong only beside another.
_OF_NETWORK = {"family", "activation", "norm", "stem", "stages", "input"}
_TYPES = {"boolean": "true or false", "string": "text", "object": "a mapping of keys"}


def as_input_error(
    error: ValidationError, schema: Schema, name: str, lines: Lines, sources: dict[str, str]
) -> InputError:
    """The first complaint of `error`, unknown keys before others; a misspelt key is missing under its right name too.

    `schema` is the model's JSON schema, which words what was expected; `sources` maps dotted keys to the flags that set
    them.
    """
    found = error.errors(include_url=False)
    # With a wrong entry a list counts as too short, too; what is wrong is the entry.
    entries = {problem["loc"][:end] for problem in found for end in range(len(problem["loc"]))}
    told = [problem for problem in found if problem["type"] != "too_short" or problem["loc"] not in entries]
    problems = sorted(told, key=lambda problem: problem["type"] != "extra_forbidden")
    first = problems[0]
    path, kind = first["loc"], first["type"]
    # An entry that a list of a fixed length lacks.
    if kind == "missing" and isinstance(path[-1], int):
        path, kind = path[:-1], "too_short"
    # One that is not text, as in `7: x`; its line is known by its text.
    if kind == "invalid_key":
        path = (*path[:-1], str(path[-1]))
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    place = where(name, path, lines, sources)
    if kind in ("extra_forbidden", "invalid_key"):
        known = list(_at(schema, path[:-1]).get("properties", {}))
        hint = nearest(str(path[-1]), known) or f"known keys: {', '.join(known)}"
        return InputError(f"unknown key {str(path[-1])!r}{more}", where=place, hint=hint)
    expected = describe(_at(schema, path)) or first["msg"]
    if kind == "missing":
        return InputError(f"key {str(path[-1])!r} is missing{more}", where=place, hint=f"add it: {expected}")
    return InputError(f"{short(first['input'])}{more}", expected=expected, where=place)


def where(name: str, path: tuple[Any, ...], lines: Lines, sources: dict[str, str]) -> str:
    """`file:line key`, or the flag that set the key. A value has no lines: its line is 0."""
    key = dotted(path)
    for set_key, flag in sources.items():
        made_by_flag = path not in lines and key and set_key.startswith(f"{key}.")
        if key == set_key or key.startswith(f"{set_key}.") or made_by_flag:
            return flag
    # A single value stands for a list of one: its place is the key's.
    line = next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), 1)
    shown = path[:-1] if path not in lines and path and isinstance(path[-1], int) else path
    return f"{name}{f':{line}' if line else ''} {dotted(shown)}".strip()


def where_together(name: str, path: tuple[Any, ...], lines: Lines, sources: dict[str, str]) -> str:
    """As `where`, for what may be wrong only beside other keys: after a place in the file, the flags that set those."""
    place = where(name, path, lines, sources)
    others = [flag for key, flag in sources.items() if key.partition(".")[0] in _OF_NETWORK]
    alone = place in others or not others or (path and path[0] not in _OF_NETWORK - {"input"})
    return place if alone else f"{place} with {', '.join(others)}"


def short(value: Any) -> str:
    """`value` as YAML has it, at most 60 characters."""
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def describe(schema: Schema) -> str:
    """What a JSON schema asks for, in plain words: `a whole number of at least 1`; nothing where it asks for nothing."""
    if "const" in schema or "enum" in schema:
        choices = [str(choice) for choice in schema.get("enum", [schema.get("const")])]
        return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    if "anyOf" in schema:
        return " or ".join(filter(None, map(describe, schema["anyOf"])))
    kind = schema.get("type")
    if kind in ("integer", "number"):
        noun = "a whole number" if kind == "integer" else "a number"
        unit = "seconds, " if str(schema.get("description", "")).startswith("seconds ") else ""
        return unit + _number(schema, noun)
    return _list(schema) if kind == "array" else _TYPES.get(str(kind), "")


def _number(schema: Schema, noun: str) -> str:
    words = {"minimum": "of at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    limits = {word: schema[key] for key, word in words.items() if key in schema}
    bounds = [f"{word} {f'{limit:g}' if isinstance(limit, float) else limit}" for word, limit in limits.items()]
    return f"{noun} {' and '.join(bounds)}".strip()


def _list(schema: Schema) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if not least:
        return "a list"
    count = f"{least}" if least == most else f"at least {least}"
    return f"a list of {count} {'entry' if least == 1 else 'entries'}"


def _at(root: Schema, path: tuple[Any, ...]) -> Schema:
    """The part of the JSON schema `root` that describes the value at `path`; empty where there is none."""
    schema = root
    for part in path:
        kinds = schema.get("anyOf", [schema])
        if isinstance(part, int):
            found = [kind["items"] for kind in kinds if "items" in kind]
        else:
            found = [kind["properties"][part] for kind in kinds if part in kind.get("properties", {})]
        schema = _resolved(root, found[0]) if found else {}
    return schema


def _resolved(root: Schema, schema: Schema) -> Schema:
    """`schema` with its references followed, without the null that a key which may be left away allows."""
    kinds = [
        root["$defs"][kind["$ref"].rsplit("/", 1)[1]] if "$ref" in kind else kind
        for kind in schema.get("anyOf", [schema])
        if kind.get("type") != "null"
    ]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def validated(model: type[AnyModel], data: Any, name: str, lines: Lines, flags: dict[str, str]) -> AnyModel:
    """`data` as a `model`. Raises InputError with file, line and key, or flag, of what does not fit."""
    if not isinstance(data, dict):
        raise InputError(
            "a list" if isinstance(data, list) else short(data),
            expected="a mapping of keys, one `key: value` a line",
            where=where(name, (), lines, {}),
        )
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise as_input_error(error, model.model_json_schema(), name, lines, flags) from None


def placed(error: ArchitectureError, name: str, lines: Lines, flags: dict[str, str]) -> InputError:
    """`error` (its place is a part of the network, `stage2.pool`, or a key) with the place in the file."""
    part, *rest = error.where.split(".")
    path: tuple[Any, ...] = (part,) if (part,) in lines or part == "stem" else ()
    if match := re.fullmatch(r"stage(\d+)", part):
        path = ("stages", int(match[1]) - 1)
    inside = ((*path, *between, *rest) for between in ((), (0,), ("csp",)))
    path = next((longer for longer in inside if longer in lines), path)
    place = where_together(name, path, lines, flags) + (f" ({error.where})" if error.where != dotted(path) else "")
    return InputError(error.found, expected=error.expected, where=place, hint=error.hint)
