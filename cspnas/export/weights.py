"""Weights of `cspnas train` into the network that they belong to."""

from __future__ import annotations

from pathlib import Path

from cspnas.errors import InputError
from cspnas.training.module import NetworkModule


def load_weights(network: NetworkModule, path: Path) -> None:
    """Raises InputError for a file that is no safetensors file, and for weights of another network."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    hint = "give the file that cspnas train wrote for this network"
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(reason, expected="a safetensors file", where=str(path), hint=hint) from None
    own = network.state_dict()
    shapes = [{name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (found, own)]
    differing = sorted(name for name in {*found, *own} if shapes[0].get(name) != shapes[1].get(name))
    if differing:
        theirs, ours = (
            f"{of[name]}" if name in of else "none" for name, of in zip(differing[:1] * 2, shapes, strict=True)
        )
        count = f" ({len(differing)} of {len(own)} tensors differ)"
        raise InputError(
            f"{differing[0]}: {theirs}", expected=f"{ours}, as in the network{count}", where=str(path), hint=hint
        )
    network.load_state_dict(found)
