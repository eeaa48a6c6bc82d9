"""Memory as it is really allocated: the measured counterparts of the closed forms in `cost`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from cspnas.network.graph import Graph
from cspnas.training.module import NetworkModule, fold


class LiveStorages(TorchDispatchMode):
    """Sums the storages that are alive after each dispatched operation; `peak` is the greatest sum in bytes.

    `ignored` tensors (weights) are not counted. Saved statistics of batch norm are not either: the meta kernel makes them
    in inference too, no real kernel does.
    """

    def __init__(self, ignored: Iterator[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._ignored = {tensor.untyped_storage()._cdata for tensor in ignored}
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}

    def hold(self, tensor: Tensor) -> None:
        """Count the storage of `tensor` while it lives."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._ignored:
            self._live[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        for tensor in outputs[:1] if "batch_norm" in str(func) else outputs:
            self.hold(tensor)
        self._live = {key: entry for key, entry in self._live.items() if not entry[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self._live.values()))
        return result


def measured_peak(
    graph: Graph, *, batch_size: int = 1, device: str = "meta", dtype: torch.dtype = torch.float32
) -> int:
    """Peak bytes of live storages while the folded network of `graph` runs in `dtype`; weights apart. Meta tensors have no
    values: a large network is as quick as a small one, which is quicker on `cpu`.
    """
    with torch.device(device):
        folded = fold(NetworkModule(graph)).to(dtype)
        image = torch.empty(batch_size, *graph.operations[0].shape, dtype=dtype)
    tracker = LiveStorages(folded.parameters())
    with torch.inference_mode(), tracker:
        tracker.hold(image)
        folded(image)
    return tracker.peak


def parameters_of(module: nn.Module) -> int:
    """Trainable parameters of `module`."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
