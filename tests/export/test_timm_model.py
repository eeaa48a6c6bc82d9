"""What `--format timm` writes is a model of timm's like any other."""

from __future__ import annotations

import random
import runpy
from pathlib import Path

import pytest
import timm
import torch
from exports import DATA, export, reference, source_of
from random_architectures import wide_architecture

from cspnas.documents.architecture_file import shipped_architectures
from cspnas.export.timm_model import TimmWriter


def test_networks_of_all_parts_give_timm_the_same_outputs_to_the_bit(tmp_path: Path) -> None:
    for seed in range(15):
        said = export(source_of(wide_architecture(random.Random(seed))), "timm", tmp_path / f"{seed}.py")
        assert "gives the same outputs to the bit on 16 images; features_only gives" in said


# The check has registered it in this process before.
@pytest.mark.filterwarnings("ignore:Overwriting cspnas")
@pytest.mark.parametrize("name", ["csppeleenet", "peleenet"])
def test_a_model_of_timm_takes_other_classes_and_gives_its_parts(name: str, tmp_path: Path) -> None:
    source = source_of(reference(name, 64), **DATA)
    export(source, "timm", tmp_path / "x.py")
    found = runpy.run_path(str(tmp_path / "x.py"))
    network = timm.create_model(found["NAME"]).eval()
    network.load_state_dict(source.module.state_dict())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        features = network.forward_features(images)
        assert torch.equal(network.forward_head(features), source.module(images))
        assert timm.create_model(found["NAME"], num_classes=5)(images).shape == (2, 5)
        # Without a classifier: the pooled features, as timm's models give them.
        assert timm.create_model(found["NAME"], num_classes=0)(images).shape == (2, network.num_features)
        maps = timm.create_model(found["NAME"], features_only=True, out_indices=(0, 2))(images)
    assert [m.shape[2] for m in maps] == [64 // found["FEATURES"][i]["reduction"] for i in (0, 2)]
    assert timm.data.resolve_model_data_config(network)["mean"] == tuple(DATA["mean"])


@pytest.mark.parametrize("name", shipped_architectures())
def test_each_reference_network_can_be_registered(name: str) -> None:
    source = source_of(reference("csppeleenet"))
    text = TimmWriter().contents(type(source)(reference(name), {}, None, None, "a.yaml"))[""].decode()
    compile(text, name, "exec")
    assert "@register_model" in text
