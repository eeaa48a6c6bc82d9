"""Space files: found, read into a study and checked at this edge."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from cspnas.documents.derived import DocumentModel
from cspnas.documents.packaged_files import find, shipped
from cspnas.documents.schema import SEARCH, SpaceDocument
from cspnas.documents.schema_errors import placed, short, validated, where, where_together
from cspnas.documents.space_input import FolderForm, image_size_key, input_form, small_images
from cspnas.documents.yaml_source import Lines, parse_yaml, read_yaml
from cspnas.errors import ArchitectureError, InputError, SmallMapError
from cspnas.io.did_you_mean import nearest
from cspnas.network.families import Family, family_of
from cspnas.network.validation import check_depth
from cspnas.network.wiring import wire
from cspnas.objectives.objectives import check_objectives, check_one_measured, parse_constraint
from cspnas.space.search_space import SearchSpace
from cspnas.space.stage_choices import StageChoices
from cspnas.space.stage_resolution import resolve_stage, split
from cspnas.study.settings import SAMPLERS, Study
from cspnas.training.recipe import Recipe


def shipped_spaces() -> dict[str, Path]:
    """Name to file of every space that comes with the package."""
    return shipped("search_spaces")


def find_space(name: str) -> Path:
    """The file of SPACE: a path, or a shipped space's name. Raises InputError with the nearest name."""
    return find(name, "search_spaces", noun="space", where="SPACE")


