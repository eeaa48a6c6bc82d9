"""A model of a file is read off the value that the file describes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Interval, MaxLen

from cspnas.documents.derived import as_value, model_of
from cspnas.documents.schema_errors import describe, validated
from cspnas.errors import InputError
from cspnas.io.bounds import Ratio


@dataclass(frozen=True, slots=True)
class Inner:
    share: Ratio


@dataclass(frozen=True, slots=True)
class Outer:
    size: Annotated[int, Interval(ge=1, le=9), "how large"]
    widths: Annotated[tuple[int, ...], MaxLen(2)] = ()
    shape: tuple[int, int] = (1, 1)
    stride: Annotated[int, Literal[1, 2]] = 1
    inner: Inner | None = None
    limit: int | None = None


MODELS = [
    model_of(Inner, "InnerDocument", "Inside."),
    model_of(Outer, "OuterDocument", "Outside.", size=4),
]
OUTER = MODELS[1]


def test_every_field_is_a_key_with_its_bounds_words_and_default() -> None:
    schema = OUTER.model_json_schema()
    assert list(schema["properties"]) == ["size", "widths", "shape", "stride", "inner", "limit"]
    size = schema["properties"]["size"]
    assert (size["description"], size["default"]) == ("how large", 4)
    assert describe(size) == "a whole number of at least 1 and at most 9"
    assert schema["properties"]["stride"]["enum"] == [1, 2] and schema["description"] == "Outside."


def test_a_file_gives_the_value_with_tuples_for_lists_and_floats_for_whole_numbers() -> None:
    said: dict[str, Any] = {"size": 2, "widths": [3, 4], "shape": [5, 6], "inner": {"share": 0.5}}
    read = validated(OUTER, said, "file", {}, {})
    made = as_value(OUTER, Outer).__metadata__[0].func(read)
    assert (made.size, made.widths, made.shape) == (2, (3, 4), (5, 6)) and made.inner.share == 0.5


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"size": 0}, "file:1 size: found 0, expected a whole number of at least 1 and at most 9"),
        ({"size": 1.0}, "file:1 size: found 1.0, expected a whole number of at least 1 and at most 9"),
        ({"stride": 3}, "file:1 stride: found 3, expected one of 1, 2"),
        ({"shape": [1]}, "file:1 shape: found [1], expected a list of 2 entries"),
        ({"inner": {"share": 1.5}}, "file:1 inner.share: found 1.5, expected a number above 0 and below 1"),
        ({"inner": {}}, "file:1 inner.share: key 'share' is missing; add it: a number above 0 and below 1"),
        ({"sise": 1}, "file:1 sise: unknown key 'sise'; did you mean size?"),
    ],
)
def test_what_breaks_a_bound_ends_in_one_line(said: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as caught:
        validated(OUTER, said, "file", {}, {})
    assert str(caught.value) == line
