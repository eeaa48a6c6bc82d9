"""Documents a user writes, read into values and checked at this edge; architectures written out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cspnas.architecture import Architecture, Stem, resolve_stage, split
from cspnas.architecture_document import architecture_from, architecture_to
from cspnas.errors import ArchitectureError, InputError
from cspnas.families import wire
from cspnas.objectives import check_objectives, parse_constraint
from cspnas.problems import as_input_error, short, where
from cspnas.recipe import DATASET_FORMS, Recipe
from cspnas.schema import ArchitectureDocument, SpaceDocument
from cspnas.space import SearchSpace, StageChoices
from cspnas.spelling import nearest
from cspnas.study import Baselines, Study
from cspnas.yaml_lines import FLOAT, Lines, parse_yaml, read_yaml

Model = TypeVar("Model", bound=BaseModel)
Form = tuple[tuple[int, int, int], int]  # input shape, classes
SAMPLERS = ("nsga2", "tpe", "gp", "random")
ARCHITECTURE_KIND = "architecture/1"


@dataclass(frozen=True, slots=True)
class ArchitectureFile:
    """An architecture file: the value and the whole document with what was measured."""

    architecture: Architecture
    document: dict[str, Any]
    path: Path


def shipped_spaces() -> dict[str, Path]:
    """Name to file of every space that comes with the package (in a checkout: the folder beside it)."""
    package = Path(__file__).parent
    folder = package / "search_spaces"
    if not folder.is_dir():
        folder = package.parent / "search_spaces"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_space(name: str) -> Path:
    """The file of SPACE: a path, or a shipped space's name. Raises InputError with the nearest name."""
    try:
        if Path(name).is_file():
            return Path(name)
    except OSError:  # longer than a path may be, or in a folder that may not be read
        pass
    shipped = shipped_spaces()
    if name.removesuffix(".yaml") in shipped:
        return shipped[name.removesuffix(".yaml")]
    raise InputError(
        f"no file and no shipped space {name!r}",
        expected=f"a YAML file or one of {', '.join(shipped)}",
        where="SPACE",
        do=nearest(Path(name).stem, shipped),
    )


