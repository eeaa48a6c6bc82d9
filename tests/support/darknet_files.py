"""The authors' files (github.com/WongKinYiu/CrossStagePartialNetworks): their layers, relative indices and all."""

from __future__ import annotations

from typing import Any

Layer = tuple[Any, ...]


def conv(filters: int, size: int = 1, stride: int = 1, groups: int = 1, slope: float = 0.1, norm: bool = True) -> Layer:
    return ("conv", filters, size, stride, groups, slope, norm)


CLASSIFIER = conv(1000, slope=1, norm=False)


def darknet53() -> list[Layer]:
    layers = [conv(32, 3)]
    for width, depth in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        layers += [conv(width, 3, 2)]
        layers += [conv(width // 2), conv(width, 3), ("shortcut", -3, 1)] * depth
    return [*layers, ("avgpool",), CLASSIFIER]


def csdarknet53() -> list[Layer]:
    layers = [conv(32, 3)]
    for width, depth in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        part = max(64, width // 2)
        layers += [conv(width, 3, 2), conv(part), ("route", -2), conv(part)]
        layers += [conv(32 if width == 64 else part), conv(part, 3), ("shortcut", -3, 1)] * depth
        layers += [conv(part), ("route", -1, -3 * depth - 4), conv(width)]
    return [*layers, ("avgpool",), CLASSIFIER]


def bottlenecks(depth: int, inside: int, width: int, groups: int, stride: int = 1) -> list[Layer]:
    block = [conv(inside), conv(inside, 3, groups=groups), conv(width, slope=1), ("shortcut", -4, 0.1)]
    first = [block[0], conv(inside, 3, stride, groups), *block[2:]]
    return first + block * (depth - 1)


def resnet50(groups: int = 1, wide: int = 1) -> list[Layer]:
    layers = [conv(64, 7, 2), ("maxpool", 2, 2)]
    for inside, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        layers += bottlenecks(depth, wide * inside, 4 * inside, groups, stride)
    return [*layers, CLASSIFIER, ("avgpool",)] if groups == 1 else [*layers, ("avgpool",), CLASSIFIER]


def csresnet50(groups: int = 1, wide: int = 1) -> list[Layer]:
    layers = [conv(64, 7, 2), ("maxpool", 2, 2)]
    for number, (width, depth) in enumerate(((128, 3), (256, 3), (512, 5), (1024, 2))):
        if number:
            layers.append(conv(width * wide // 2, 3, 2, groups))
        slope = 1 if number in (1, 2) else 0.1
        layers += [conv(width, slope=slope), ("route", -2), conv(width if number else 64, slope=slope)]
        layers += bottlenecks(depth, width * wide // 2, width, groups)
        layers += [conv(width), ("route", -1, -4 * depth - 4), conv(width * wide)]
    return [*layers, ("avgpool",), CLASSIFIER]


DARKNET = {
    "darknet53": darknet53(),
    "csdarknet53": csdarknet53(),
    "resnet50_darknet": resnet50(),
    "resnext50_darknet": resnet50(groups=32, wide=2),
    "csresnet50": csresnet50(),
    "csresnext50": csresnet50(groups=32, wide=2),
}
