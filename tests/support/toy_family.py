"""A family from outside the package: one row, over ResNet's, with a block of its own (two 3x3 convolutions and a sum)."""

from __future__ import annotations

from dataclasses import replace

from cspnas.network.architecture import Stage
from cspnas.network.blocks import ConvUnits
from cspnas.network.families import FAMILIES


def basic_block(units: ConvUnits, name: str, x: int, stage: Stage) -> list[int]:
    """ResNet-18's blocks: 3x3, 3x3 without activation, sum, activation. The stage's layers before it give its width."""
    assert stage.width is not None
    outputs = []
    for number in range(1, stage.depth + 1):
        new = units.add(f"{name}.layer{number}.first", x, stage.bottleneck, kernel=3)
        new = units.add(f"{name}.layer{number}.second", new, stage.width, kernel=3, linear=True)
        x = units.activate(f"{name}.layer{number}.act", units.network.add("add", f"{name}.layer{number}.add", new, x))
        outputs.append(x)
    return outputs


FAMILY = replace(FAMILIES["resnet"], name="basic", block=basic_block)
RESNET = FAMILIES["resnet"]
