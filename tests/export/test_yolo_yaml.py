"""What `--format yolo` writes are rows whose modules, as Ultralytics defines them, compute what our stages do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from exports import export, reference, source_of
from torch import Tensor, nn

from cspnas.errors import InputError
from cspnas.network.architecture import Architecture, Csp, Downsample, Stage, Stem

# Their modules, from the definitions in their documentation -----------------------------------------------------------


class Conv(nn.Sequential):
    def __init__(self, c1: int, c2: int, k: int, s: int, p: int, g: int = 1, act: Any = None) -> None:
        super().__init__(nn.Conv2d(c1, c2, k, s, p, groups=g, bias=False), nn.BatchNorm2d(c2), act or nn.SiLU())


class Bottleneck(nn.Module):
    def __init__(self, c1: int, c2: int, shortcut: bool, g: int, k: Any, e: float, act: Any = None) -> None:
        super().__init__()
        hidden = int(c2 * e)
        self.cv1 = Conv(c1, hidden, k[0], 1, k[0] // 2, 1, act)
        self.cv2 = Conv(hidden, c2, k[1], 1, k[1] // 2, g, act)
        self.add = shortcut and c1 == c2

    def forward(self, x: Tensor) -> Tensor:
        return x + self.cv2(self.cv1(x)) if self.add else self.cv2(self.cv1(x))


class C3(nn.Module):
    def __init__(self, c1: int, c2: int, n: int, shortcut: bool, g: int, e: float, act: Any = None) -> None:
        super().__init__()
        hidden = int(c2 * e)
        # Made in the order in which our layers run: part 1 is theirs beside the blocks.
        self.cv2 = Conv(c1, hidden, 1, 1, 0, 1, act)
        self.cv1 = Conv(c1, hidden, 1, 1, 0, 1, act)
        self.m = nn.Sequential(*(Bottleneck(hidden, hidden, shortcut, g, (1, 3), 1.0, act) for _ in range(n)))
        self.cv3 = Conv(2 * hidden, c2, 1, 1, 0, 1, act)

    def forward(self, x: Tensor) -> Tensor:
        return self.cv3(torch.cat((self.m(self.cv1(x)), self.cv2(x)), 1))


def built(path: Path) -> nn.Sequential:
    """The rows of the backbone, made as their parser makes them."""
    said = yaml.safe_load(path.read_text())
    act, channels, modules = eval(said["activation"], {"nn": nn}), said["ch"], []
    for before, repeats, name, args in said["backbone"]:
        assert before == -1
        if name == "C3":
            modules.append(C3(channels, args[0], repeats, *args[1:], act))
        elif name == "Bottleneck":
            modules += [Bottleneck(channels, *args, act) for _ in range(repeats)]
        else:
            modules.append(Conv(channels, *args, act=act))
        channels = args[0]
    return nn.Sequential(*modules)


def small(csp: Csp | None, activation: Any) -> Architecture:
    width, bottleneck = (6, 6) if csp else (10, 5)
    down = Downsample(width if csp is None else 8, 2)
    stage = Stage(2, None, bottleneck, 12 if csp else width, csp=csp, width=width, downsample=down)
    return Architecture("darknet", (3, 32, 32), 4, Stem(8, 6, 2, hidden=(4,)), (stage,), activation, negative_slope=0.1)


@pytest.mark.parametrize(
    ("csp", "activation"),
    [
        (Csp("first", 6, 6, split="project"), "silu"),
        (None, "leaky_relu"),
        (Csp("first", 6, 6, split="project"), "mish"),
    ],
)
def test_the_rows_compute_what_the_backbone_does(csp: Csp | None, activation: str, tmp_path: Path) -> None:
    source = source_of(replace(small(csp, activation), stem=Stem(8, 3, 2, hidden=(4,))))
    assert "as the backbone has" in export(source, "yolo", tmp_path / "x.yaml")
    theirs, ours = built(tmp_path / "x.yaml").eval(), source.module
    layers = [m for m in theirs.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    names = [op.name for op in source.graph.operations if op.kind in ("conv", "norm")]
    for name, layer in zip(names, layers, strict=True):
        layer.load_state_dict(ours.layer(name).state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        pooled = theirs(images).mean((2, 3))
        torch.testing.assert_close(ours.head.linear(pooled), ours(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["cs3darknet_m", "darknet53"])
def test_reference_networks_of_dark_blocks_can_be_written(name: str, tmp_path: Path) -> None:
    architecture = reference(name)
    source = replace(source_of(small(None, "silu")), architecture=architecture, network=None)
    assert "as the backbone has" in export(source, "yolo", tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("name", "where"), [("csresnext50", "stem"), ("csppeleenet", "stem"), ("csdarknet53", "stage 1")]
)
def test_the_part_that_no_row_is_is_named(name: str, where: str, tmp_path: Path) -> None:
    source = replace(source_of(small(None, "silu")), architecture=reference(name), network=None)
    with pytest.raises(InputError, match=where):
        export(source, "yolo", tmp_path / "x.yaml")
    assert list(tmp_path.iterdir()) == []