def apply_set(text: str) -> tuple[str, Any]:
    """KEY=VALUE of --set: the dotted key and the value, read as YAML. Raises InputError for anything else."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip() or not value.strip():
        raise InputError(f"{text!r}", expected="KEY=VALUE, as in proxy.epochs=3", where="--set")
    return key.strip(), parse_yaml(value, f"--set {key.strip()}")[0]


def read_space(
    path: Path,
    overrides: Mapping[str, Any] | None = None,
    sources: dict[str, str] | None = None,
    folder_form: FolderForm | None = None,
    *,
    training: bool = False,
) -> Study:
    """The study that a space file describes, `overrides` by dotted key; `sources` names the flag of each, for errors.

    `folder_form` opens a folder of images for its (input shape, classes), which needs torch; where the file's `input`
    says both, only for `training`, which needs data that agree. The recipe of a space with `input` and without data has
    an empty data set. Raises InputError, one line with file, line and key (or flag), for anything that no search could
    run on.
    """
    data, lines = read_yaml(path)
    flags = {key: (sources or {}).get(key, f"--set {key}") for key in overrides or {}}
    if isinstance(data, dict) and "cspnas" in data:
        raise InputError(
            f"cspnas: {short(data['cspnas'])}",
            expected="a search space, which has no such key",
            where=where(str(path), ("cspnas",), lines, {}),
            hint="an architecture is read by cspnas cost and cspnas train",
        )
    # Else there is nothing to set a key in, and validation says so.
    if isinstance(data, dict):
        for key, value in (overrides or {}).items():
            _override(data, key, value, flags[key])
    document = validated(SpaceDocument, data, str(path), lines, flags)
    reading = _Reading(document, str(path), lines, flags, folder_form, training)
    return reading.study(path.stem)


def _override(data: Any, key: str, value: Any, flag: str) -> None:
    *folders, last = key.split(".")
    place = ""
    for folder in folders:
        data = data.setdefault(folder, {}) if isinstance(data, dict) else data[_index(data, folder, place, flag)]
        place = f"{place}.{folder}" if place else folder
    data[last if isinstance(data, dict) else _index(data, last, place, flag)] = value


def _index(data: Any, text: str, place: str, flag: str) -> int:
    """The position that a part of a dotted key names. Raises InputError where `data` has none, with what it has."""
    if not isinstance(data, list):
        raise InputError(
            f"{place} = {short(data)}", expected=f"keys below it, {text[:20]!r} among them", where=flag[:80]
        )
    if re.fullmatch("[0-9]{1,6}", text) and int(text) < len(data):
        return int(text)
    raise InputError(
        f"{place}.{text[:20]}",
        expected=f"{place}.0 to {place}.{len(data) - 1}: there are {len(data)}, counted from 0",
        where=flag[:80],
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A validated space document on its way to a study; every check knows file, line and key."""

    document: SpaceDocument
    name: str
    lines: Lines
    flags: dict[str, str]
    folder_form: FolderForm | None
    training: bool

    def at(self, *path: Any) -> str:
        """Where a key stands."""
        return where_together(self.name, path, self.lines, self.flags)

    def study(self, space_name: str) -> Study:
        document = self.document
        sampler = document.search.sampler
        if sampler not in SAMPLERS:
            raise InputError(
                f"sampler {sampler!r}",
                expected=f"one of {', '.join(SAMPLERS)}",
                where=self.at("search", "sampler"),
                hint=nearest(sampler, SAMPLERS),
            )
        objectives = check_objectives(document.objectives, self.at("objectives"))
        if sampler == "cost-aware":
            check_one_measured(objectives, self.at("objectives"))
        space = self.space()
        constraints = [parse_constraint(text, self.at("constraints", n)) for n, text in enumerate(document.constraints)]
        search = {field: getattr(document.search, key) for field, key in SEARCH.items()}
        study = Study(
            space_name,
            space,
            objectives,
            tuple(constraints),
            self.recipe(),
            document.baselines,
            deployment=document.deployment,
            **search,
        )
        self.check_reachable(study.space)
        return study

    def space(self) -> SearchSpace:
        document = self.document
        input_shape, classes = input_form(
            document, self.at, self.folder_form, training=self.training, names_data=self.names_data
        )
        self.check_once([stem.label for stem in document.stem], "stem")
        self.check_once(document.activation, "activation")
        self.check_once(document.norm, "norm")
        return SearchSpace(
            document.family,
            input_shape,
            classes,
            tuple(document.stem),
            tuple(document.activation),
            tuple(self.stage(number, stage) for number, stage in enumerate(document.stages)),
            tuple(document.norm),
        )

    def check_once(self, values: Sequence[Any], *path: Any) -> None:
        """Raises InputError where a choice stands twice."""
        if len(set(values)) < len(values):
            raise InputError(f"choices {list(values)}", expected="each choice once", where=self.at(*path))

    def stage(self, number: int, document: DocumentModel) -> StageChoices:
        """The choices of a stage: what its family needs and lacks is added, what other families have is refused."""
        given = {key: value for key, value in document if value is not None}
        family, last = family_of(self.document.family), number == len(self.document.stages) - 1
        for key, values in given.items():
            place = self.at("stages", number, key)
            if key not in family.keys:
                expected = f"one of {', '.join(sorted(family.keys))}"
                raise InputError(f"key {key!r} in family {family.name}", expected=expected, where=place)
            self.check_once(values, "stages", number, key)
        size = family.size_gene
        if size not in given:
            expected = f"{size} of family {family.name}"
            raise InputError(f"key {size!r} is missing", expected=expected, where=self.at("stages", number))
        if last and "pool" in given:
            raise InputError("pool in the last stage", expected="none there", where=self.at("stages", number, "pool"))
        if family.kind == "residual" and max(given.get("bottleneck_ratio", [0])) > 1:
            raise InputError(
                f"bottleneck_ratio {max(given['bottleneck_ratio']):g}",
                expected="at most 1 (a block no narrower than its bottleneck)",
                where=self.at("stages", number, "bottleneck_ratio"),
            )
        filled = {**family.defaults, **given}
        if last:
            filled.pop("pool", None)
        return StageChoices(**{key: tuple(value) for key, value in filled.items()})

    @property
    def names_data(self) -> bool:
        """Whether the file or a flag names the data set: with `input`, the default of proxy.dataset is not what is meant."""
        return ("proxy", "dataset") in self.lines or "proxy.dataset" in self.flags or "proxy" in self.flags

    def recipe(self) -> Recipe:
        """How candidates are trained; without a data set where `input` stands alone."""
        document = self.document
        alone = document.input is not None and not self.names_data
        return replace(document.proxy, dataset="") if alone else document.proxy

    def check_reachable(self, space: SearchSpace) -> None:
        """Raises InputError for a split ratio, groups or a stem that no network can have, for more layers than a network may
        have, and where no draw is a network.
        """
        try:
            check_depth([max(stage.depth) for stage in space.stages])
        except ArchitectureError as error:
            raise placed(error, self.name, self.lines, self.flags) from None
        self.check_splits(space)
        self.check_groups(space)
        reasons = [self.check_stem(space, number) for number in range(len(space.stems))]
        if all(reasons):
            raise placed(next(filter(None, reasons)), self.name, self.lines, self.flags)

    def check_stem(self, space: SearchSpace, number: int) -> ArchitectureError | None:
        """Raises InputError where stem `number` says what has no effect, or leaves maps too small: no gene changes their
        size. Where no draw gets as far as that, why the first does not.
        """
        stem, random, reason = space.stems[number], Random(0), None
        for _ in range(200):
            try:
                architecture = space.decode({**space.sample(random), "stem": stem.label})
            except ArchitectureError as error:
                reason = reason or error
                continue
            try:
                wire(architecture)
            except ArchitectureError as error:
                if isinstance(error, SmallMapError) and (key := image_size_key(self.document)):
                    raise small_images(architecture, error, self.at(*key)) from None
                if len(space.stems) == 1:
                    raise placed(error, self.name, self.lines, self.flags) from None
                found = f"{error.found} ({error.where.split('.')[0]} of a network with stem {stem.label})"
                place = self.at("stem", number, *error.where.split(".")[1:] * error.where.startswith("stem"))
                raise InputError(found, expected=error.expected, where=place, hint=error.hint) from None
            return None
        return reason

    def check_groups(self, space: SearchSpace) -> None:
        """Raises InputError for groups that divide no width that the stage's blocks can have."""
        for number, stage in enumerate(space.stages):
            widths = stage.bottlenecks(family_of(space.family))
            for groups in stage.groups:
                if not any(width % groups == 0 and inside % groups == 0 for inside, width in widths):
                    tried = ", ".join(map(str, sorted({width for _, width in widths})[:8]))
                    raise InputError(
                        f"{groups} groups for bottlenecks of {tried} channels",
                        expected="groups that divide the channels of one at least",
                        where=self.at("stages", number, "groups"),
                    )

    def check_splits(self, space: SearchSpace) -> None:
        """Raises InputError for a split ratio that leaves a part empty at every width that it can split.

        A ratio that fits a width fits every greater one, so the greatest reachable width decides.
        """
        width = max(stem.out_channels for stem in space.stems)
        for number, stage in enumerate(space.stages):
            width = stage.greatest_split(width)
            for ratio in stage.split_ratio if True in stage.csp else ():
                try:
                    split(width, ratio)
                except ArchitectureError as error:
                    found = f"{error.found} (no choice gives this stage more than {width} channels)"
                    place = self.at("stages", number, "split_ratio")
                    raise InputError(found, expected=error.expected, where=place, hint=error.hint) from None
            try:
                width = _greatest(family_of(space.family), width, stage)
            except ArchitectureError as error:
                place = self.at("stages", number, "compression")
                raise InputError(error.found, expected=error.expected, where=place, hint=error.hint) from None


def _greatest(family: Family, width: int, stage: StageChoices) -> int:
    """The greatest output width of a stage. Raises ArchitectureError where no choice leaves a channel."""
    greatest = {key: max(getattr(stage, key)) for key in {"depth", family.size_gene, "compression"} & {*stage.fixed}}
    genes = {**greatest, "csp": False, "split": "slice", "bottleneck_ratio": 1}
    return resolve_stage(family, width, genes, first=False, last=True).out


def space_schema() -> dict[str, Any]:
    """The JSON schema of space files, for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SpaceDocument.model_json_schema()}
    return schema | {"title": "cspnas search space"}
