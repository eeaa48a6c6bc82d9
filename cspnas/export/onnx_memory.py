"""The memory that an ONNX file's values take, read off the file alone."""

from __future__ import annotations

from math import prod

import onnx

# These give their input in another form of storage, which runtimes fold into the nodes around them.
_CASTS = frozenset({"QuantizeLinear", "DequantizeLinear"})
_VIEWS = frozenset({"Slice", "Flatten", "Reshape"})
# They may write over an input that nobody reads later.
_ELEMENTWISE = frozenset({"Relu", "LeakyRelu", "HardSwish", "Mish", "Sigmoid", "Mul", "Add"})


def peak_of(model: onnx.ModelProto) -> int:
    """Greatest sum of live values while any node runs, for one image, in bytes: what is brought to 8 bits as it is made
    takes one byte, all else four. The image stays to the end; weights are apart.
    """
    graph, weights = model.graph, {tensor.name for tensor in model.graph.initializer}
    shapes = _shapes(model)
    alias = {name: name for name in (graph.input[0].name,)}
    steps: list[tuple[str, list[str]]] = []
    for node in graph.node:
        read = list(dict.fromkeys(alias[name] for name in node.input if name and name not in weights and name in alias))
        if not read:
            # Of weights alone.
            continue
        if node.op_type in _CASTS:
            alias[node.output[0]] = read[0]
        else:
            alias[node.output[0]] = node.output[0]
            steps.append((node.op_type, [node.output[0], *read]))
    result = alias[graph.output[0].name]
    return _greatest(
        steps, {name: prod(shapes[name]) * _width(model, name) for name in shapes}, graph.input[0].name, result
    )


def _greatest(steps: list[tuple[str, list[str]]], sizes: dict[str, int], image: str, result: str) -> int:
    """Of the storages that are alive at each step, whose results and reads are named."""
    last = {name: number for number, (_, names) in enumerate(steps) for name in names}
    last |= {image: len(steps), result: len(steps)}
    storage = {image: image}
    for number, (kind, (made, *read)) in enumerate(steps):
        free = [name for name in read if last[name] == number and kind in _ELEMENTWISE and sizes[name] == sizes[made]]
        base = (
            storage[read[0]]
            if kind in _VIEWS
            else next((storage[name] for name in free if _own(name, storage, last, number)), made)
        )
        storage[made] = base
    ends: dict[str, int] = {}
    for name, base in storage.items():
        ends[base] = max(ends.get(base, 0), last.get(name, 0))
    begins = {image: 0} | {made: number for number, (_, (made, *_)) in enumerate(steps)}
    return max(
        sum(sizes[base] for base, end in ends.items() if begins[base] <= number <= end) for number in range(len(steps))
    )


def _own(name: str, storage: dict[str, str], last: dict[str, int], number: int) -> bool:
    """Whether nothing else that is read later lies in the storage of `name`."""
    return all(last[other] <= number for other, base in storage.items() if base == storage[name])


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Of every value, for one image."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    return {value.name: tuple(size.dim_value or 1 for size in value.type.tensor_type.shape.dim) for value in values}


def _width(model: onnx.ModelProto, name: str) -> int:
    """Bytes of one number of the value `name`: 1 where it is only read to be brought to 8 bits."""
    readers = [node.op_type for node in model.graph.node if name in node.input]
    return 1 if readers and set(readers) == {"QuantizeLinear"} else 4