def apply_set(text: str) -> tuple[str, Any]:
    """KEY=VALUE of --set: the dotted key and the value, read as YAML. Raises InputError for anything else."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip() or not value.strip():
        raise InputError(f"{text!r}", expected="KEY=VALUE, as in proxy.epochs=3", where="--set")
    return key.strip(), parse_yaml(value, f"--set {key.strip()}")[0]


def read_space(
    path: Path,
    overrides: dict[str, Any] | None = None,
    sources: dict[str, str] | None = None,
    folder_form: Callable[[str], Form] | None = None,
) -> Study:
    """The study that a space file describes, `overrides` by dotted key; `sources` names the flag of each, for errors.

    `folder_form` opens a folder of images for its (input shape, classes), which needs torch. Raises
    InputError, one line with file, line and key (or flag), for anything that no search could run on.
    """
    data, lines = read_yaml(path)
    flags = {key: (sources or {}).get(key, f"--set {key}") for key in overrides or {}}
    if isinstance(data, dict):  # else there is nothing to set a key in, and validation says so
        for key, value in (overrides or {}).items():
            _override(data, key, value, flags[key])
    document = _validated(SpaceDocument, data, str(path), lines, flags)
    reading = _Reading(document, str(path), lines, flags, folder_form)
    return reading.study(path.stem)


def _override(data: Any, key: str, value: Any, flag: str) -> None:
    *folders, last = key.split(".")
    for folder in folders:
        if isinstance(data, list) and folder.isdecimal() and int(folder) < len(data):
            data = data[int(folder)]
        elif isinstance(data, dict):
            data = data.setdefault(folder, {})
        else:
            raise InputError(f"key {key!r}", expected="a key of the space file", where=flag)
    if isinstance(data, dict):
        data[last] = value
    elif isinstance(data, list) and last.isdecimal() and int(last) < len(data):
        data[int(last)] = value
    else:
        raise InputError(f"key {key!r}", expected="a key of the space file", where=flag)


def _validated(model: type[Model], data: Any, name: str, lines: Lines, flags: dict[str, str]) -> Model:
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


@dataclass(frozen=True, slots=True)
class _Reading:
    """A validated space document on its way to a study; every check knows file, line and key."""

    document: SpaceDocument
    name: str
    lines: Lines
    flags: dict[str, str]
    folder_form: Callable[[str], Form] | None

    def at(self, *path: Any) -> str:
        """Where a key stands."""
        return where(self.name, path, self.lines, self.flags)

    def study(self, space_name: str) -> Study:
        document = self.document
        sampler = document.search.sampler
        if sampler not in SAMPLERS:
            raise InputError(
                f"sampler {sampler!r}",
                expected=f"one of {', '.join(SAMPLERS)}",
                where=self.at("search", "sampler"),
                do=nearest(sampler, SAMPLERS),
            )
        study = Study(
            space_name=space_name,
            space=self.space(),
            objectives=check_objectives(document.objectives, self.at("objectives")),
            constraints=tuple(
                parse_constraint(text, self.at("constraints", n)) for n, text in enumerate(document.constraints)
            ),
            recipe=Recipe(**document.proxy.model_dump()),
            baselines=Baselines(**document.baselines.model_dump()),
            sampler=sampler,
            trials=document.search.trials,
            seed=document.search.seed,
            confirm_share=document.search.confirm,
            workers=document.search.workers,
        )
        self.check_reachable(study.space)
        return study

    def space(self) -> SearchSpace:
        document = self.document
        stages = []
        for number, stage in enumerate(document.stages):
            choices = {key: tuple(value) for key, value in stage.model_dump().items()}
            for key, values in choices.items():
                if len(set(values)) < len(values):
                    raise InputError(
                        f"choices {list(values)}", expected="each choice once", where=self.at("stages", number, key)
                    )
            stages.append(StageChoices(**choices))
        input_shape, classes = self.form()
        return SearchSpace(
            document.family,
            input_shape,
            classes,
            Stem(**document.stem.model_dump()),
            document.activation,
            tuple(stages),
        )

    def form(self) -> Form:
        """Input shape and classes of the data set; only a folder of images has to be opened for it."""
        name = self.document.proxy.dataset
        if name in DATASET_FORMS:
            return DATASET_FORMS[name]
        if name.startswith("folder:") and self.folder_form is not None:
            return self.folder_form(name)
        raise InputError(
            f"data set {name!r}",
            expected=f"one of {', '.join(DATASET_FORMS)} or folder:PATH",
            where=self.at("proxy", "dataset"),
            do=nearest(name, DATASET_FORMS),
        )

    def check_reachable(self, space: SearchSpace) -> None:
        """Raises InputError for a split ratio that never leaves both parts a channel, and where no draw is a network."""
        self.check_splits(space)
        random, reasons = Random(0), []
        for _ in range(200):
            try:
                architecture = space.decode(space.sample(random))
            except ArchitectureError as error:
                reasons.append(error)
                continue
            try:
                wire(architecture)
            except ArchitectureError as error:  # maps too small: no gene changes their size
                raise _placed(error, self.name, self.lines, self.flags) from None
            return
        raise _placed(reasons[0], self.name, self.lines, self.flags)

    def check_splits(self, space: SearchSpace) -> None:
        """Raises InputError for a split ratio that leaves a part empty at every input width that its stage can have.

        A ratio that fits a width fits every greater one, so the greatest reachable width decides.
        """
        width = space.stem.channels
        for number, stage in enumerate(space.stages):
            for ratio in stage.split_ratio if True in stage.csp else ():
                try:
                    split(width, ratio)
                except ArchitectureError as error:
                    found = f"{error.found} (no choice gives this stage more than {width} channels)"
                    place = self.at("stages", number, "split_ratio")
                    raise InputError(found, expected=error.expected, where=place, do=error.do) from None
            try:
                width = _greatest(width, stage)
            except ArchitectureError as error:
                place = self.at("stages", number, "compression")
                raise InputError(error.found, expected=error.expected, where=place, do=error.do) from None


def _greatest(width: int, stage: StageChoices) -> int:
    """The greatest output width of a stage. Raises ArchitectureError where no choice leaves a channel."""
    depth, growth_rate, compression = max(stage.depth), max(stage.growth_rate), max(stage.compression)
    return resolve_stage(
        width, depth=depth, growth_rate=growth_rate, bottleneck_ratio=1, compression=compression, pool=False
    ).out


def _placed(error: ArchitectureError, name: str, lines: Lines, flags: dict[str, str]) -> InputError:
    """`error` (its place is a part of the network, `stage2.pool`) with the place in the file."""
    match = re.match(r"(stage|stem)(\d*)", error.where)
    path: tuple[Any, ...] = ()
    if match:
        path = ("stages", int(match[2]) - 1) if match[2] else ("stem",)
    place = f"{where(name, path, lines, flags)} ({error.where})"
    return InputError(error.found, expected=error.expected, where=place, do=error.do)


def space_schema() -> dict[str, Any]:
    """The JSON schema of space files, for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SpaceDocument.model_json_schema()}
    return schema | {"title": "cspnas search space"}


