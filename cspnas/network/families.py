"""The families of networks, one row each: their block, the genes of their stages, how those resolve.

A package outside adds one by an entry point of group `cspnas.families` that names a `Family`; every process that imports
the package, workers among them, then knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Literal

from cspnas.errors import InputError
from cspnas.network.blocks import Block, bottleneck_block, dark_block, dense_block, two_way_dense_block
from cspnas.network.operations import check_name

ENTRY_POINTS = "cspnas.families"


@dataclass(frozen=True, slots=True)
class Family:
    """`kind` of its stages: `dense` layers that add channels, or `residual` blocks of one width.

    `size_gene`: the gene that says how wide a stage is. `defaults`: the other keys that not every family has, each with its
    choices where a space file says none. With `grouped_output` the grouped convolution gives the block's width, which the
    groups must divide too.
    """

    name: str
    block: Block
    kind: Literal["dense", "residual"]
    size_gene: Literal["growth_rate", "width"]
    defaults: Mapping[str, tuple[Any, ...]]
    grouped_output: bool = False

    @property
    def keys(self) -> frozenset[str]:
        """The keys of a stage in a space file."""
        return frozenset({*self.defaults, self.size_gene, "depth", "csp", "split_ratio", "fusion"})


_DENSENET = Family(
    "densenet",
    dense_block,
    kind="dense",
    size_gene="growth_rate",
    defaults=MappingProxyType(
        {"bottleneck_ratio": (2.0,), "compression": (0.5,), "split": ("slice",), "pool": ("after",)}
    ),
)
_RESNET = Family(
    "resnet",
    bottleneck_block,
    kind="residual",
    size_gene="width",
    defaults=MappingProxyType({"bottleneck_ratio": (0.5,), "groups": (1,), "split": ("project",), "taps": ("last",)}),
)
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        row.name: row
        for row in (
            _DENSENET,
            replace(_DENSENET, name="peleenet", block=two_way_dense_block),
            _RESNET,
            replace(_RESNET, name="resnext"),
            replace(_RESNET, name="darknet", block=dark_block, grouped_output=True),
        )
    }
)


def family_of(name: str) -> Family:
    """The row of a family. Raises ArchitectureError for a name that is none, InputError as `all_families` does."""
    row = FAMILIES.get(name) or all_families().get(name)
    if row is None:
        check_name("family", name, tuple(all_families()))
        raise AssertionError(name)
    return row


@cache
def all_families() -> Mapping[str, Family]:
    """Ours, then those of installed packages. Raises InputError for one of these that cannot be used."""
    rows = dict(FAMILIES)
    for point in entry_points(group=ENTRY_POINTS):
        row = _loaded(point)
        if row.name in rows:
            raise _unusable(point, f"family {row.name!r} again", "a name of its own")
        rows[row.name] = row
    return MappingProxyType(rows)


def _loaded(point: EntryPoint) -> Family:
    try:
        row = point.load()
    except Exception as error:  # whatever a foreign package raises when it is imported
        raise _unusable(point, f"{type(error).__name__}: {error}", "a module that can be imported") from None
    if not isinstance(row, Family):
        raise _unusable(point, f"a {type(row).__name__}", "a cspnas.network.families.Family")
    return row


def _unusable(point: EntryPoint, found: str, expected: str) -> InputError:
    package = point.dist.name if point.dist else "unknown"
    do = f"mend or uninstall package {package}"
    return InputError(found, expected=expected, where=f"entry point {point.name} = {point.value}", do=do)


def named_by_size(gene: str) -> str:
    """The families with this gene of size, as prose: `resnet, resnext and darknet`."""
    *others, last = (row.name for row in all_families().values() if row.size_gene == gene)
    return f"{', '.join(others)} and {last}" if others else last
