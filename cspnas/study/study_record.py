"""A study as its database has it: what may not change while it goes on, and what was found out when it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cspnas.data.own_data import is_own
from cspnas.data.summary import DataSummary
from cspnas.network.architecture import Stem
from cspnas.objectives.pareto import HypervolumeReference
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices


def same_setting(key: str, before: Any, now: Any) -> bool:
    """Whether a setting is what it was: the user's own data are known by their checksum, wherever they lie."""
    return bool(before == now) or (key == "proxy.dataset" and is_own(str(before)) and is_own(str(now)))


@dataclass(frozen=True, slots=True)
class FrozenSettings:
    """Space, objectives, constraints, recipe, baselines and seed, flat: JSON `values` by their dotted keys."""

    values: Mapping[str, Any]

    def part(self, prefix: str) -> dict[str, Any]:
        """Those whose keys begin with `prefix` and a dot, by what follows."""
        return {key.removeprefix(f"{prefix}."): v for key, v in self.values.items() if key.startswith(f"{prefix}.")}

    def changed(self, now: FrozenSettings) -> list[str]:
        """Keys whose values differ, sorted."""
        before, after = self.values, json.loads(json.dumps(now.values))
        return [key for key in sorted({*before, *after}) if not same_setting(key, before.get(key), after.get(key))]

    def space(self) -> SearchSpace:
        """The space that the study was made with. Raises KeyError, TypeError or ValueError where it is damaged."""
        stages: dict[int, dict[str, tuple[Any, ...]]] = {}
        for key, value in self.part("stages").items():
            number, name = key.split(".")
            stages.setdefault(int(number), {})[name] = tuple(value)
        space = self.part("space")
        space |= {key: tuple(value) for key, value in space.items() if isinstance(value, list)}
        space["stems"] = tuple(Stem(**{**stem, "hidden": tuple(stem["hidden"])}) for stem in space["stems"])
        return SearchSpace(**space, stages=tuple(StageChoices(**stages[n]) for n in sorted(stages)))


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What a new study fixes for good, as JSON `values`. Each is read when it is asked for, so that older studies can do
    without some; KeyError, TypeError, ValueError or AttributeError is raised where it is damaged.
    """

    values: Mapping[str, Any]

    @property
    def reference(self) -> HypervolumeReference:
        """The units of the hypervolume."""
        return HypervolumeReference.from_json(self.values["reference"])

    @property
    def precision(self) -> str:
        """Of the trainings, resolved: `float32` or `bfloat16`."""
        return str(self.values["precision"])

    @property
    def recipe_digest(self) -> str:
        """Of all that decides a training beside network and seed."""
        return str(self.values["recipe_digest"])

    @property
    def data(self) -> Mapping[str, Any]:
        """The data set's name and checksum, mean and deviation of each channel, class names: for an exported file."""
        data: Mapping[str, Any] = self.values["data"]
        return data

    @property
    def checksum(self) -> str:
        """Of the data."""
        return str(self.data["checksum"])

    @property
    def training_images(self) -> int:
        """How many a training reads in an epoch; studies of before do not say it."""
        return int(self.values.get("training_images", 60_000))

    @property
    def images(self) -> DataSummary:
        """What was read of the data set; studies of before do not have it."""
        return DataSummary.from_json(self.data["images"], self.data["class_names"])

    @property
    def device(self) -> str | None:
        """The kind of device that the study measures on; None where no objective belongs to one."""
        return self.values.get("latency_device")


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """A study's row; `created` in seconds since 1970."""

    id: int
    name: str
    settings: FrozenSettings
    facts: StudyFacts
    created: float

    @staticmethod
    def of_row(row: Mapping[str, Any]) -> StudyRecord:
        """Of the columns of the database's table."""
        settings, facts = FrozenSettings(row["identity"]), StudyFacts(row["facts"])
        return StudyRecord(row["id"], row["name"], settings, facts, row["created"])

    def row(self) -> Mapping[str, object]:
        """The columns of the database's table."""
        kept = {"id": self.id, "name": self.name, "created": self.created}
        return {**kept, "identity": self.settings.values, "facts": self.facts.values}
