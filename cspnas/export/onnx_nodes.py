"""A graph's operations as nodes of ONNX; values and weights have our layers' names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper

from cspnas.network.graph import Graph, Operation
from cspnas.training.module import NetworkModule


class Nodes:
    """The model's `nodes` and `constants` so far; a value has the name of the operation that gives it."""

    def __init__(self, network: NetworkModule) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {
            name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items() if tensor.dim()
        }

    def add_all(self, graph: Graph, first: str, output: str) -> None:
        """Every operation, in running order; `first` is the image, `output` the result."""
        names = {0: first}
        for index, operation in enumerate(graph.operations[1:], start=1):
            names[index] = output if index == graph.output else operation.name
            read = [names[source] for source in operation.inputs]
            _OPERATIONS[operation.kind](self, operation, read, graph.input_shapes(operation), names[index])

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node with one result, which has its name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: Any, dtype: Any = np.int64) -> str:
        """A stored tensor."""
        self.constants[name] = np.asarray(values, dtype)
        return name

    def normalised(self, image: str, mean: Sequence[float], std: Sequence[float]) -> str:
        """The pixels `image`, 0 to 255, normalised by channel; `mean` and `std` are of pixels from 0 to 1."""
        centre, scale = (np.array(values).reshape(-1, 1, 1) * 255 for values in (mean, std))
        pixels = self.add("Cast", [image], "pixels", to=TensorProto.FLOAT)
        centred = self.add("Sub", [pixels, self.constant("pixel_mean", centre, np.float32)], "centred")
        return self.add("Div", [centred, self.constant("pixel_std", scale, np.float32)], "normalised")


def _window(op: Operation) -> dict[str, list[int]]:
    return {"kernel_shape": [op["kernel"]] * 2, "strides": [op["stride"]] * 2, "pads": [op["padding"]] * 4}


def _conv(nodes: Nodes, op: Operation, read: list[str], shapes: Any, name: str) -> str:
    weights = [f"{op.name}.weight"] + [f"{op.name}.bias"] * op["bias"]
    return nodes.add("Conv", [*read, *weights], name, group=op["groups"], **_window(op))


def _norm(nodes: Nodes, op: Operation, read: list[str], shapes: Any, name: str) -> str:
    parts = [f"{op.name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    return nodes.add("BatchNormalization", [*read, *parts], name, epsilon=torch.nn.BatchNorm2d(1).eps)


def _act(nodes: Nodes, op: Operation, read: list[str], shapes: Any, name: str) -> str:
    kinds = {"relu": "Relu", "leaky_relu": "LeakyRelu", "mish": "Mish", "hardswish": "HardSwish", "gelu": "Gelu"}
    if op["function"] == "silu":
        return nodes.add("Mul", [*read, nodes.add("Sigmoid", read, f"{name}.sigmoid")], name)
    slope = {"alpha": op["negative_slope"]} if op["function"] == "leaky_relu" else {}
    return nodes.add(kinds[op["function"]], read, name, **slope)


def _add(nodes: Nodes, op: Operation, read: list[str], shapes: Any, name: str) -> str:
    first, other = read
    if op["common"]:
        # Of the second operand the channels that both have, at every stride-th position; zeros for the first's others.
        channels = min(shape[0] for shape in shapes)
        other = _sliced(nodes, f"{name}.common", other, (0, 0, 0), (channels, *shapes[1][1:]), (1, *[op["stride"]] * 2))
        if shapes[0][0] > channels:
            pads = nodes.constant(f"{name}.pads", [0, shapes[0][0] - channels])
            other = nodes.add("Pad", [other, pads, "", nodes.constant(f"{name}.axes", [1])], f"{name}.padded")
    return nodes.add("Add", [first, other], name)


def _slice(nodes: Nodes, op: Operation, read: list[str], shapes: Any, name: str) -> str:
    return _sliced(nodes, name, read[0], (op["start"],), (op["stop"],), (1,))


def _sliced(nodes: Nodes, name: str, x: str, *bounds: tuple[int, ...]) -> str:
    """`x` from start to stop by step in its channels, or in channels, height and width."""
    axes = range(1, 1 + len(bounds[0]))
    starts, stops, steps = bounds
    parts = {"starts": starts, "stops": stops, "axes": axes, "steps": steps}
    return nodes.add("Slice", [x, *(nodes.constant(f"{name}.{key}", value) for key, value in parts.items())], name)


def _pool(nodes: Nodes, op: Operation, read: list[str], shapes: Any, name: str) -> str:
    if op["function"] == "global_avg":
        return nodes.add("GlobalAveragePool", read, name)
    if op["function"] == "max":
        return nodes.add("MaxPool", read, name, **_window(op))
    return nodes.add("AveragePool", read, name, count_include_pad=1, **_window(op))


_OPERATIONS: dict[str, Callable[[Nodes, Operation, list[str], Any, str], str]] = {
    "conv": _conv,
    "norm": _norm,
    "act": _act,
    "concat": lambda nodes, op, read, shapes, name: nodes.add("Concat", read, name, axis=1),
    "add": _add,
    "slice": _slice,
    "pool": _pool,
    "flatten": lambda nodes, op, read, shapes, name: nodes.add("Flatten", read, name),
    "linear": lambda nodes, op, read, shapes, name: nodes.add(
        "Gemm", [*read, f"{op.name}.weight", f"{op.name}.bias"], name, transB=1
    ),
}
