"""What `--format darknet` writes is what the authors' files say, layer by layer, and computes the same."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from darknet_files import DARKNET, Layer
from exports import export, reference, source_of
from random_architectures import wide_architecture

from cspnas.errors import InputError
from cspnas.network.darknet_layers import DarknetLayer, darknet_layers
from cspnas.network.wiring import wire

SLOPES = {"leaky": 0.1, "linear": 1}


def as_tuple(layer: DarknetLayer) -> Layer:
    """Written as the authors' layers are in the tests."""
    said = dict(layer.options)
    match layer.kind:
        case "convolutional":
            sizes = [int(said.get(key, 1)) for key in ("filters", "size", "stride", "groups")]
            return ("conv", *sizes, SLOPES[said["activation"]], "batch_normalize" in said)
        case "shortcut":
            return ("shortcut", int(said["from"]), SLOPES[said["activation"]])
        case "route":
            return ("route", *map(int, said["layers"].split(",")))
        case "maxpool":
            return ("maxpool", int(said["size"]), int(said["stride"]))
    return (layer.kind,)


@pytest.mark.parametrize("name", DARKNET)
def test_a_reference_network_gives_back_the_authors_layers(name: str) -> None:
    *layers, last = darknet_layers(wire(replace(reference(name, 256), classes=1000)))
    theirs = [("shortcut", layer[1], layer[2]) if layer[0] == "shortcut" else layer for layer in DARKNET[name]]
    # A linear shortcut is 1 here, and what follows it in the files.
    assert [as_tuple(layer) for layer in layers] == theirs
    assert last.kind == "softmax"


def test_the_files_compute_what_the_network_does_wherever_darknet_can_express_it(tmp_path: Path) -> None:
    written = 0
    for seed in range(60):
        source = source_of(wide_architecture(random.Random(seed)))
        try:
            said = export(source, "darknet", tmp_path / f"{seed}.cfg")
        except InputError as error:
            assert "a Darknet file cannot express it" in str(error)
            assert not (tmp_path / f"{seed}.cfg").exists()
            continue
        written += 1
        assert "on 16 images" in said
        assert (tmp_path / f"{seed}.weights").stat().st_size > 20
    assert written >= 3


@pytest.mark.parametrize(
    ("name", "part"),
    [("densenet121", "norm 'stage1.block.layer1.reduce.norm'"), ("csppeleenet", "pool 'stage1.pool'")],
)
def test_the_part_that_darknet_has_not_is_named(name: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=part):
        export(source_of(reference(name)), "darknet", tmp_path / "x.cfg")
    assert list(tmp_path.iterdir()) == []
