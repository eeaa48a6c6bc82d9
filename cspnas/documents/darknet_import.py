"""An architecture out of a Darknet .cfg of the forms that CSPNet's authors publish: stages of blocks, with or without CSP."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from cspnas.documents.darknet_cfg import CfgSection, read_sections
from cspnas.errors import ArchitectureError, InputError
from cspnas.network.architecture import Architecture, Csp, Downsample, Stage, Stem
from cspnas.network.darknet_layers import ACTIVATIONS_OF_DARKNET, darknet_layers
from cspnas.network.wiring import wire

STRIDES = (1, 2, 4)
LARGEST_WIDTH, MOST_BLOCKS = 65536, 256
_HINT = "only stages of residual blocks can be read, each with or without a cross stage part, and a classifier"


def architecture_of_cfg(path: Path) -> Architecture:
    """The network, whose own layers as Darknet writes them are those of the file.

    Raises InputError, with the section's line, where it has another form, or the file is cut short.
    """
    net, *sections = read_sections(path)
    shape = tuple(_positive(net, key) for key in ("channels", "height", "width"))
    if sections and sections[-1].kind == "cost":
        del sections[-1]
    if not sections or sections[-1].kind != "softmax":
        last = (sections or [net])[-1]
        raise InputError(
            f"[{last.kind}] at the end", expected="[softmax] at the end", where=last.place, hint="is the file whole?"
        )
    architecture = _Reader(sections[:-1]).architecture((shape[0], shape[1], shape[2]))
    try:
        ours = darknet_layers(wire(architecture))
    except ArchitectureError as error:
        raise InputError(error.found, expected=error.expected, where=str(path), hint=_HINT) from None
    for number, section in enumerate(sections):
        own = None
        if number < len(ours):
            own = CfgSection(ours[number].kind, 0, {key: (text, 0) for key, text in ours[number].options}, path)
        if own is None or _meaning(section, number) != _meaning(own, number):
            expected = "the end" if own is None else _shown(own)
            raise InputError(_shown(section), expected=expected, where=section.place, hint=_HINT)
    return architecture


class _Block(NamedTuple):
    """A residual block: `dark` ones are 1x1, 3x3, others 1x1, 3x3, 1x1."""

    dark: bool
    bottleneck: int
    width: int
    groups: int
    stride: Any


class _Reader:
    """Sections from first to last; `channels` that the next one reads."""

    def __init__(self, sections: list[CfgSection]) -> None:
        self._sections, self._at = sections, 0
        self._channels, self._family = 0, ""

    def architecture(self, shape: tuple[int, int, int]) -> Architecture:
        """All of it."""
        first = self._conv()
        pool: Any = _one_of(self._take(), "size", (2, 3)) if self._kinds(1) == ["maxpool"] else 0
        kernel = _one_of(first, "size", (1, 3, 5, 6, 7))
        stem = Stem(_positive(first, "filters"), kernel, _one_of(first, "stride", STRIDES), pool=pool)
        self._channels = stem.channels
        stages = []
        while not self._at_head():
            stages.append(self._stage())
        before = self._kinds(1) == ["avgpool"]
        if before:
            self._take()
        classifier = self._conv()
        if not before and self._kinds(1) == ["avgpool"]:
            self._take()
        if not stages or self._at < len(self._sections):
            self._refuse("a classifier after at least one stage")
        return Architecture(
            self._family,
            shape,
            _positive(classifier, "filters"),
            stem,
            tuple(stages),
            self._activation(first),
            head="linear" if before else "conv",
        )

    def _activation(self, section: CfgSection) -> Any:
        name = ACTIVATIONS_OF_DARKNET.get(section.text("activation", "logistic"))
        if name is None or name == "linear":
            known = ", ".join(ours for ours in ACTIVATIONS_OF_DARKNET if ours != "linear")
            raise InputError(_shown(section), expected=f"activation {known}", where=section.place, hint=_HINT)
        return name

    def _at_head(self) -> bool:
        return self._kinds(1) == ["avgpool"] or (self._kinds(1) == ["convolutional"] and not self._normed(0))

    def _stage(self) -> Stage:
        downsample = None
        if self._size(0) == 3:
            layer = self._conv()
            groups = layer.number("groups", 1)
            downsample = Downsample(_positive(layer, "filters"), _one_of(layer, "stride", STRIDES), groups=groups)
            self._channels = downsample.width
        if self._kinds(3) == ["convolutional", "route", "convolutional"] and self._size(0) == 1:
            return self._cross_stage(downsample)
        depth, block = self._blocks()
        self._channels = block.width
        return self._made(depth, block, block.width, downsample, None)

    def _cross_stage(self, downsample: Downsample | None) -> Stage:
        part1, _, part2 = self._conv(), self._take(), self._conv()
        widths = [_positive(part, "filters") for part in (part1, part2)]
        self._channels = widths[1]
        depth, block = self._blocks()
        t1 = _positive(self._conv(), "filters") if self._kinds(1) == ["convolutional"] else None
        if self._kinds(1) != ["route"]:
            self._refuse("[route] of the block's side and the part around it")
        self._take()
        out = (t1 or 0) + widths[0]
        transition = self._size(0) == 1 and self._normed(0) and self._kinds(2)[1:] != ["route"]
        if transition:
            out = _positive(self._conv(), "filters")
        self._channels = out
        fusion = ("both" if transition else "last") if t1 is not None else "first"
        linear = part1.text("activation", "logistic") == "linear"
        csp = Csp(fusion, widths[0], widths[1], t1, "project", linear)  # type: ignore[arg-type]
        return self._made(depth, block, out, downsample, csp)

    def _made(self, depth: int, block: _Block, out: int, downsample: Downsample | None, csp: Csp | None) -> Stage:
        changes = block.stride > 1 or block.width != self._entered
        family = "darknet" if block.dark else "resnext" if block.groups > 1 else "resnet"
        if self._family in ("", "resnet") and family != "darknet":
            self._family = family if self._family == "" or family == "resnext" else self._family
        self._family = self._family or family
        return Stage(
            depth,
            None,
            block.bottleneck,
            out,
            csp=csp,
            width=block.width,
            groups=block.groups,
            stride=block.stride,
            shortcut="common" if changes else "project",
            downsample=downsample,
        )

    def _blocks(self) -> tuple[int, _Block]:
        """How many alike, and what each is; the first may have a stride."""
        self._entered = self._channels
        first = self._block()
        depth = 1
        while self._block(first) is not None:
            depth += 1
            if depth > MOST_BLOCKS:
                self._refuse(f"at most {MOST_BLOCKS} blocks in a stage")
        assert first is not None
        return depth, first

    def _block(self, like: _Block | None = None) -> _Block | None:
        """The next block; with `like` only one of that form and stride 1, else None."""
        start, dark = self._at, self._kinds(3) == ["convolutional", "convolutional", "shortcut"]
        if not dark and self._kinds(4) != ["convolutional"] * 3 + ["shortcut"]:
            if like is not None:
                return None
            self._refuse("a block: two or three [convolutional] and a [shortcut]")
        layers = [self._conv() for _ in range(2 if dark else 3)]
        self._take()
        widths = [_positive(layer, "filters") for layer in layers]
        middle = layers[1]
        found = _Block(dark, widths[0], widths[-1], middle.number("groups", 1), _one_of(middle, "stride", STRIDES))
        if like is not None and found != like._replace(stride=1):
            self._at = start
            return None
        return found

    def _kinds(self, count: int) -> list[str]:
        return [section.kind for section in self._sections[self._at : self._at + count]]

    def _size(self, ahead: int) -> int:
        """Of the filters of a convolution; 0 for what is none."""
        here = self._sections[self._at + ahead : self._at + ahead + 1]
        return here[0].number("size", 1) if here and here[0].kind == "convolutional" else 0

    def _normed(self, ahead: int) -> bool:
        return self._sections[self._at + ahead].number("batch_normalize", 0) == 1

    def _conv(self) -> CfgSection:
        if self._kinds(1) != ["convolutional"]:
            self._refuse("[convolutional]")
        return self._take()

    def _take(self) -> CfgSection:
        self._at += 1
        return self._sections[self._at - 1]

    def _refuse(self, expected: str) -> NoReturn:
        at_end = self._at >= len(self._sections)
        section = self._sections[-1 if at_end else self._at]
        raise InputError("the end" if at_end else _shown(section), expected=expected, where=section.place, hint=_HINT)


def _one_of(section: CfgSection, key: str, known: tuple[int, ...]) -> Any:
    """A literal of an architecture's."""
    number = section.number(key, 1)
    if number not in known:
        expected = f"{key} of {', '.join(map(str, known))}"
        raise InputError(_shown(section), expected=expected, where=section.place, hint=_HINT)
    return number


