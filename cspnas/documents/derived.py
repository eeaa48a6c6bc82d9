"""Pydantic models of values that files describe: fields, bounds, words and defaults are read off the dataclass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import reduce
from operator import or_
from types import GenericAlias, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Len
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model


class DocumentModel(BaseModel):
    """Refuses unknown keys, and values of another type than the key's."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


# Of dataclasses that stand in others.
_MODELS: dict[Any, type[DocumentModel]] = {}


def model_of(
    value: type,
    name: str,
    doc: str,
    *,
    keys: Mapping[str, str] | None = None,
    kind: Callable[[Any], Any] | None = None,
    words: Callable[[str, str], str] = lambda key, text: text,
    **defaults: Any,
) -> Any:
    """The model `name` of the dataclass `value`. `keys`: fields and their keys in a file (all, by their own names); `kind`
    and `words` make a key's type and description; `defaults` of keys, where they are not the value's own.
    """
    hints = get_type_hints(value, include_extras=True)
    made: dict[str, Any] = {}
    for field in fields(value):
        key, hint = (keys or {field.name: field.name}).get(field.name), hints[field.name]
        if key is not None:
            default = defaults.get(key, field.default)
            if default is MISSING:
                default = None if NoneType in get_args(hint) else ...
            texts = [words(key, text) for text in _beside(hint, words=True)]
            said = Field(list(default) if isinstance(default, tuple) else default, description=next(iter(texts), None))
            made[key] = ((kind or read)(hint) | None if default is None else (kind or read)(hint), said)
    _MODELS[value] = create_model(name, __base__=DocumentModel, __doc__=doc, **made)
    return _MODELS[value]


def _beside(hint: Any, *, words: bool) -> list[Any]:
    """What stands beside a type: its words, or its bounds."""
    return [entry for entry in getattr(hint, "__metadata__", ()) if isinstance(entry, str) == words]


def bare(hint: Any) -> Any:
    """A type without what stands beside it."""
    return hint.__origin__ if get_origin(hint) is Annotated else hint


def read(hint: Any) -> Any:
    """The type of a key whose value is a `hint`: tuples are lists there, dataclasses mappings, and 1 is a float. A Literal
    beside the type stands for it.
    """
    for entry in _beside(hint, words=False):
        if get_origin(entry) is Literal:
            return entry
    # The bounds stand before the validator: after it, they would not reach the JSON schema.
    beside = (*_beside(hint, words=False), *([BeforeValidator(_number)] if bare(hint) is float else []))
    return Annotated[(_plain(bare(hint)), *beside)] if beside else _plain(bare(hint))


def _plain(hint: Any) -> Any:
    if is_dataclass(hint):
        return _MODELS[hint]
    arguments = () if get_origin(hint) is Literal else get_args(hint)
    if get_origin(hint) is tuple:
        listed, count = GenericAlias(list, (read(arguments[0]),)), len(arguments)
        return listed if ... in arguments else Annotated[listed, Len(count, count)]
    if get_origin(hint) in (Union, UnionType):
        return reduce(or_, (None if one is NoneType else read(one) for one in arguments))
    return hint


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def choices(kind: Any) -> Any:
    """One value (fixed) or a list of choices (searched); the JSON schema allows both."""
    listed = Annotated[list[kind], Field(min_length=1)]
    return Annotated[listed, BeforeValidator(_as_list, json_schema_input_type=kind | listed)]


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def as_value(model: Any, value: Callable[..., Any]) -> Any:
    """The type of a key that `model` reads and that holds the `value` of it, with tuples for lists."""

    def made(read: DocumentModel) -> Any:
        return value(**{key: tuple(entry) if isinstance(entry, list) else entry for key, entry in read})

    return Annotated[model, AfterValidator(made)]
