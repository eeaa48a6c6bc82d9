"""The convolution unit and the block of each family. A block takes and gives graph indices and adds `stage.depth` layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cspnas.architecture import NormOrder, Stage
from cspnas.graph import GraphBuilder


@dataclass(frozen=True, slots=True)
class Units:
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
        if self.norm == "before":
            x = self.network.add("norm", f"{name}.norm", x)
            x = x if linear else self.activate(f"{name}.act", x)
            return self._conv(name, x, width, kernel, stride, groups)
        x = self._conv(name, x, width, kernel, stride, groups)
        x = self.network.add("norm", f"{name}.norm", x)
        return x if linear else self.activate(f"{name}.act", x)

    def activate(self, name: str, x: int) -> int:
        """The architecture's activation."""
        slope = {"negative_slope": self.negative_slope} if self.activation == "leaky_relu" else {}
        return self.network.add("act", name, x, function=self.activation, **slope)

    def _conv(self, name: str, x: int, width: int, kernel: int, stride: int, groups: int) -> int:
        return self.network.add(
            "conv",
            f"{name}.conv",
            x,
            out_channels=width,
            kernel=kernel,
            stride=stride,
            padding=(kernel - 1) // 2,
            groups=groups,
        )


def dense_block(units: Units, name: str, x: int, stage: Stage) -> list[int]:
    """Layers that each read all before them (DenseNet, equation 2): 1x1 -> bottleneck, 3x3 -> growth_rate.

    The features so far are one tensor that grows, which keeps one copy of them alive instead of two.
    """
    assert stage.growth_rate is not None
    for number in range(1, stage.depth + 1):
        layer = f"{name}.layer{number}"
        new = units.add(f"{layer}.reduce", x, stage.bottleneck)
        new = units.add(f"{layer}.grow", new, stage.growth_rate, kernel=3)
        x = units.network.add("concat", f"{layer}.concat", x, new)
    return [x]


def two_way_dense_block(units: Units, name: str, x: int, stage: Stage) -> list[int]:
    """PeleeNet's layers (section 2): half of growth_rate from 1x1, 3x3, the other half from 1x1, 3x3, 3x3."""
    assert stage.growth_rate is not None
    near, far = stage.growth_rate - stage.growth_rate // 2, stage.growth_rate // 2
    for number in range(1, stage.depth + 1):
        layer = f"{name}.layer{number}"
        parts = [units.add(f"{layer}.near1", x, stage.bottleneck)]
        parts[0] = units.add(f"{layer}.near2", parts[0], near, kernel=3)
        if far:
            new = units.add(f"{layer}.far1", x, stage.bottleneck)
            new = units.add(f"{layer}.far2", new, far, kernel=3)
            parts.append(units.add(f"{layer}.far3", new, far, kernel=3))
        x = units.network.add("concat", f"{layer}.concat", x, *parts)
    return [x]


def bottleneck_block(units: Units, name: str, x: int, stage: Stage) -> list[int]:
    """ResNet's and ResNeXt's blocks: 1x1, 3x3 with `groups` and `stride`, 1x1 without activation, shortcut, activation."""
    assert stage.width is not None
    outputs = []
    for number in range(1, stage.depth + 1):
        block, stride = f"{name}.layer{number}", stage.stride if number == 1 else 1
        new = units.add(f"{block}.reduce", x, stage.bottleneck)
        new = units.add(f"{block}.middle", new, stage.bottleneck, kernel=3, stride=stride, groups=stage.groups)
        new = units.add(f"{block}.widen", new, stage.width, linear=units.norm == "after")
        x = _shortcut(units, block, new, x, stage, stride)
        if units.norm == "after":
            x = units.activate(f"{block}.act", x)
        outputs.append(x)
    return outputs


def dark_block(units: Units, name: str, x: int, stage: Stage) -> list[int]:
    """DarkNet-53's blocks: 1x1, 3x3, shortcut; nothing after the sum."""
    assert stage.width is not None
    outputs = []
    for number in range(1, stage.depth + 1):
        block, stride = f"{name}.layer{number}", stage.stride if number == 1 else 1
        new = units.add(f"{block}.reduce", x, stage.bottleneck)
        new = units.add(f"{block}.widen", new, stage.width, kernel=3, stride=stride, groups=stage.groups)
        x = _shortcut(units, block, new, x, stage, stride)
        outputs.append(x)
    return outputs


def _shortcut(units: Units, block: str, new: int, x: int, stage: Stage, stride: int) -> int:
    """The sum of a block's result and its input, which is projected, or cut to the common channels, where they differ."""
    assert stage.width is not None
    if stride > 1 or units.network.channels(x) != stage.width:
        if stage.shortcut == "common":
            return units.network.add("add", f"{block}.add", new, x, common=True, stride=stride)
        x = units.add(f"{block}.shortcut", x, stage.width, stride=stride, linear=True)
    return units.network.add("add", f"{block}.add", new, x)


Block = Callable[[Units, str, int, Stage], list[int]]
BLOCKS: Mapping[str, Block] = MappingProxyType(
    {
        "densenet": dense_block,
        "peleenet": two_way_dense_block,
        "resnet": bottleneck_block,
        "resnext": bottleneck_block,
        "darknet": dark_block,
    }
)
