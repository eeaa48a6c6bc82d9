"""`--format onnx --int8`: weights and values in 8 bits, whose scales are measured on training images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from cspnas.export.network_to_export import NetworkToExport, QuantisationData
from cspnas.export.onnx_file import IMAGE, LOGITS, OnnxWriter, session_of
from cspnas.export.onnx_memory import peak_of
from cspnas.network.cost import cost_of
from cspnas.network.deployment import Deployment

# Images at a time of which the ranges are measured: all values of all of them are in memory.
CALIBRATION_BATCH = 8
# Images at a time of which the accuracy is measured.
EVALUATION_BATCH = 64


class Int8Writer:
    """Static quantisation: symmetric weights of each channel, values by their least and greatest on the training images."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """The model with QuantizeLinear and DequantizeLinear, as onnxruntime and TensorRT read it, its nodes in our order."""
        float_model = OnnxWriter().contents(source)[""]
        with TemporaryDirectory(prefix="cspnas-int8-") as folder, _quiet():
            before, after = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
            before.write_bytes(float_model)
            reader = _TrainingImages(source)
            quantize_static(before, after, reader, quant_format=QuantFormat.QDQ, per_channel=True)
            model = onnx.load(after)
        _reorder(model, [node.name for node in onnx.load_from_string(float_model).graph.node])
        return {"": model.SerializeToString()}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """Accuracy before and after, and the memory that the file takes beside the network's exact costs."""
        onnx.checker.check_model(str(path), full_check=True)
        model, data = onnx.load(path), _data(source)
        with TemporaryDirectory(prefix="cspnas-int8-") as folder:
            before = Path(folder) / "float.onnx"
            before.write_bytes(OnnxWriter().contents(source)[""])
            accuracies = [_accuracy(file, source) for file in (before, path)]
        cost = cost_of(source.module.graph).deployed(Deployment("int8"))
        weights, biases = _stored(model)
        lines = (
            f"onnxruntime on {len(data.labels):,} {data.part} images: float32 {100 * accuracies[0]:.2f}%, "
            f"int8 {100 * accuracies[1]:.2f}% accuracy",
            f"weights_memory {cost.weight_bytes:,} bytes; in the file {weights:,} int8 weights and {biases:,} int32 biases",
            f"peak_memory {cost.peak_memory:,} bytes; in the file {peak_of(model):,} bytes",
        )
        return "\n".join(lines)


class _TrainingImages(CalibrationDataReader):  # type: ignore[misc]
    """Of the training part, in batches."""

    def __init__(self, source: NetworkToExport) -> None:
        self._batches = iter(_data(source).training.split(CALIBRATION_BATCH))
        self._source = source

    def get_next(self) -> dict[str, object] | None:
        """One batch by the name of the input; None after the last."""
        images = next(self._batches, None)
        return None if images is None else {IMAGE: _as_input(self._source, images)}


def _data(source: NetworkToExport) -> QuantisationData:
    assert source.quantisation is not None
    return source.quantisation


def _as_input(source: NetworkToExport, pixels: torch.Tensor) -> Any:
    """uint8 pixels as the file reads them."""
    return (pixels if source.normalise else source.normalised_pixels(pixels)).numpy()


def _accuracy(path: Path, source: NetworkToExport) -> float:
    session, data, correct = session_of(path), _data(source), 0
    for images, labels in zip(data.images.split(EVALUATION_BATCH), data.labels.split(EVALUATION_BATCH), strict=True):
        logits = session.run([LOGITS], {IMAGE: _as_input(source, images)})[0]
        correct += int((logits.argmax(1) == labels.numpy()).sum())
    return correct / len(data.labels)


def _stored(model: onnx.ModelProto) -> tuple[int, int]:
    """Quantised weights (int8) and biases (int32): how many values of each."""
    quantised = {node.input[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    stored = [tensor for tensor in model.graph.initializer if tensor.name in quantised]
    sizes = dict.fromkeys((TensorProto.INT8, TensorProto.INT32), 0)
    for tensor in stored:
        sizes[tensor.data_type] += int(np.prod(numpy_helper.to_array(tensor).shape))
    return sizes[TensorProto.INT8], sizes[TensorProto.INT32]


def _reorder(model: onnx.ModelProto, names: list[str]) -> None:
    """The nodes in the order of `names`, each after those that only bring its values to and from 8 bits."""
    makers = {output: node for node in model.graph.node for output in node.output}
    ordered: dict[str, onnx.NodeProto] = {}

    def add(node: onnx.NodeProto) -> None:
        for value in node.input:
            if value in makers and makers[value].name not in ordered:
                add(makers[value])
        ordered.setdefault(node.name, node)

    by_name = {node.name: node for node in model.graph.node}
    for name in [*(name for name in names if name in by_name), *by_name]:
        add(by_name[name])
    kept = list(ordered.values())
    del model.graph.node[:]
    model.graph.node.extend(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Advice of the quantiser that is followed already, and comes as warnings of the root logger, is not shown."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
