"""The families of networks, one row each: their block, the kind and the genes of their stages.

A package outside adds one by an entry point of group `cspnas.families` that names a `Family`; every process that imports
the package, workers among them, then knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from cspnas.io.installed import with_installed
from cspnas.network.blocks import Block, bottleneck_block, dark_block, dense_block, two_way_dense_block
from cspnas.network.operations import check_name


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


_DENSE: dict[str, tuple[Any, ...]] = {
    "bottleneck_ratio": (2.0,),
    "compression": (0.5,),
    "split": ("slice",),
    "pool": ("after",),
}
# What came after studies were made stays empty where a space does not say it: their settings have no such keys.
NEUTRAL = ("stride", "down_growth", "down_grouped", "expand_ratio", "block_ratio", "cross_linear", "shortcut")
_RESIDUAL: dict[str, tuple[Any, ...]] = {
    "bottleneck_ratio": (0.5,),
    "groups": (1,),
    "split": ("project",),
    "taps": ("last",),
} | dict.fromkeys(NEUTRAL, ())
_ROWS = (
    Family("densenet", dense_block, "dense", "growth_rate", MappingProxyType(_DENSE)),
    Family("peleenet", two_way_dense_block, "dense", "growth_rate", MappingProxyType(_DENSE)),
    Family("resnet", bottleneck_block, "residual", "width", MappingProxyType(_RESIDUAL)),
    Family("resnext", bottleneck_block, "residual", "width", MappingProxyType(_RESIDUAL)),
    Family("darknet", dark_block, "residual", "width", MappingProxyType(_RESIDUAL), grouped_output=True),
)
FAMILIES: Mapping[str, Family] = MappingProxyType({row.name: row for row in _ROWS})


def family_of(name: str) -> Family:
    """The row of a family. Raises ArchitectureError for a name that is none, InputError as `all_families` does."""
    if name not in FAMILIES:
        check_name("family", name, tuple(all_families()))
    return FAMILIES.get(name) or all_families()[name]


@cache
def all_families() -> Mapping[str, Family]:
    """Ours, then those of installed packages. Raises InputError for one of these that cannot be used."""
    return with_installed(FAMILIES, Family, "cspnas.families")


def named_by_size(gene: str) -> str:
    """The families with this gene of size, as prose: `resnet, resnext and darknet`."""
    *others, last = (row.name for row in all_families().values() if row.size_gene == gene)
    return f"{', '.join(others)} and {last}" if others else last
