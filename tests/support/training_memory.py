"""The memory of a training step as torch really allocates it: the oracle of the closed form in `cost`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from cspnas.network.graph import Graph
from cspnas.training.module import NetworkModule


def measured_training_memory(graph: Graph, batch_size: int, *, device: str = "meta") -> int:
    """Bytes after the forward pass of a real step: all that autograd keeps (each storage once), and parameters, gradients
    and momentum as a warm SGD step holds them.
    """
    with torch.device(device):
        network = NetworkModule(graph).train()
        images = torch.empty(batch_size, *graph.operations[0].shape)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(images).sum().backward()
    optimizer.step()
    held: list[Tensor] = [*network.parameters()]
    held += [p.grad for p in network.parameters() if p.grad is not None]
    held += [state["momentum_buffer"] for state in optimizer.state.values()]
    weights = {tensor.untyped_storage()._cdata for tensor in (*network.parameters(), *network.buffers())}
    with _saved_storages() as saved:
        loss = network(images).sum()
    activations = sum(size for key, size in saved.items() if key not in weights)
    del loss
    return activations + sum(tensor.untyped_storage().nbytes() for tensor in held)


@contextmanager
def _saved_storages() -> Iterator[dict[int, int]]:
    """Storages (id to bytes) that autograd saves inside the block."""
    saved: dict[int, int] = {}
    keep: list[Tensor] = []  # an id stands for one storage only while that storage lives

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        keep.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved
