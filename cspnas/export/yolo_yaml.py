"""`--format yolo`: the backbone as rows of an Ultralytics model file. Their package is not needed to write or check it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import yaml

from cspnas.errors import CspnasError, InputError
from cspnas.export.network_to_export import NetworkToExport
from cspnas.network.architecture import Architecture, Stage

_ACTIVATIONS = {"silu": "nn.SiLU()", "relu": "nn.ReLU()", "leaky_relu": "nn.LeakyReLU({})", "mish": "nn.Mish()"}


class _Row(NamedTuple):
    """[from, repeats, module, args] of a model file; `from` is always the row before."""

    repeats: int
    module: str
    args: list[object]


class YoloWriter:
    """`Conv`, `C3` and `Bottleneck` rows: a stem, downsampling convolutions, stages of 1x1, 3x3 blocks."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """The file. Raises InputError for a part that these modules are not."""
        architecture = source.architecture
        rows = [row for part in _parts(architecture, source.origin) for row in part]
        activation = _ACTIVATIONS[architecture.activation].format(architecture.negative_slope)
        text = f"# Backbone of network {source.graph.digest()}, without its classifier: Classify is Ultralytics' own.\n"
        text += (
            f"nc: {architecture.classes}\nch: {architecture.input_shape[0]}\nactivation: {activation}\n\nbackbone:\n"
        )
        text += "  # [from, repeats, module, args]\n"
        text += "".join(f"  - [-1, {row.repeats}, {row.module}, {row.args}]\n" for row in rows)
        return {"": f"{text}\nhead:\n  - [-1, 1, Classify, [nc]]\n".encode()}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """The parameters of each row, by the definitions of its module, are those of our layers."""
        rows = yaml.safe_load(path.read_text())["backbone"]
        channels, parameters = source.architecture.input_shape[0], 0
        for _, repeats, module, args in rows:
            parameters += _PARAMETERS[module](channels, repeats, *args)
            channels = args[0]
        ours = sum(op.form.params for op in source.graph.operations if not op.name.startswith("head."))
        if parameters != ours:
            raise CspnasError(
                f"{parameters:,} parameters in the rows of the written file, not {ours:,}; nothing was written"
            )
        return f"{len(rows)} rows; by their modules' definitions {parameters:,} parameters, as the backbone has"


def _parts(architecture: Architecture, origin: str) -> list[list[_Row]]:
    """The rows of the stem and of each stage."""
    stem = architecture.stem
    if architecture.activation not in _ACTIVATIONS or architecture.norm == "before" or stem.kind != "conv" or stem.pool:
        found = f"activation {architecture.activation}, norm {architecture.norm} the convolution, stem {stem.label}"
        expected = "SiLU, ReLU, Leaky ReLU or Mish, norms after convolutions, a stem of convolutions alone"
        raise InputError(found, expected=expected, where=origin, hint="choose another --format")
    strides = [stem.stride] + [1] * len(stem.hidden)
    padding = (stem.kernel - 1) // 2
    widths = (*stem.hidden, stem.channels)
    rows = [
        _Row(1, "Conv", [width, stem.kernel, stride, padding]) for width, stride in zip(widths, strides, strict=True)
    ]
    channels, parts = stem.channels, [rows]
    for number, stage in enumerate(architecture.stages, start=1):
        parts.append(_stage(architecture.family, stage, channels, f"{origin}: stage {number}"))
        channels = stage.out
    return parts


def _stage(family: str, stage: Stage, channels: int, place: str) -> list[_Row]:
    csp, inside, down = stage.csp, stage.width or 0, stage.downsample
    entered = channels if down is None else down.width
    plain = csp is None and stage.stride == 1 and stage.out == inside == entered
    cross = csp is not None and csp.fusion == "first" and csp.split != "slice" and not csp.linear and csp.taps == "last"
    wide = cross and csp is not None and csp.part1 == csp.part2 == inside == stage.bottleneck
    if family != "darknet" or stage.pool or not (plain or wide) or (down is not None and down.kind != "conv"):
        expected = "DarkNet blocks, plain or in a cross stage part of fusion first with parts as wide as the blocks"
        raise InputError("another stage", expected=expected, where=place, hint="choose another --format")
    rows = [] if down is None else [_Row(1, "Conv", [down.width, 3, down.stride, 1, down.groups])]
    if cross:
        return [*rows, _Row(stage.depth, "C3", [stage.out, True, stage.groups, _ratio(inside, stage.out, place)])]
    ratio = _ratio(stage.bottleneck, inside, place)
    return [*rows, _Row(stage.depth, "Bottleneck", [inside, True, stage.groups, [1, 3], ratio])]


def _ratio(part: int, whole: int, place: str) -> float:
    """What Ultralytics multiplies `whole` by, and cuts, to get `part`."""
    found = next((ratio for ratio in (part / whole, (part + 0.5) / whole) if int(whole * ratio) == part), None)
    if found is None:
        raise InputError(f"{part} of {whole} channels", expected="a ratio that gives them", where=place)
    return found


def _conv(inputs: int, outputs: int, kernel: int, groups: int = 1) -> int:
    """Parameters of `Conv`: a convolution without bias, and its norm."""
    return inputs // groups * outputs * kernel**2 + 2 * outputs


def _bottleneck(inputs: int, outputs: int, groups: int, kernels: tuple[int, int], ratio: float) -> int:
    hidden = int(outputs * ratio)
    return _conv(inputs, hidden, kernels[0]) + _conv(hidden, outputs, kernels[1], groups)


def _c3(inputs: int, repeats: int, outputs: int, shortcut: bool, groups: int, ratio: float) -> int:
    hidden = int(outputs * ratio)
    inside = repeats * _bottleneck(hidden, hidden, groups, (1, 3), 1.0)
    return 2 * _conv(inputs, hidden, 1) + inside + _conv(2 * hidden, outputs, 1)


_PARAMETERS: dict[str, Callable[..., int]] = {
    "Conv": lambda inputs, repeats, width, kernel, stride, padding, groups=1: _conv(inputs, width, kernel, groups),
    "C3": _c3,
    "Bottleneck": lambda inputs, repeats, width, shortcut, groups, kernels, ratio: (
        repeats * _bottleneck(width, width, groups, kernels, ratio)
    ),
}
