"""Random architectures and an independent reading of a graph: helpers that several test files share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cspnas.architecture import FUSIONS, Architecture, Stage, Stem
from cspnas.errors import ArchitectureError
from cspnas.families import wire
from cspnas.graph import ACTIVATIONS, Graph
from cspnas.widths import dense_stage

if TYPE_CHECKING:
    import random

    from cspnas.network import Network


def random_architecture(rng: random.Random) -> Architecture:
    """A dense architecture that can be wired: 2 to 4 stages, plain and CSP mixed; impossible draws are drawn again."""
    while True:
        try:
            architecture = _draw(rng)
            wire(architecture)
        except ArchitectureError:
            continue
        return architecture


def _draw(rng: random.Random) -> Architecture:
    size = rng.choice((28, 32))
    stem = Stem(rng.randint(2, 24), kernel=rng.choice((1, 3, 5)), stride=rng.choice((1, 2)))
    stages: list[Stage] = []
    channels = stem.channels
    for _ in range(rng.choice((2, 2, 2, 3, 4))):
        csp = rng.random() < 0.75
        stages.append(
            dense_stage(
                channels,
                depth=rng.choice((1, 1, 1, 2, 3)),
                growth_rate=rng.randint(1, 12),
                bottleneck_ratio=rng.choice((0.5, 1.0, 2.0, 4.0)),
                compression=rng.choice((0.25, 0.5, 0.75, 1.0)),
                pool=rng.random() < 0.6,
                split_ratio=rng.choice((0.125, 0.25, 0.5, 0.75)) if csp else None,
                fusion=rng.choice(FUSIONS) if csp else None,
            )
        )
        channels = stages[-1].out
    shape = (rng.choice((1, 3)), size, size)
    return Architecture("densenet", shape, rng.choice((2, 10, 100)), stem, tuple(stages), rng.choice(ACTIVATIONS))


def randomise(network: Network) -> None:
    """Weights, biases and running statistics as no fresh network has them, so that a forgotten one shows."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.5, 2.0)


def run_without_reuse(graph: Graph, network: Network, image: Tensor) -> Tensor:
    """The output of `graph` with the layers of `network`: every value a tensor of its own, kept to the end."""
    activations = {
        "relu": lambda x: x.clamp(min=0),
        "leaky_relu": lambda x: torch.where(x > 0, x, 0.1 * x),
        "silu": lambda x: x * torch.sigmoid(x),
        "mish": lambda x: x * torch.tanh(nn.functional.softplus(x)),
        "hardswish": lambda x: x * (x + 3).clamp(0, 6) / 6,
        "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    }
    values = [image]
    for operation in graph.operations[1:]:
        read = [values[index] for index in operation.inputs]
        match operation.kind:
            case "conv" | "norm" | "linear":
                value = network.get_submodule(operation.name)(read[0])
            case "act":
                value = activations[operation["function"]](read[0])
            case "add":
                value = torch.stack(read).sum(0)
            case "concat":
                value = torch.cat(read, 1)
            case "slice":
                value = read[0].narrow(1, operation["start"], operation["stop"] - operation["start"]).clone()
            case "flatten":
                value = read[0].reshape(len(image), -1).clone()
            case "pool" if operation["function"] == "global_avg":
                value = read[0].mean((2, 3), keepdim=True)
            case "pool":
                pool = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}[operation["function"]]
                value = pool(operation["kernel"], operation["stride"], operation["padding"])(read[0])
            case kind:
                raise AssertionError(f"no reading of {kind}")
        values.append(value)
    return values[graph.output]
