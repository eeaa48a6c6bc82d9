"""A backbone gives the maps that the whole network computes on its way, at costs that are exact."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
from random_architectures import randomise, wide_architecture

import cspnas
from cspnas.documents.architecture_file import find_architecture, read_architecture
from cspnas.errors import InputError
from cspnas.network.backbone import backbone_of
from cspnas.network.cost import cost_of
from cspnas.network.wiring import wire
from cspnas.training.cross_checks import ptflops_macs
from cspnas.training.measured_memory import measured_peak, parameters_of
from cspnas.training.module import NetworkModule, fold


def small(name: str) -> Any:
    return replace(read_architecture(find_architecture(name)).architecture, input_shape=(3, 64, 64))


@pytest.mark.parametrize("name", ["cspresnext50", "cspdarknet53"])
def test_channels_and_strides_are_those_of_timm(name: str) -> None:
    theirs = timm.create_model(name, features_only=True).feature_info
    with torch.device("meta"):
        ours = cspnas.build(small(name), features=True).feature_info
    assert (ours.channels(), ours.reduction()) == (theirs.channels(), theirs.reduction())


def test_maps_are_what_the_whole_network_computes_and_costs_are_as_measured() -> None:
    for seed in range(8):
        whole = NetworkModule(wire(wide_architecture(random.Random(seed)))).eval()
        randomise(whole)
        graph, info = backbone_of(whole.graph)
        backbone = NetworkModule(graph).eval()
        backbone.load_state_dict(whole.state_dict(), strict=False)
        image = torch.randn(2, *graph.operations[0].shape)
        with torch.no_grad():
            maps, logits = backbone(image), whole(image)
            # What is left of the network, from the last map on: the maps are on the way of every value.
            rest = _after(whole, info.maps[-1].name, maps[-1])
            folded = fold(backbone)(image)
        torch.testing.assert_close(rest, logits)
        assert [m.shape[1] for m in maps] == info.channels()
        assert len({m.shape[2:] for m in maps}) == len(maps)
        for one, other in zip(maps, folded, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
        cost = cost_of(graph)
        assert cost.peak_memory == measured_peak(graph)
        assert (cost.params, cost.macs) == (parameters_of(backbone), ptflops_macs(graph))


def _after(whole: NetworkModule, name: str, value: torch.Tensor) -> torch.Tensor:
    """What the network makes of `value` in the place of the operation `name`."""
    at = next(index for index, op in enumerate(whole.graph.operations) if op.name == name)
    values = {at: value}
    for index, op in enumerate(whole.graph.operations[at + 1 :], start=at + 1):
        read = [values[source] for source in op.inputs]
        if op.kind in ("conv", "norm", "linear"):
            values[index] = whole.layer(op.name)(*read)
        elif op.kind == "act":
            values[index] = {
                "leaky_relu": lambda x, op=op: torch.nn.functional.leaky_relu(x, op["negative_slope"])
            }.get(op["function"], getattr(torch.nn.functional, op["function"]))(*read)
        else:
            values[index] = read[0].mean((2, 3), keepdim=True) if op.kind == "pool" else read[0].flatten(1)
    return values[whole.graph.output]


def test_indices_choose_maps_and_leave_the_layers_after_them_out() -> None:
    whole = cspnas.build(small("csppeleenet"), features=True)
    some = cspnas.build(small("csppeleenet"), features=True, out_indices=[1, -3])
    assert some.feature_info.maps == tuple(
        whole.feature_info.maps[i] for i in sorted({1, len(whole.feature_info.maps) - 3})
    )
    assert (
        cspnas.cost(small("csppeleenet"), features=True, out_indices=[0]).macs < cspnas.cost(small("csppeleenet")).macs
    )
    assert set(some.state_dict()) < set(whole.state_dict()) < set(cspnas.build(small("csppeleenet")).state_dict())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"features": True, "out_indices": [9]}, "out_indices with 9"),
        ({"features": True, "out_indices": [True]}, "out_indices with True"),
        ({"features": True, "out_indices": []}, "at least one index"),
        ({"features": True, "out_indices": 3}, "at least one index"),
        ({"out_indices": [1]}, "features=True"),
        ({"features": "yes"}, "True or False"),
        ({"features": True, "classes": 3}, "a backbone has no classes"),
    ],
)
def test_what_no_backbone_is_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        cspnas.build("csppeleenet", **arguments)
