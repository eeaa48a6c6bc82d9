"""The convolution unit and the block of each family. A block takes and gives graph indices and adds `stage.depth` layers.

ConvUnits and layers read one value and give one: they are added as parts, whose costs a pool of candidates shares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cspnas.network.architecture import NormOrder, Stage
from cspnas.network.graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class ConvUnits:
    """Adds convolution units to `network`: convolution, batch norm and activation in the architecture's order."""

    network: GraphBuilder
    activation: str
    norm: NormOrder = "after"
    negative_slope: float = 0.1

    def add(
        self,
        name: str,
        x: int,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> int:
        """One unit that gives `width` channels; `linear` ones have no activation."""
        return self.part(_unit, name, x, width, kernel, stride, groups, linear)

    def part(self, wire: Callable[..., int], name: str, x: int, *settings: Any) -> int:
        """`wire(self, name, x, *settings)`: what reads `x` alone and gives one value, so that its cost may be known."""
        return wire(self, name, x, *settings)

    def activate(self, name: str, x: int) -> int:
        """The architecture's activation."""
        slope = {"negative_slope": self.negative_slope} if self.activation == "leaky_relu" else {}
        return self.network.add("act", name, x, function=self.activation, **slope)


def _unit(units: ConvUnits, name: str, x: int, width: int, kernel: int, stride: int, groups: int, linear: bool) -> int:
    network = units.network
    if units.norm == "before":
        x = network.add("norm", f"{name}.norm", x)
        x = x if linear else units.activate(f"{name}.act", x)
    padding = (kernel - 1) // 2
    x = network.add(
        "conv", f"{name}.conv", x, out_channels=width, kernel=kernel, stride=stride, padding=padding, groups=groups
    )
    if units.norm == "before":
        return x
    x = network.add("norm", f"{name}.norm", x)
    return x if linear else units.activate(f"{name}.act", x)


def dense_block(units: ConvUnits, name: str, x: int, stage: Stage) -> list[int]:
    """Layers that each read all before them (DenseNet, equation 2): 1x1 -> bottleneck, 3x3 -> growth_rate.

    The features so far are one tensor that grows, which keeps one copy of them alive instead of two.
    """
    assert stage.growth_rate is not None
    for number in range(1, stage.depth + 1):
        x = units.part(_dense_layer, f"{name}.layer{number}", x, stage.bottleneck, stage.growth_rate)
    return [x]


def _dense_layer(units: ConvUnits, name: str, x: int, bottleneck: int, growth_rate: int) -> int:
    new = units.add(f"{name}.reduce", x, bottleneck)
    new = units.add(f"{name}.grow", new, growth_rate, kernel=3)
    return units.network.add("concat", f"{name}.concat", x, new)


def two_way_dense_block(units: ConvUnits, name: str, x: int, stage: Stage) -> list[int]:
    """PeleeNet's layers (section 2): half of growth_rate from 1x1, 3x3, the other half from 1x1, 3x3, 3x3."""
    assert stage.growth_rate is not None
    for number in range(1, stage.depth + 1):
        x = units.part(_two_way_layer, f"{name}.layer{number}", x, stage.bottleneck, stage.growth_rate)
    return [x]


def _two_way_layer(units: ConvUnits, name: str, x: int, bottleneck: int, growth_rate: int) -> int:
    far = growth_rate // 2
    new = units.add(f"{name}.near1", x, bottleneck)
    parts = [units.add(f"{name}.near2", new, growth_rate - far, kernel=3)]
    if far:
        new = units.add(f"{name}.far1", x, bottleneck)
        new = units.add(f"{name}.far2", new, far, kernel=3)
        parts.append(units.add(f"{name}.far3", new, far, kernel=3))
    return units.network.add("concat", f"{name}.concat", x, *parts)


def bottleneck_block(units: ConvUnits, name: str, x: int, stage: Stage) -> list[int]:
    """ResNet's and ResNeXt's blocks: 1x1, 3x3 with `groups` and `stride`, 1x1 without activation, shortcut, activation."""
    return _residual_block(units, _bottleneck_layer, name, x, stage)


def dark_block(units: ConvUnits, name: str, x: int, stage: Stage) -> list[int]:
    """DarkNet-53's blocks: 1x1, 3x3, shortcut; nothing after the sum."""
    return _residual_block(units, _dark_layer, name, x, stage)


def _residual_block(units: ConvUnits, layer: Callable[..., int], name: str, x: int, stage: Stage) -> list[int]:
    outputs = []
    for number in range(1, stage.depth + 1):
        stride = stage.stride if number == 1 else 1
        settings = (stage.width, stage.bottleneck, stage.groups, stride, stage.shortcut)
        x = units.part(layer, f"{name}.layer{number}", x, *settings)
        outputs.append(x)
    return outputs


def _bottleneck_layer(
    units: ConvUnits, name: str, x: int, width: int, bottleneck: int, groups: int, stride: int, shortcut: str
) -> int:
    new = units.add(f"{name}.reduce", x, bottleneck)
    new = units.add(f"{name}.middle", new, bottleneck, kernel=3, stride=stride, groups=groups)
    new = units.add(f"{name}.widen", new, width, linear=units.norm == "after")
    x = _shortcut(units, name, new, x, width, stride, shortcut)
    return units.activate(f"{name}.act", x) if units.norm == "after" else x


def _dark_layer(
    units: ConvUnits, name: str, x: int, width: int, bottleneck: int, groups: int, stride: int, shortcut: str
) -> int:
    new = units.add(f"{name}.reduce", x, bottleneck)
    new = units.add(f"{name}.widen", new, width, kernel=3, stride=stride, groups=groups)
    return _shortcut(units, name, new, x, width, stride, shortcut)


def _shortcut(units: ConvUnits, block: str, new: int, x: int, width: int, stride: int, shortcut: str) -> int:
    """The sum of a block's result and its input, which is projected, or cut to the common channels, where they differ."""
    if stride > 1 or units.network.channels(x) != width:
        if shortcut == "common":
            return units.network.add("add", f"{block}.add", new, x, common=True, stride=stride)
        x = units.add(f"{block}.shortcut", x, width, stride=stride, linear=True)
    return units.network.add("add", f"{block}.add", new, x)


Block = Callable[[ConvUnits, str, int, Stage], list[int]]
