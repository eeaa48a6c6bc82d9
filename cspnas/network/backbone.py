"""A network without its classifier: the maps that detectors and segmenters read, one for each resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cspnas.errors import InputError
from cspnas.network.graph import Graph, Operation
from cspnas.network.operations import form_of


class FeatureMap(NamedTuple):
    """A map: its channels, how much smaller than the image it is, and the name of the operation that gives it."""

    channels: int
    reduction: int
    name: str


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """The maps that a backbone gives, in its order, the largest first; read as timm's `feature_info` is."""

    maps: tuple[FeatureMap, ...]

    def channels(self) -> list[int]:
        """Of each map."""
        return [one.channels for one in self.maps]

    def reduction(self) -> list[int]:
        """Image size over map size, of each map."""
        return [one.reduction for one in self.maps]


def backbone_of(graph: Graph, out_indices: Sequence[int] | None = None) -> tuple[Graph, FeatureInfo]:
    """The layers up to the last map, and the maps: at each resolution the last value that all later layers depend on.

    `out_indices` choose among them, from the largest map; negative ones count from the smallest. Raises InputError for an
    index of no map.
    """
    found = _last_of_each_size(graph)
    chosen = (
        range(len(found)) if out_indices is None else sorted({_checked(index, len(found)) for index in out_indices})
    )
    maps = [found[index] for index in chosen]
    kept = graph.operations[: maps[-1] + 1]
    shapes = tuple(graph.operations[index].shape for index in maps)
    last = Operation(form_of("maps", shapes, ()), "maps", tuple(maps))
    height = graph.operations[0].shape[1]
    info = (FeatureMap(op.shape[0], round(height / op.shape[1]), op.name) for op in map(kept.__getitem__, maps))
    return Graph((*kept, last), len(kept)), FeatureInfo(tuple(info))


def _last_of_each_size(graph: Graph) -> list[int]:
    """The last value of each resolution that nothing goes around, in running order; those of the classifier are left out."""
    body = next(index for index, op in enumerate(graph.operations) if _classifies(op))
    # The earliest value that is read after each operation.
    earliest, after = [0] * body, body - 1
    for index in range(body - 1, -1, -1):
        earliest[index] = after
        after = min((after, *graph.operations[index].inputs))
    last = {graph.operations[index].shape[1:]: index for index in range(1, body) if earliest[index] >= index}
    return list(last.values())


def _classifies(op: Operation) -> bool:
    return op.name == "head.conv" or (op.kind == "pool" and op["function"] == "global_avg")


def _checked(index: int, count: int) -> int:
    if not isinstance(index, int) or isinstance(index, bool) or not -count <= index < count:
        raise InputError(
            f"out_indices with {index!r}", expected=f"integers from {-count} to {count - 1}", where="features"
        )
    return index % count
