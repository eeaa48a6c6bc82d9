"""ONNX: the network as other runtimes read it. Norms are folded, batches are of any size, values have our layers' names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from cspnas.errors import CspnasError, InputError
from cspnas.export.comparison import compared, expected_outputs, random_images
from cspnas.export.network_to_export import NetworkToExport
from cspnas.export.onnx_nodes import Nodes
from cspnas.io.quantities import format_quantity
from cspnas.training.module import fold

# The first with Gelu; onnxruntime 1.17 and later read it.
OPSET, IR_VERSION = 20, 9
# Bytes of one message of protobuf.
LARGEST_ONNX_FILE = 2**31 - 2**20
IMAGE, LOGITS = "image", "logits"


class OnnxWriter:
    """`--format onnx`."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """The model. Raises InputError for more weights than one file holds, and for normalisation without statistics."""
        folded = fold(source.module)
        size = sum(tensor.nbytes for tensor in folded.state_dict().values())
        if size > LARGEST_ONNX_FILE:
            found, expected = (
                f"{format_quantity(size, 'bytes')} of weights",
                f"at most {format_quantity(LARGEST_ONNX_FILE, 'bytes')} in an ONNX file",
            )
            raise InputError(found, expected=expected, where=source.origin, hint="take a smaller network")
        nodes = Nodes(folded)
        first = nodes.normalised(IMAGE, *source.statistics()) if source.normalise else IMAGE
        nodes.add_all(folded.graph, first, LOGITS)
        pixels = TensorProto.UINT8 if source.normalise else TensorProto.FLOAT
        model = helper.make_model(
            helper.make_graph(
                nodes.nodes,
                "cspnas",
                [helper.make_tensor_value_info(IMAGE, pixels, ["batch", *folded.graph.operations[0].shape])],
                [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["batch", source.architecture.classes])],
                [numpy_helper.from_array(array, name) for name, array in nodes.constants.items()],
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="cspnas",
        )
        helper.set_model_props(model, source.metadata())
        return {"": model.SerializeToString()}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """By ONNX's own checker, and by onnxruntime, which runs it. Raises CspnasError where it computes something else."""
        onnx.checker.check_model(str(path), full_check=True)
        session, batches = session_of(path), random_images(source)
        theirs = torch.cat([torch.from_numpy(session.run(None, {IMAGE: images.numpy()})[0]) for images in batches])
        model = onnx.load(path)
        stored = sum(numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer)
        said = compared(expected_outputs(source, batches), theirs, "onnxruntime")
        return f"{len(model.graph.node)} nodes, initializers of {format_quantity(stored, 'bytes')}; {said}"


def session_of(path: Path) -> Any:
    """The file, open in onnxruntime on the CPU with torch's number of threads. Raises CspnasError for one that it refuses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 (its errors have no base of their own)
        raise CspnasError(f"onnxruntime does not read the written file: {error}; nothing was written") from None
