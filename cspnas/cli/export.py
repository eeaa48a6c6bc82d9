"""`cspnas export`: a network of a study, or of a file, becomes a file of another program's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from cspnas.api.networks import build
from cspnas.api.studies import open_study
from cspnas.documents.architecture_file import (
    ArchitectureFile,
    find_architecture,
    read_architecture,
    shipped_architectures,
)
from cspnas.errors import InputError
from cspnas.export.architecture_yaml import take_away
from cspnas.export.choice import Choice, chosen
from cspnas.export.formats import EXPORT_FORMATS, ExportFormat, write_format
from cspnas.export.network_to_export import CALIBRATION_IMAGES, NetworkToExport, QuantisationData
from cspnas.io.atomic_write import check_output
from cspnas.io.extras import check_extra
from cspnas.io.steps import Step, steps
from cspnas.network.architecture import Architecture
from cspnas.network.deployment import Deployment
from cspnas.network.wiring import wire
from cspnas.storage.locations import expanded

if TYPE_CHECKING:
    from cspnas.training.module import NetworkModule

SUFFIXES = (".yaml", ".yml")
# What an architecture file says beside the network.
BESIDE = ("digest", "costs", "deployment", "measured", "data", "recipe", "made_by", "source")


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """`form`: the format's name. `weights`: what cspnas train wrote, None: untrained ones. `force` replaces files.

    `normalise` and `int8` as the options of the command say.
    """

    form: str = "yaml"
    weights: Path | None = None
    normalise: bool = False
    int8: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True)
class _Read:
    """The network that a user named: `said` of it, `origin` of it in errors, the files that it is read from."""

    architecture: Architecture
    document: Mapping[str, Any]
    said: str
    origin: str
    files: list[Path]


def export_network(name: str, wanted: Choice, output: Path, options: ExportOptions) -> str:
    """Write the network and check what was written; lines that say which one it is, what was found and what comes next.

    `name` is a study, of which `wanted` chooses a network, or an architecture file.
    """
    row, output = EXPORT_FORMATS[options.form], Path(expanded(str(output)))
    weights = None if options.weights is None else Path(expanded(str(options.weights)))
    _check_options(row, options)
    _check_outputs(row, output, [] if weights is None else [weights], force=options.force)
    with steps() as step:
        read = _read(name, wanted, step)
        _check_outputs(row, output, read.files, force=True)
        network = _network(read, weights, step) if row.runs else None
        images, document = _images(read, step) if options.int8 else (None, read.document)
        source = NetworkToExport(read.architecture, document, network, weights, read.origin, options.normalise, images)
        step(f"writing {output} and checking it")
        found = write_format(row, source, output, force=options.force)
    written = ", ".join(map(str, row.paths(output)))
    untrained = "" if weights or not row.runs else "untrained weights: give those of cspnas train with --weights\n"
    following = f"; next: cspnas cost {quote(str(output))}" if row.name == "yaml" else ""
    return f"{written}: {read.said}{following}\n{untrained}check: {found}"


def _check_options(row: ExportFormat, options: ExportOptions) -> None:
    """Raises InputError for options that the format has no use for, and where its extra is not installed."""
    check_extra(row.extra, row.requires, purpose=f"what writes and checks {row.name}", where="--format")
    able = {
        "--weights": [other.name for other in EXPORT_FORMATS.values() if other.runs],
        "--normalise": [other.name for other in EXPORT_FORMATS.values() if other.normalises],
        "--int8": [other.name for other in EXPORT_FORMATS.values() if other.int8_writer],
    }
    given = {"--weights": options.weights is not None, "--normalise": options.normalise, "--int8": options.int8}
    for flag in (flag for flag, is_given in given.items() if is_given):
        if row.name not in able[flag]:
            raise InputError(f"{flag} with --format {row.name}", expected=f"--format {' or '.join(able[flag])}")
    if options.int8 and options.weights is None:
        raise InputError("--int8 without --weights", expected="trained weights", hint="train the network: cspnas train")


def _check_outputs(row: ExportFormat, output: Path, inputs: list[Path], *, force: bool) -> None:
    paths = row.paths(output)
    if output.suffix in row.beside:
        raise InputError(f"ending {output.suffix}", expected="another: that file is written too", where=f"-o {output}")
    for path in paths:
        check_output(path, force=force, inputs=inputs)


def _read(name: str, wanted: Choice, step: Step) -> _Read:
    """Raises InputError for a name that is neither, and for a choice in a file."""
    if Path(name).suffix in SUFFIXES or name in shipped_architectures():
        if wanted != Choice():
            raise InputError(
                "a choice", expected="a study", where=name, hint="leave out --pick, --where, --trial, --digest"
            )
        file = read_architecture(find_architecture(name))
        said = f"network {wire(file.architecture).digest()[:12]}"
        kept = {key: value for key, value in file.document.items() if key in BESIDE and value is not None}
        return _Read(file.architecture, kept, said, str(file.path), [file.path])
    opened = open_study(name, on_step=step).opened
    network = chosen(opened, wanted)
    number = opened.results.trials.get(network.digest)
    said = ("" if number is None else f"trial {number}, ") + f"network {network.digest[:12]}"
    said += f", {100 * network.accuracy:.2f}% accuracy"
    document = take_away(opened, network)
    return _Read(network.architecture, document, said, f"study {opened.name}", list(opened.database.files))


def _network(read: _Read, weights: Path | None, step: Step) -> NetworkModule:
    """In inference mode, in the order of its deployment, with these weights or fresh ones.

    Raises InputError for weights of another network.
    """
    step("building the network")
    deployment = Deployment(**read.document.get("deployment") or {})
    network = build(read.architecture, order=deployment.order).eval()
    if weights is not None:
        from cspnas.export.weights import load_weights

        load_weights(network, weights)
    return network


def _images(read: _Read, step: Step) -> tuple[QuantisationData, Mapping[str, Any]]:
    """The images of the file's recipe, and the document with what they are normalised by.

    Raises InputError where they cannot be read, or are not of the network's form.
    """
    import torch

    from cspnas.api.training_job import TrainingPlace, prepare

    job = prepare(
        ArchitectureFile(read.architecture, dict(read.document), Path(read.origin)),
        {},
        seed=0,
        place=TrainingPlace("cpu"),
        on_step=step,
    )
    chosen = torch.randperm(len(job.data.train.labels), generator=torch.Generator().manual_seed(0))[:CALIBRATION_IMAGES]
    seen, part = (job.data.validation, "validation") if job.test is None else (job.test, "test")
    known = {"mean": list(job.data.mean), "std": list(job.data.std), "class_names": list(job.data.class_names)}
    images = QuantisationData(job.data.train.images[chosen], seen.images, seen.labels, part)
    return images, {**read.document, "data": known | dict(read.document.get("data") or {})}
