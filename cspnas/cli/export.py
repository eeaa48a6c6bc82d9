"""`cspnas export`: a network of a study, or of a file, becomes a file of another program's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from cspnas.api.networks import build
from cspnas.api.studies import open_study
from cspnas.documents.architecture_file import find_architecture, read_architecture, shipped_architectures
from cspnas.errors import InputError
from cspnas.export.architecture_yaml import take_away
from cspnas.export.choice import Choice, chosen
from cspnas.export.formats import EXPORT_FORMATS, ExportFormat, write_format
from cspnas.export.network_to_export import NetworkToExport
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
class _Read:
    """The network that a user named: `said` of it, `origin` of it in errors, the files that it is read from."""

    architecture: Architecture
    document: Mapping[str, Any]
    said: str
    origin: str
    files: list[Path]


def export_network(
    name: str,
    wanted: Choice,
    output: Path,
    *,
    form: str = "yaml",
    weights: Path | None = None,
    normalise: bool = False,
    force: bool,
) -> str:
    """Write the network and check what was written; lines that say which one it is, what was found and what comes next.

    `name` is a study, of which `wanted` chooses a network, or an architecture file. `force` replaces files.
    """
    row, output = EXPORT_FORMATS[form], Path(expanded(str(output)))
    weights = None if weights is None else Path(expanded(str(weights)))
    _check_options(row, weights, normalise=normalise)
    _check_outputs(row, output, [] if weights is None else [weights], force=force)
    with steps() as step:
        read = _read(name, wanted, step)
        _check_outputs(row, output, read.files, force=True)
        network = _network(read, weights, step) if row.runs else None
        source = NetworkToExport(read.architecture, read.document, network, weights, read.origin, normalise)
        step(f"writing {output} and checking it")
        found = write_format(row, source, output, force=force)
    written = ", ".join(map(str, row.paths(output)))
    untrained = "" if weights or not row.runs else "untrained weights: give those of cspnas train with --weights\n"
    following = f"; next: cspnas cost {quote(str(output))}" if form == "yaml" else ""
    return f"{written}: {read.said}{following}\n{untrained}check: {found}"


def _check_options(row: ExportFormat, weights: Path | None, *, normalise: bool) -> None:
    """Raises InputError for options that the format has no use for, and where its extra is not installed."""
    check_extra(row.extra, row.requires, purpose=f"what writes and checks {row.name}", where="--format")
    for flag, given, fits in (("--weights", weights is not None, row.runs), ("--normalise", normalise, row.normalises)):
        if given and not fits:
            able = [
                other.name
                for other in EXPORT_FORMATS.values()
                if (other.runs if flag == "--weights" else other.normalises)
            ]
            raise InputError(f"{flag} with --format {row.name}", expected=f"--format {' or '.join(able)}")


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
