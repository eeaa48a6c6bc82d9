"""From a graph to one flat `nn.Module` that runs the operations in order and frees each value after its last reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 (torch's own name for it)
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from cspnas.errors import ArchitectureError
from cspnas.network.graph import Graph, Operation
from cspnas.network.liveness import fold_norms, plan

_ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor] | None]] = {
    "relu": (F.relu, F.relu_),
    "leaky_relu": (F.leaky_relu, F.leaky_relu_),
    "silu": (F.silu, lambda x: F.silu(x, inplace=True)),
    "mish": (F.mish, lambda x: F.mish(x, inplace=True)),
    "hardswish": (F.hardswish, lambda x: F.hardswish(x, inplace=True)),
    "gelu": (F.gelu, None),
}


def _conv(op: Operation, channels: int) -> nn.Module:
    return nn.Conv2d(
        channels, op["out_channels"], op["kernel"], op["stride"], op["padding"], groups=op["groups"], bias=op["bias"]
    )


def _slice(op: Operation, overwrites: int | None) -> Callable[..., Tensor]:
    start, stop = op["start"], op["stop"]
    return lambda x: x[:, start:stop]


def _act(op: Operation, overwrites: int | None) -> Callable[..., Tensor]:
    fresh, in_place = _ACTIVATIONS[op["function"]]
    function = fresh if overwrites is None or in_place is None else in_place
    if op["function"] != "leaky_relu":
        return function
    slope = op["negative_slope"]
    return lambda x: function(x, slope)


def _add(op: Operation, overwrites: int | None) -> Callable[..., Tensor]:
    if op["common"]:
        stride = op["stride"]
        return lambda a, b: _add_common(a if overwrites == 0 else a.clone(), b, stride)
    if overwrites is None:
        return torch.add
    return (lambda a, b: a.add_(b)) if overwrites == 0 else (lambda a, b: b.add_(a))


def _add_common(total: Tensor, other: Tensor, stride: int) -> Tensor:
    """Darknet's shortcut, in place: the channels that both have, every `stride`-th position of `other`."""
    channels = min(total.shape[1], other.shape[1])
    total[:, :channels].add_(other[:, :channels, ::stride, ::stride])
    return total


def _pool(op: Operation, overwrites: int | None) -> Callable[..., Tensor]:
    kernel, stride, padding = op["kernel"], op["stride"], op["padding"]
    if op["function"] == "global_avg":
        return lambda x: F.adaptive_avg_pool2d(x, 1)
    pool = F.max_pool2d if op["function"] == "max" else F.avg_pool2d
    return lambda x: pool(x, kernel, stride, padding)


# Kinds with weights are leaf modules; the others are functions made from (operation, overwritten input).
_LAYERS: dict[str, Callable[[Operation, int], nn.Module]] = {
    "conv": _conv,
    "norm": lambda op, channels: nn.BatchNorm2d(channels),
    "linear": lambda op, channels: nn.Linear(channels, op["out_features"]),
}
_FUNCTIONS: dict[str, Callable[[Operation, int | None], Callable[..., Tensor]]] = {
    "act": _act,
    "add": _add,
    "concat": lambda op, overwrites: lambda *parts: torch.cat(parts, 1),
    "slice": _slice,
    "pool": _pool,
    "flatten": lambda op, overwrites: lambda x: x.flatten(1),
}


@dataclass(frozen=True, slots=True)
class _Step:
    run: Callable[..., Tensor]
    inputs: tuple[int, ...]
    result: int
    drops: tuple[int, ...]


class Network(nn.Module):
    """`graph` as a module: (N, channels, height, width) -> (N, classes).

    Flat: a module of modules would hold each block's input until the block ends. State-dict names say where a layer
    stands (`stage1.block.layer2.grow.conv.weight`). `training_rules` lays memory out for autograd (see liveness.plan).
    """

    def __init__(self, graph: Graph, *, training_rules: bool = True) -> None:
        super().__init__()
        self.graph = graph
        layout = plan(graph, training=training_rules)
        steps = []
        for index, op in enumerate(graph.operations[1:], start=1):
            if op.kind in _LAYERS:
                run: Callable[..., Tensor] = _LAYERS[op.kind](op, graph.operations[op.inputs[0]].shape[0])
                _attach(self, op.name, cast("nn.Module", run))
            else:
                run = _FUNCTIONS[op.kind](op, layout.overwrites[index])
            steps.append(_Step(run, op.inputs, index, layout.drops[index]))
        self._steps = tuple(steps)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a batch of normalised images."""
        values: dict[int, Tensor] = {0: image}
        for step in self._steps:
            values[step.result] = step.run(*[values[index] for index in step.inputs])
            for index in step.drops:
                del values[index]
        return values[self.graph.output]

    def layer(self, name: str) -> Any:
        """The layer that stands at `name`."""
        return self.get_submodule(name)


def _attach(root: nn.Module, path: str, layer: nn.Module) -> None:
    """Hang `layer` at a dotted path; the modules between are names only and never run.

    Raises ArchitectureError where the name is taken: a second layer would silently take the first one's place.
    """
    *folders, last = path.split(".")
    for folder in folders:
        if not hasattr(root, folder):
            root.add_module(folder, nn.Module())
        root = getattr(root, folder)
        if type(root) is not nn.Module:
            raise ArchitectureError(f"a layer inside {folder!r}", expected="a name of its own", where=path)
    if hasattr(root, last):
        raise ArchitectureError(f"a second {last!r}", expected="a name of its own for each layer", where=path)
    root.add_module(last, layer)


def initialise(network: Network, seed: int) -> None:
    """Kaiming-normal convolutions (fan out), unit norms, small linear layer; the same weights for a seed everywhere."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01, generator=generator)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(cast("Tensor", module.bias))


def fold(network: Network) -> Network:
    """A copy for inference: every foldable norm is inside its convolution, memory laid out by the rules of inference."""
    folded = Network(fold_norms(network.graph), training_rules=False).eval()
    like = next(network.parameters(), None)
    if like is not None:
        folded.to(like.device, like.dtype)
    layers = dict(folded.named_modules())
    norm_behind = {op.inputs[0]: op.name for op in network.graph.operations if op.kind == "norm"}
    for index, op in enumerate(network.graph.operations):
        if op.kind not in _LAYERS or op.name not in layers:
            continue  # no weights, or a norm that is now inside its convolution
        source, target = network.layer(op.name), layers[op.name]
        if norm_behind.get(index, op.name) in layers:
            target.load_state_dict(source.state_dict())
        else:
            _fold_into(target, source, network.layer(norm_behind[index]))
    return folded


@torch.no_grad()
def _fold_into(target: Any, conv: Any, norm: Any) -> None:
    """weight * gamma / sqrt(variance + eps) and the bias that goes with it."""
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    target.weight.copy_(weight)
    target.bias.copy_(bias)