def read_architecture(path: Path) -> ArchitectureFile:
    """The architecture of a file, wired once to check it.

    Raises InputError, one line with file, line and key, for a file of another kind or of a newer schema, for widths that
    make no network, and for a network that is not the one of the file's digest.
    """
    data, lines = read_yaml(path)
    if isinstance(data, dict):
        _check_kind(data.get("cspnas"), where(str(path), ("cspnas",), lines, {}))
    document = _validated(ArchitectureDocument, data, str(path), lines, {}).model_dump()
    architecture = architecture_from(document)
    try:
        digest = wire(architecture).digest()
    except ArchitectureError as error:
        raise _placed(error, str(path), lines, {}) from None
    if document["digest"] not in (None, digest):
        raise InputError(
            f"a network with digest {digest[:12]}",
            expected=f"{document['digest'][:12]!r}, as the file says",
            where=where(str(path), ("digest",), lines, {}),
            do="the file was changed by hand or damaged: undo that, or remove the digest line to accept it",
        )
    return ArchitectureFile(architecture, document, path)


def _check_kind(kind: Any, place: str) -> None:
    """Raises InputError for a document that is no architecture, or one of a newer schema than ours."""
    if kind == ARCHITECTURE_KIND:
        return
    if isinstance(kind, str) and re.fullmatch(r"architecture/[1-9][0-9]*", kind):
        raise InputError(
            f"{kind}, a newer schema", expected=ARCHITECTURE_KIND, where=place, do="upgrade cspnas to read this file"
        )
    found = "no key 'cspnas'" if kind is None else short(kind)
    raise InputError(
        f"{found} (not a cspnas architecture file)",
        expected=f"cspnas: {ARCHITECTURE_KIND}",
        where=place,
        do="cspnas export writes such a file",
    )


class _Dumper(yaml.SafeDumper):
    """Short lists on one line; no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _list(dumper: yaml.SafeDumper, data: list[Any]) -> yaml.Node:
    flat = not any(isinstance(entry, dict | list) for entry in data)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=flat)


_Dumper.add_representer(list, _list)
# Quotes text that only our loader takes for a number, such as a commit 1e5.
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))


def architecture_yaml(architecture: Architecture, extra: dict[str, Any] | None = None) -> str:
    """The canonical file of an architecture, `extra` (costs, measured, data, recipe ...) after it.

    A `digest` in `extra` comes before the network, so that a file cut short never passes for a smaller network.
    """
    after = dict(extra or {})
    head = {"cspnas": ARCHITECTURE_KIND} | ({"digest": after.pop("digest")} if "digest" in after else {})
    document = head | architecture_to(architecture) | after
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
