"""`--format darknet`: a .cfg, and the weights beside it (.weights), as Darknet and OpenCV read them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import Tensor

from cspnas.documents.darknet_cfg import CfgSection, read_sections
from cspnas.errors import ArchitectureError, InputError
from cspnas.export.comparison import compared, expected_outputs, random_images
from cspnas.export.network_to_export import NetworkToExport
from cspnas.network.darknet_layers import DarknetLayer, darknet_layers

WEIGHTS = ".weights"
# Major, minor and revision of the format; then the number of images seen, as int64.
_HEADER = np.array([0, 2, 5], np.int32).tobytes() + np.zeros(1, np.int64).tobytes()


class DarknetWriter:
    """Layers as sections; the weights in their order."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """Both files. Raises InputError for a network with a layer that Darknet has not."""
        try:
            layers = darknet_layers(source.graph)
        except ArchitectureError as error:
            raise InputError(error.found, expected=error.expected, where=source.origin, hint=error.hint) from None
        return {"": cfg_text(source, layers).encode(), WEIGHTS: _weights(source, layers)}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """Both files read again, section by section, and run as Darknet runs them."""
        sections, stored = read_sections(path), path.with_suffix(WEIGHTS).read_bytes()
        batches, values = random_images(source), np.frombuffer(stored[len(_HEADER) :], np.float32)
        theirs = torch.cat([run_darknet_files(sections, values, images) for images in batches])
        said = compared(expected_outputs(source, batches), theirs, "a reading of both files section by section")
        return f"{len(sections) - 1} sections; {said}"


def cfg_text(source: NetworkToExport, layers: list[DarknetLayer]) -> str:
    """The .cfg: [net] says the form of the images."""
    channels, height, width = source.architecture.input_shape
    text = f"# network {source.graph.digest()}\n[net]\nheight={height}\nwidth={width}\nchannels={channels}\n"
    for layer in layers:
        text += f"\n[{layer.kind}]\n" + "".join(f"{key}={value}\n" for key, value in layer.options)
    return text


def _weights(source: NetworkToExport, layers: list[DarknetLayer]) -> bytes:
    """Of each convolution its norm (bias, weight, mean, variance) or its bias, then its weights."""
    stored, state = [_HEADER], source.module.state_dict()
    for layer in layers:
        if layer.kind == "convolutional":
            norm = layer.name.removesuffix("conv") + "norm"
            if ("batch_normalize", "1") in layer.options:
                tensors = [state[f"{norm}.{part}"] for part in ("bias", "weight", "running_mean", "running_var")]
            else:
                tensors = [state[f"{layer.name}.bias"]]
            stored += [tensor.numpy().tobytes() for tensor in (*tensors, state[f"{layer.name}.weight"])]
    return b"".join(stored)


def run_darknet_files(sections: list[CfgSection], values: np.ndarray, images: Tensor) -> Tensor:
    """Logits of `images` (N, C, H, W) by the sections of a .cfg and the numbers of its .weights, without the softmax."""
    outputs: list[Tensor] = []
    left = torch.from_numpy(values.copy())

    def take(*shape: int) -> Tensor:
        nonlocal left
        count = int(np.prod(shape))
        taken, left = left[:count], left[count:]
        return taken.view(shape)

    for section in sections[1:]:
        x = outputs[-1] if outputs else images
        match section.kind:
            case "convolutional":
                x = _convolutional(section, x, take)
            case "shortcut":
                x = _activated(section, _shortcut(x, outputs[section.number("from", 0)]))
            case "route":
                x = torch.cat([outputs[index] for index in section.numbers("layers")], 1)
                x = x.chunk(section.number("groups", 1), 1)[section.number("group_id", 0)]
            case "maxpool":
                x = _maxpool(section, x)
            case "avgpool":
                x = x.mean((2, 3), keepdim=True)
        outputs.append(x)
    assert not left.numel(), f"{left.numel()} numbers are left"
    return outputs[-1].flatten(1)


def _convolutional(section: CfgSection, x: Tensor, take: Callable[..., Tensor]) -> Tensor:
    filters, size, groups = section.number("filters", 1), section.number("size", 1), section.number("groups", 1)
    norm = section.number("batch_normalize", 0)
    bias = take(filters)
    scale, mean, variance = (take(filters) for _ in range(3)) if norm else (None, None, None)
    weight = take(filters, x.shape[1] // groups, size, size)
    padding = size // 2 if section.number("pad", 0) else section.number("padding", 0)
    x = F.conv2d(x, weight, None if norm else bias, section.number("stride", 1), padding, groups=groups)
    return _activated(section, F.batch_norm(x, mean, variance, scale, bias) if norm else x)


def _shortcut(x: Tensor, other: Tensor) -> Tensor:
    common, stride = min(x.shape[1], other.shape[1]), max(1, other.shape[2] // x.shape[2])
    return torch.cat([x[:, :common] + other[:, :common, ::stride, ::stride], x[:, common:]], 1)


def _maxpool(section: CfgSection, x: Tensor) -> Tensor:
    size, stride = section.number("size", 1), section.number("stride", 1)
    padding = section.number("padding", size - 1)
    before, after = padding // 2, padding - padding // 2
    return F.max_pool2d(F.pad(x, (before, after, before, after), value=float("-inf")), size, stride)


def _activated(section: CfgSection, x: Tensor) -> Tensor:
    leaky: Callable[[Tensor], Tensor] = partial(F.leaky_relu, negative_slope=0.1)
    functions = {"leaky": leaky, "relu": F.relu, "swish": F.silu, "mish": F.mish}
    kind = section.text("activation", "linear")
    return functions[kind](x) if kind in functions else x
