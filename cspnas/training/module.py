"""From a graph to one flat `nn.Module` that runs the operations in order and frees each value after its last reader."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cspnas.errors import ArchitectureError
from cspnas.network.backbone import FeatureInfo
from cspnas.network.deployment import Order
from cspnas.network.graph import Graph, Operation
from cspnas.network.liveness import Plan, fold_norms, plan
from cspnas.network.ordering import ordered
from cspnas.training.functions import Function, function_of


def _conv(op: Operation, channels: int) -> nn.Module:
    return nn.Conv2d(
        channels, op["out_channels"], op["kernel"], op["stride"], op["padding"], groups=op["groups"], bias=op["bias"]
    )


# Kinds with weights are modules at the operation's name; the others are functions (see `functions`).
_LAYERS: dict[str, Callable[[Operation, int], nn.Module]] = {
    "conv": _conv,
    "norm": lambda op, channels: nn.BatchNorm2d(channels),
    "linear": lambda op, channels: nn.Linear(channels, op["out_features"]),
}

# Their result is a tensor of its own, and their backward pass does not read it.
_RESULT_IS_FREE = frozenset({nn.Conv2d, nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm, nn.Linear})


def _may_be_overwritten(layer: nn.Module) -> bool:
    """Whether nobody but the next operation can see the layer's result. What a user puts in a layer's place may return its
    input (`nn.Identity`) or keep its result for the backward pass (`nn.Sigmoid`), and a hook may hold on to it.
    """
    return type(layer) in _RESULT_IS_FREE and not (
        layer._forward_hooks or layer._backward_hooks or layer._backward_pre_hooks or "forward" in layer.__dict__
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One operation. `layer`: the path of its module, empty for a function. `fresh` makes a new tensor, `in_place`
    overwrites the value `taken` (None: it is as `fresh`). `is_taken`: a later step overwrites the result.
    """

    inputs: tuple[int, ...]
    result: int
    drops: tuple[int, ...]
    layer: tuple[str, ...] = ()
    is_taken: bool = False
    fresh: Function = torch.add
    in_place: Function = torch.add
    taken: int | None = None


class NetworkModule(nn.Module):
    """`graph` as a module: (N, channels, height, width) -> (N, classes); of a backbone a list of maps.

    Flat: a module of modules would hold each block's input until the block ends. State-dict names say where a layer
    stands (`stage1.block.layer2.grow.conv.weight`). `training_rules` lays memory out for autograd (see liveness.plan).
    `order` is that in which its operations run; its layers are listed, and so initialised, as `graph` has them.

    What stands at a layer's name is what runs: a layer may be replaced, quantised, converted, hooked or pruned like that
    of any other module. Activations, sums, concatenations and pools have no weights and are functions, not modules; the
    modules between (`stage1.block`) are names only and never run.
    """

    graph: Graph
    # Of a backbone.
    feature_info: FeatureInfo | None = None

    def __init__(self, graph: Graph, *, training_rules: bool = True, order: Order = "written") -> None:
        super().__init__()
        for op in graph.operations:
            if op.kind in _LAYERS:
                _attach(self, op.name, _LAYERS[op.kind](op, graph.operations[op.inputs[0]].shape[0]))
        self._lay_out(ordered(graph, order), training_rules=training_rules)

    def _lay_out(self, graph: Graph, *, training_rules: bool) -> None:
        """Run `graph` from now on, with the layers that stand at its operations' names."""
        self.graph = graph
        self._steps = _steps_of(graph, plan(graph, training=training_rules))

    def forward(self, image: Tensor) -> Tensor:
        """Logits, or the maps, of a batch of normalised images. Raises ArchitectureError where a layer is gone."""
        values: dict[int, Tensor] = {0: image}
        # Results that others than the next operation may still see.
        held: set[int | None] = set()
        for step in self._steps:
            if step.layer:
                run: Any = self
                try:
                    for part in step.layer:
                        run = run._modules[part]
                except KeyError:
                    raise _gone(step.layer) from None
                if step.is_taken and not _may_be_overwritten(run):
                    held.add(step.result)
            else:
                run = step.fresh if step.taken in held else step.in_place
            values[step.result] = run(*[values[index] for index in step.inputs])
            for index in step.drops:
                del values[index]
        return values[self.graph.output]

    def layer(self, name: str) -> Any:
        """The layer that stands at `name`. Raises ArchitectureError where there is none."""
        try:
            return self.get_submodule(name)
        except AttributeError:
            raise _gone(tuple(name.split("."))) from None


def _gone(path: tuple[str, ...]) -> ArchitectureError:
    name = ".".join(path)
    return ArchitectureError(
        f"no layer {name!r} in the network",
        expected=f"a module at {name!r}",
        hint="put yours at the name of the layer that it replaces; the modules around it are names only",
    )


def _steps_of(graph: Graph, layout: Plan) -> tuple[_Step, ...]:
    pairs = list(zip(graph.operations, layout.overwrites, strict=True))
    taken = [None if position is None else op.inputs[position] for op, position in pairs]
    steps = []
    for index, (op, position) in enumerate(pairs[1:], start=1):
        step = _Step(op.inputs, index, layout.drops[index])
        if op.kind in _LAYERS:
            step = replace(step, layer=tuple(op.name.split(".")), is_taken=index in taken)
        else:
            step = replace(step, fresh=function_of(op, None), in_place=function_of(op, position), taken=taken[index])
        steps.append(step)
    return tuple(steps)


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


def initialise(network: NetworkModule, seed: int) -> None:
    """Kaiming-normal convolutions (fan out), unit norms, small linear layer; the same weights for a seed everywhere."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01, generator=generator)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(cast("Tensor", module.bias))


def fold(network: NetworkModule) -> NetworkModule:
    """A copy for inference: every foldable norm is inside its convolution, memory laid out by the rules of inference.

    It has the layers that stand in `network` now. Where one of a foldable pair was replaced or has hooks, both are kept and
    run one after the other in the convolution's place. Raises ArchitectureError for a layer that torch cannot copy.
    """
    folded = _copied(network).eval()
    graph = fold_norms(network.graph)
    left = {op.name for op in graph.operations}
    for op in network.graph.operations:
        if op.kind == "norm" and op.name not in left:
            conv = network.graph.operations[op.inputs[0]].name
            folded.set_submodule(conv, _folded(folded.layer(conv), folded.layer(op.name)))
            folder, _, last = op.name.rpartition(".")
            delattr(folded.get_submodule(folder), last)
    folded._lay_out(graph, training_rules=False)
    return folded


def _copied(network: NetworkModule) -> NetworkModule:
    try:
        return copy.deepcopy(network)
    except RuntimeError as error:
        if "deepcopy" not in str(error):
            raise
        raise ArchitectureError(
            "a layer that torch cannot copy: a hook computes its weights",
            expected="weights that are parameters",
            hint="make them so first: torch.nn.utils.prune.remove, torch.nn.utils.remove_weight_norm",
        ) from None


def _folded(conv: nn.Module, norm: nn.Module) -> nn.Module:
    """weight * gamma / sqrt(variance + eps) and the bias that goes with it, where both are what folding is defined for."""
    plain = type(conv) is nn.Conv2d and type(norm) in (nn.BatchNorm2d, nn.SyncBatchNorm)
    hooked = any(layer._forward_pre_hooks or not _may_be_overwritten(layer) for layer in (conv, norm))
    if not plain or hooked or norm.running_mean is None:
        return nn.Sequential(conv, norm)
    return fuse_conv_bn_eval(cast("nn.Conv2d", conv), cast("nn.BatchNorm2d", norm))
