"""Networks in Python: build one, cost one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspnas.api.arguments import expect
from cspnas.errors import InputError
from cspnas.network.architecture import Architecture
from cspnas.network.backbone import FeatureInfo, backbone_of
from cspnas.network.cost import Cost, cost_of
from cspnas.network.deployment import (
    DEFAULT_DEPLOYMENT,
    LARGEST_BATCH,
    ORDERS,
    PRECISIONS,
    Deployment,
    Order,
    Precision,
)
from cspnas.network.graph import Graph
from cspnas.network.wiring import wire

if TYPE_CHECKING:
    from cspnas.training.module import NetworkModule

Described = Architecture | str | Path


def cost(
    architecture: Described,
    *,
    precision: Precision | None = None,
    batch: int | None = None,
    order: Order | None = None,
    features: bool = False,
    out_indices: Sequence[int] | None = None,
) -> Cost:
    """The exact costs of an architecture: `macs`, `flops`, `params`, `peak_memory` (bytes) and more; needs no torch.

    `peak_memory`, `weight_bytes` and `traffic` are those of inference in `precision` (float32, float16 or int8), `batch`
    images at a time, operations in this `order` (as `written`, or the `best` one, which needs the least `peak_memory`).
    What is None is as the file's `deployment` says, else float32, 1 and `written`.
    With `features` the costs are those of the backbone that `build` gives for it and for `out_indices`.

    `architecture` is a value, a file, or the name of a reference that comes with the package. `training_memory(64)` of the
    result is in bytes at 64 images a step. Raises InputError (one line: file, line and key) for a file that does not describe
    a network.

    >>> cost("csdarknet53").params
    27642184
    """
    expect("cspnas.cost", batch=(batch, int, 1, LARGEST_BATCH))
    described, of_file = _read(architecture, "cspnas.cost")
    deployment = _said("cspnas.cost", of_file, precision=precision, batch=batch, order=order)
    graph, _ = _graph(described, features, out_indices, "cspnas.cost")
    return cost_of(graph, deployment.order).deployed(deployment)


def build(
    architecture: Described,
    *,
    seed: int = 0,
    classes: int | None = None,
    order: Order | None = None,
    features: bool = False,
    out_indices: Sequence[int] | None = None,
) -> NetworkModule:
    """The `torch.nn.Module` of an architecture, freshly initialised: (N, C, H, W) -> (N, classes).

    `architecture` is a value, a file, or the name of a reference that comes with the package (`csdarknet53`). `classes`
    replaces its class count: the head gets that many outputs, all else stays, but it is another network with another digest.
    The same `seed` gives the same weights. Its operations run in this `order`, `written` or `best` (see `cost`); None is as
    the file's `deployment` says.

    With `features` it is a backbone: (N, C, H, W) -> a list of maps, one for each resolution, the largest first;
    `out_indices` choose among them, and `feature_info` has their `channels()` and `reduction()`.
    Raises InputError (one line: file, line and key, or the value's field) for what describes no network and for wrong
    arguments, TrainingError (out of memory) for a network that is larger than this machine's memory.

    Weights for other classes, from those of an exported network that `cspnas train` wrote:
    >>> network = build("best.yaml", classes=3)
    >>> from safetensors.torch import load_file
    >>> weights = load_file("best.safetensors")
    >>> body = {name: tensor for name, tensor in weights.items() if not name.startswith("head.")}
    >>> network.load_state_dict(body, strict=False).missing_keys
    ['head.linear.weight', 'head.linear.bias']

    >>> network = build("best.yaml")  # the same by replacing the layer, as in any module
    >>> network.load_state_dict(load_file("best.safetensors"))
    <All keys matched successfully>
    >>> network.head.linear = torch.nn.Linear(network.head.linear.in_features, 3)
    """
    expect("cspnas.build", seed=(seed, int, 0, 2**63 - 1))
    import torch

    from cspnas.training.memory_check import check_fits
    from cspnas.training.module import NetworkModule, initialise

    described, of_file = _read(architecture, "cspnas.build")
    deployment = _said("cspnas.build", of_file, order=order)
    if classes is not None:
        described = replace(described, classes=_checked_classes(classes, features))
    graph, info = _graph(described, features, out_indices, "cspnas.build")
    check_fits(graph, 0, torch.device("cpu"))
    network = NetworkModule(graph, order=deployment.order)
    network.feature_info = info
    initialise(network, seed)
    return network


def _graph(
    architecture: Architecture, features: bool, out_indices: Sequence[int] | None, where: str
) -> tuple[Graph, FeatureInfo | None]:
    """Of the classifier, or of the backbone. Raises InputError for indices without a backbone, and for none at all."""
    graph = wire(architecture)
    if features is not True and features is not False:
        raise InputError(f"features={features!r}", expected="True or False", where=where)
    if out_indices is None:
        return backbone_of(graph) if features else (graph, None)
    if not features or isinstance(out_indices, str) or not isinstance(out_indices, Sequence) or not out_indices:
        expected = "a list of at least one index, and features=True"
        raise InputError(f"out_indices={out_indices!r:.60}, features={features}", expected=expected, where=where)
    return backbone_of(graph, out_indices)


def _read(architecture: Described, where: str) -> tuple[Architecture, Deployment]:
    """With the deployment of its file."""
    from cspnas.documents.architecture_file import checked_value, find_architecture, read_architecture

    if isinstance(architecture, Architecture):
        return checked_value(architecture, where), DEFAULT_DEPLOYMENT
    file = read_architecture(find_architecture(str(architecture)))
    return file.architecture, file.deployment


def _said(where: str, of_file: Deployment, **said: Any) -> Deployment:
    """What is not None, else what the file says. Raises InputError for a name that is not known."""
    for key, names in (("precision", PRECISIONS), ("order", ORDERS)):
        if said.get(key) not in (None, *names):
            raise InputError(f"{key}={said[key]!r}", expected=f"one of {', '.join(names)}", where=where)
    return replace(of_file, **{key: value for key, value in said.items() if value is not None})


def _checked_classes(classes: int, features: bool) -> int:
    if features:
        expected = "one of them: a backbone has no classes"
        raise InputError(f"classes={classes!r} with features={features!r}", expected=expected, where="cspnas.build")
    if not isinstance(classes, Integral) or isinstance(classes, bool) or classes < 1:
        raise InputError(f"classes={classes!r}", expected="an integer of at least 1", where="cspnas.build")
    # an integer of NumPy's has no place in a digest
    return int(classes)
