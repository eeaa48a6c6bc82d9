"""The formats that a network leaves in: one row each, and how a file in one is written, checked and put in place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Protocol

from cspnas.export.network_to_export import NetworkToExport
from cspnas.io.atomic_write import check_output, write_whole


class FormatWriter(Protocol):
    """What a format's class does."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """By ending, empty for the file that the user named. Raises InputError for what the format cannot express."""

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """What an independent reader of the file found, a line. Raises CspnasError where that is another network."""


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """`writer`: module and class of a `FormatWriter`. `beside`: endings of files beside the one that the user names.
    `runs`: it needs the network with weights; `normalises`: it can do so itself;
    `int8_writer`: writes it in 8 bits. `extra` and its `requires`,
    modules, must be installed.
    """

    name: str
    writer: str
    runs: bool = True
    normalises: bool = False
    int8_writer: str = ""
    beside: tuple[str, ...] = ()
    extra: str = ""
    requires: tuple[str, ...] = ()

    def paths(self, output: Path) -> list[Path]:
        """All files that are written where the user names `output`."""
        return [output, *(output.with_suffix(ending) for ending in self.beside)]


_ROWS = (
    ExportFormat("yaml", "cspnas.export.architecture_yaml:YamlWriter", runs=False),
    ExportFormat(
        "onnx",
        "cspnas.export.onnx_file:OnnxWriter",
        normalises=True,
        int8_writer="cspnas.export.onnx_int8:Int8Writer",
        extra="onnx",
        requires=("onnx", "onnxruntime"),
    ),
    ExportFormat("pt2", "cspnas.export.torch_files:Pt2Writer"),
    ExportFormat("torchscript", "cspnas.export.torch_files:TorchScriptWriter"),
    ExportFormat("python", "cspnas.export.python_file:PythonWriter"),
    ExportFormat("timm", "cspnas.export.timm_model:TimmWriter", extra="timm", requires=("timm",)),
    ExportFormat("darknet", "cspnas.export.darknet_files:DarknetWriter", beside=(".weights",)),
    ExportFormat("yolo", "cspnas.export.yolo_yaml:YoloWriter", runs=False),
)
EXPORT_FORMATS: Mapping[str, ExportFormat] = MappingProxyType({row.name: row for row in _ROWS})


def write_format(form: ExportFormat, source: NetworkToExport, output: Path, *, force: bool) -> str:
    """Write the network, once a copy was read again and found right; the line that says what was found.

    Raises InputError for a network that the format cannot express, CspnasError where the check fails: nothing is written.
    """
    module, _, name = (form.writer if source.quantisation is None else form.int8_writer).partition(":")
    writer: FormatWriter = getattr(import_module(module), name)()
    contents = writer.contents(source)
    with TemporaryDirectory(prefix="cspnas-export-") as folder:
        copies = {Path(folder) / path.name: path for path in form.paths(output)}
        for copy in copies:
            copy.write_bytes(contents["" if copy.name == output.name else copy.suffix])
        found = writer.checked(Path(folder) / output.name, source)
        for path in copies.values():
            check_output(path, force=force)
        for copy, path in copies.items():
            write_whole(path, copy.read_bytes(), force=force)
    return found
