"""A pydantic complaint as one line: where, what was found, what was expected, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ValidationError

from cspnas.errors import InputError
from cspnas.spelling import nearest
from cspnas.yaml_lines import Lines, dotted

_EXPECTED = {
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "literal_error": "{expected}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
}


def as_input_error(
    error: ValidationError, model: type[BaseModel], name: str, lines: Lines, sources: dict[str, str]
) -> InputError:
    """The first complaint of `error`; `sources` maps dotted keys to the flags that set them."""
    problems = error.errors(include_url=False)
    first = problems[0]
    path = first["loc"]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    place = where(name, path, lines, sources)
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        do = nearest(str(path[-1]), known) or f"known keys: {', '.join(known)}"
        return InputError(f"unknown key {str(path[-1])!r}{more}", where=place, do=do)
    if first["type"] == "missing":
        return InputError(f"no key {str(path[-1])!r}{more}", expected="that key", where=place, do="add it")
    template = _EXPECTED.get(first["type"])
    expected = template.format(**first.get("ctx", {})) if template else first["msg"]
    return InputError(f"{_short(first['input'])}{more}", expected=expected, where=place)


def where(name: str, path: tuple[Any, ...], lines: Lines, sources: dict[str, str]) -> str:
    """`file:line key`, or the flag that set the key."""
    for key, flag in sources.items():
        if dotted(path) == key or dotted(path).startswith(f"{key}."):
            return flag
    # A single value stands for a list of one: its place is the key's.
    line = next((lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in lines), 1)
    shown = path[:-1] if path not in lines and path and isinstance(path[-1], int) else path
    return f"{name}:{line} {dotted(shown)}".strip()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(model: type[BaseModel], path: Iterable[Any]) -> list[str]:
    """Keys of the model at `path`, lists walked through."""
    for part in path:
        if isinstance(part, int):
            continue
        annotation: Any = model.model_fields[part].annotation
        inner = [annotation, *getattr(annotation, "__args__", ())]
        model = next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel))
    return list(model.model_fields)
