"""What a space file says is what a space built in Python says: each field is defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cspnas.data.known_sets import KNOWN_SETS
from cspnas.documents.schema import SEARCH
from cspnas.documents.space_file import read_space, shipped_spaces
from cspnas.errors import InputError
from cspnas.network.architecture import Stem
from cspnas.network.families import FAMILIES
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices
from cspnas.study.settings import Baselines
from cspnas.training.recipe import Recipe

SHIPPED = shipped_spaces()


def listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)


def stage_of(family: str, said: dict[str, Any], last: bool) -> StageChoices:
    missing = {key: choices for key, choices in FAMILIES[family].defaults.items() if key not in said}
    if last:
        missing.pop("pool", None)
    return StageChoices(**{key: listed(value) for key, value in said.items()}, **missing)


def space_of(data: dict[str, Any]) -> SearchSpace:
    """The space by its Python classes alone, from the plain data of a file."""
    if "input" in data:
        shape, classes = tuple(data["input"]["shape"]), data["input"]["classes"]
    else:
        known = KNOWN_SETS[data["proxy"]["dataset"]]
        shape, classes = known.shape, known.classes
    family, stages = data["family"], data["stages"]
    return SearchSpace(
        family,
        shape,
        classes,
        tuple(Stem(**{**stem, "hidden": tuple(stem.get("hidden", ()))}) for stem in listed(data["stem"])),
        listed(data["activation"]),
        tuple(stage_of(family, stage, stage is stages[-1]) for stage in stages),
        listed(data.get("norm", "after")),
    )


@pytest.mark.parametrize("path", SHIPPED.values(), ids=SHIPPED)
def test_a_space_built_in_python_equals_the_space_of_the_same_yaml(path: Path) -> None:
    data, study = yaml.safe_load(path.read_text()), read_space(path)
    assert study.space == space_of(data)
    # Where the file says the images, its data set is not known.
    assert study.recipe == Recipe(**{"dataset": ""} | data["proxy"] if "input" in data else data["proxy"])
    assert study.baselines == Baselines(**data["baselines"])
    assert {key: getattr(study, field) for field, key in SEARCH.items()} == data["search"]


def test_a_value_built_in_python_is_not_checked() -> None:
    """Bounds are a file's; a value is built a million times a search."""
    assert Stem(-1).channels == -1 and Recipe(epochs=0).epochs == 0


def test_what_is_expected_of_a_time_names_its_unit() -> None:
    with pytest.raises(InputError) as caught:
        read_space(SHIPPED["densenet"], {"search.timeout": "15m"})
    assert "search.timeout: found '15m', expected seconds, a number of at least 0" in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "place"),
    [
        ({"family": "resnet"}, r"densenet.yaml:\d+ stages.0.growth_rate with --set family: found key"),
        ({"stem.channels": 1}, r"densenet.yaml:\d+ stages.0.split_ratio with --set stem.channels: found"),
        ({"stem.kind": "pelee", "stem.stride": 4}, r"^--set stem.stride: stride 4 in a stem of kind pelee"),
        ({"search.sampler": "none", "stem.channels": 4}, r"^--set search.sampler: found"),
    ],
)
def test_what_flags_made_wrong_in_another_place_names_them(overrides: dict[str, Any], place: str) -> None:
    with pytest.raises(InputError, match=place):
        read_space(SHIPPED["densenet"], overrides)


@pytest.mark.parametrize(
    ("stem", "place"),
    [
        ("{kind: pelee, stride: 4}", "x.yaml:2 stem.stride: "),
        ("\n- kind: pelee\n  channels: 8\n  stride: 4", "x.yaml:5 stem.0.stride (stem.stride): "),
        ("[{channels: 8}, {kind: pelee, channels: 8, hidden: [4]}]", "x.yaml:2 stem.1.hidden: "),
        ("\n- channels: 8\n- kind: conv\n  fuse: false\n  channels: 9", "x.yaml:5 stem.1.fuse: "),
    ],
)
def test_a_key_that_a_stem_of_its_kind_does_not_read_is_named_with_its_line(
    tmp_path: Path, stem: str, place: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"family: densenet\nstem: {stem}\nstages: [{{growth_rate: 8, depth: 1}}]\n")
    with pytest.raises(InputError, match="where it has no effect") as caught:
        read_space(path)
    assert place in str(caught.value)
