"""`--format timm`: a module that registers the network with timm, whose functions then make, load and cut it as their own."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from cspnas.errors import InputError
from cspnas.export.comparison import compared, expected_outputs, random_images
from cspnas.export.module_tree import Branch, module_tree
from cspnas.export.network_to_export import NetworkToExport
from cspnas.export.python_file import constants, described
from cspnas.export.python_source import python_source

_MODEL = '''

NAME = {name!r}
FEATURES = [
{features}]


class TimmNetwork(Network):
    """`Network` as timm expects a model: another number of classes, and its parts one by one."""

    def __init__(self, num_classes={classes}, in_chans={channels}):
        if in_chans != {channels}:
            raise ValueError(f"the network reads {channels} channels, not {{in_chans}}")
        super().__init__()
        self.num_features = self.head_hidden_size = {width}
        self.feature_info = FEATURES
        self.num_classes = {classes}
        if num_classes != {classes}:
            self.reset_classifier(num_classes)

    def get_classifier(self):
        return self.head.{classifier}

    def reset_classifier(self, num_classes):
        self.num_classes = num_classes
        self.head.{classifier} = {layer} if num_classes else nn.Identity()

    def forward_features(self, x):
        for name, part in self.named_children():
            if name != "head":
                x = part(x)
        return x

    def forward_head(self, x):
        return self.head(x)


@register_model
def {name}(pretrained=False, pretrained_cfg=None, **kwargs):
    """Made by `timm.create_model({name!r})` once this file is imported."""
    return build_model_with_cfg(
        TimmNetwork,
        NAME,
        False,
        feature_cfg={{"out_indices": tuple(range(len(FEATURES)))}},
        pretrained_cfg={{
            "num_classes": {classes},
            "input_size": {shape},
            "pool_size": None,
            "mean": {mean},
            "std": {std},
            "first_conv": {first!r},
            "classifier": "head.{classifier}",
        }},
        **kwargs,
    )
'''
_IMPORTS = "from timm.models import build_model_with_cfg, register_model\n"


class TimmWriter:
    """The source of the network, and its registration under a name of its own."""

    def contents(self, source: NetworkToExport) -> dict[str, bytes]:
        """The module. Raises InputError for a network whose parts timm cannot run one after the other."""
        architecture, graph = source.architecture, source.graph
        root = module_tree(graph)
        if not root.is_chain:
            expected = "parts that run one after the other"
            raise InputError("a network of another form", expected=expected, where=source.origin, hint="take python")
        operations = {op.name: op for op in graph.operations}
        kind = "linear" if "head.linear" in operations else "conv"
        width = graph.input_shapes(operations[f"head.{kind}"])[0][0]
        layer = f"nn.Linear({width}, num_classes)" if kind == "linear" else f"nn.Conv2d({width}, num_classes, 1)"
        channels = architecture.input_shape[0]
        mean, std = source.pixel_statistics or ((0.5,) * channels, (0.5,) * channels)
        model = _MODEL.format(
            name=name_in_timm(source),
            features="".join(f"    {entry},\n" for entry in _features(root, source)),
            classes=architecture.classes,
            channels=channels,
            width=width,
            classifier=kind,
            layer=layer,
            shape=architecture.input_shape,
            mean=mean,
            std=std,
            first=next(op.name for op in graph.operations if op.kind == "conv"),
        )
        text = python_source(graph, architecture.family, described(source), constants(source))
        return {"": (text.replace("import torch\n", f"import torch\n{_IMPORTS}", 1) + model).encode()}

    def checked(self, path: Path, source: NetworkToExport) -> str:
        """Made by `timm.create_model`, with the same weights; `features_only` gives the maps that the file lists."""
        import timm

        _imported(path)
        name, batches = name_in_timm(source), random_images(source)
        network: Any = timm.create_model(name).eval()
        network.load_state_dict(source.module.state_dict())
        backbone: Any = timm.create_model(name, features_only=True).eval()
        with torch.inference_mode():
            theirs = torch.cat([network(images) for images in batches])
            maps = backbone(batches[0])
        said = compared(expected_outputs(source, batches), theirs, f"timm.create_model({name!r})", 0)
        return f"{said}; features_only gives {len(maps)} maps of {backbone.feature_info.channels()} channels"


def name_in_timm(source: NetworkToExport) -> str:
    """Of no other network."""
    return f"cspnas_{source.graph.digest()[:12]}"


def _features(root: Branch, source: NetworkToExport) -> list[dict[str, object]]:
    """The last part at each resolution, as timm lists them."""
    operations, height = source.graph.operations, source.architecture.input_shape[1]
    ends = [(child.key, operations[child.results[0]].shape) for child in root.children if child.key != "head"]
    last = {
        shape[1]: {"num_chs": shape[0], "reduction": round(height / shape[1]), "module": key} for key, shape in ends
    }
    return list(last.values())


def _imported(path: Path) -> None:
    """Import the file as its user will, so that timm finds its module."""
    spec = importlib.util.spec_from_file_location(f"cspnas_export_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with warnings.catch_warnings():
        # A file may be checked again.
        warnings.filterwarnings("ignore", message="Overwriting")
        spec.loader.exec_module(module)