def _positive(section: CfgSection, key: str) -> int:
    number = section.number(key, 0)
    if not 1 <= number <= LARGEST_WIDTH:
        found = f"{key}={section.text(key, '')}" if key in section.options else f"no {key}"
        raise InputError(found, expected=f"{key} from 1 to {LARGEST_WIDTH:,}", where=section.place)
    return number


def _meaning(section: CfgSection, at: int) -> tuple[object, ...]:
    """What a section does, however it says it; `at`: its number, from which others are counted."""

    def absolute(numbers: list[int]) -> list[int]:
        return [number + at if number < 0 else number for number in numbers]

    match section.kind:
        case "convolutional":
            size = section.number("size", 1)
            padding = size // 2 if section.number("pad", 0) else section.number("padding", 0)
            rest = {"filters": 1, "stride": 1, "groups": 1, "batch_normalize": 0}
            said = [section.number(key, default) for key, default in rest.items()]
            return (section.kind, size, padding, *said, section.text("activation", "logistic"))
        case "shortcut":
            return (section.kind, absolute(section.numbers("from")), section.text("activation", "linear"))
        case "route":
            groups = [section.number("groups", 1), section.number("group_id", 0)]
            return (section.kind, absolute(section.numbers("layers")), groups)
        case "maxpool":
            size = section.number("size", 1)
            return (section.kind, size, section.number("stride", 1))
    return (section.kind,)


def _shown(section: CfgSection) -> str:
    said = " ".join(f"{key}={text}" for key, (text, _) in section.options.items())
    return f"[{section.kind}] {said}".strip()[:120]
