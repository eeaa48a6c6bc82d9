"""From an architecture to its graph: the stem, each stage, the head. A family is a block and its parameters."""

from __future__ import annotations

from dataclasses import replace

from cspnas.errors import ArchitectureError, SmallMapError
from cspnas.network.architecture import Architecture, Csp, Downsample, Piece, Stage, Stem, pieces
from cspnas.network.blocks import Block, ConvUnits
from cspnas.network.families import Family, family_of
from cspnas.network.graph import Graph, GraphBuilder
from cspnas.network.operations import Shape
from cspnas.network.validation import check_names, check_out, check_stage, check_stem, ends_in_transition

# Pixels of an image.
LARGEST_SIDE = 4096


def wire(architecture: Architecture) -> Graph:
    """The graph of `architecture`. Raises ArchitectureError where sizes or widths do not fit, or a name is unknown."""
    check_names(architecture)
    units, x = units_of(GraphBuilder(architecture.input_shape), architecture), 0
    for piece in pieces(architecture):
        x = add_piece(units, architecture, piece, x)
    return units.network.graph()


def enlarged(architecture: Architecture) -> Architecture | None:
    """`architecture` on the smallest images that are large enough for its windows and strides, each side at least as long as
    now and those that grow equally long; None where no size helps.
    """
    channels, height, width = architecture.input_shape

    def on(side: int) -> Architecture:
        return replace(architecture, input_shape=(channels, max(height, side), max(width, side)))

    enough = next((1 << n for n in range(LARGEST_SIDE.bit_length()) if not _raises(SmallMapError, on(1 << n))), 0)
    # Odd sizes may fit and yet not meet in a concatenation.
    sides = range(enough // 2 + 1, LARGEST_SIDE + 1 if enough else 0)
    return next((on(side) for side in sides if not _raises(ArchitectureError, on(side))), None)


def _raises(kind: type[ArchitectureError], architecture: Architecture) -> bool:
    try:
        wire(architecture)
    except kind:
        return True
    except ArchitectureError:
        return False
    return False


def wire_piece(architecture: Architecture, piece: Piece, shape: Shape) -> Graph:
    """The graph of one piece on an input of `shape`."""
    units = units_of(GraphBuilder(shape, piece=piece.name != "stem"), architecture)
    add_piece(units, architecture, piece, 0)
    return units.network.graph()


def units_of(network: GraphBuilder, architecture: Architecture) -> ConvUnits:
    """The convolution unit that every layer of `architecture` is made of."""
    return ConvUnits(network, architecture.activation, architecture.norm, architecture.negative_slope)


def add_piece(units: ConvUnits, architecture: Architecture, piece: Piece, x: int) -> int:
    """Add the layers of one piece after `x`; the index of its result."""
    match piece.part:
        case Stem():
            check_stem(architecture)
            return _stem(units, piece.part, x)
        case Stage():
            return _stage(units, family_of(architecture.family), piece.name, piece.part, x)
        case classes:
            return _head(units, architecture.head, classes, x)


def _stem(units: ConvUnits, stem: Stem, x: int) -> int:
    """The layers before the first stage; their convolutions are followed by norm and activation in either norm order."""
    units = replace(units, norm="after")
    if stem.kind == "pelee":
        return _pelee_stem(units, stem, x)
    widths, stride = (*stem.hidden, stem.channels), stem.stride
    for number, width in enumerate(widths, start=1):
        name = f"stem{number}" if stem.hidden else "stem"
        x = units.add(name, x, width, kernel=stem.kernel, stride=stride)
        stride = 1
    if stem.pool:
        padding = (stem.pool - 1) // 2
        x = units.network.add("pool", "stem.pool", x, function="max", kernel=stem.pool, padding=padding)
    return x


def _pelee_stem(units: ConvUnits, stem: Stem, x: int) -> int:
    """3x3/2; then max pool/2 beside 1x1, 3x3/2; a 1x1 over both, as in PeleeNet, or on the pooled one, as in CSPPeleeNet."""
    x = units.add("stem.first", x, stem.channels, kernel=3, stride=2)
    pooled = units.network.add("pool", "stem.pool", x, function="max")
    if not stem.fuse:
        pooled = units.add("stem.pooled", pooled, stem.channels)
    branch = units.add("stem.branch1", x, max(1, stem.channels // 2))
    branch = units.add("stem.branch2", branch, stem.channels, kernel=3, stride=2)
    x = units.network.add("concat", "stem.concat", pooled, branch)
    return units.add("stem.fuse", x, stem.channels) if stem.fuse else x


def _stage(units: ConvUnits, family: Family, name: str, stage: Stage, x: int) -> int:
    """One stage, read as figure 3 of the CSPNet paper: split, block, transition?, concat, transition?, with its pool.

    `first`: concat[block, part1] -> transition. `last`: concat[transition(block), part1].
    `both`: concat[transition(block), part1] -> transition. Plain: block -> transition.
    """
    network = units.network
    if stage.downsample is not None:
        x = _downsample(units, f"{name}.downsample", x, stage.downsample)
    check_stage(family, name, stage, network.channels(x))
    if stage.csp is None:
        x = family.block(units, f"{name}.block", x, stage)[-1]
    else:
        x = _cross_stage(units, family.block, name, x, stage, stage.csp)
    if stage.pool_first:
        x = network.add("pool", f"{name}.pool", x)
    if ends_in_transition(stage):
        x = units.add(f"{name}.transition", x, stage.out)
    check_out(name, stage, network.channels(x))
    return network.add("pool", f"{name}.pool", x) if stage.pool and not stage.pool_first else x


def _cross_stage(units: ConvUnits, block: Block, name: str, x: int, stage: Stage, csp: Csp) -> int:
    """Split, block, the transition on the block's side, fusion. The concat's order is [block's side, part 1].

    Of two projections, part 1's comes first if it is no wider than the stage's input, else last: the peak of memory is
    never higher so.
    """
    network = units.network
    linear, early = csp.linear, csp.split != "project" or csp.part1 <= network.channels(x)
    source = x
    if csp.split == "expand":
        source = units.add(f"{name}.expand", x, csp.part1 + csp.part2, linear=linear)

    def part(which: str, start: int, width: int) -> int:
        if csp.split == "project":
            return units.add(f"{name}.{which}", source, width, linear=linear)
        return network.add("slice", f"{name}.{which}", source, start=start, stop=start + width)

    part1 = part("part1", 0, csp.part1) if early else -1
    part2 = part("part2", csp.part1, csp.part2)
    side = block(units, f"{name}.block", part2, stage)
    x = side[-1] if csp.taps == "last" else network.add("concat", f"{name}.taps", part2, *side)
    if csp.t1 is not None:
        x = units.add(f"{name}.transition1", x, csp.t1)
    if not early:
        part1 = part("part1", 0, csp.part1)
    return network.add("concat", f"{name}.fusion", x, part1)


def _downsample(units: ConvUnits, name: str, x: int, layer: Downsample) -> int:
    if layer.kind == "conv":
        return units.add(name, x, layer.width, kernel=3, stride=layer.stride, groups=layer.groups)
    if layer.stride > 1:
        x = units.network.add("pool", f"{name}.pool", x, kernel=layer.stride, stride=layer.stride)
    return units.add(name, x, layer.width, groups=layer.groups)


def _head(units: ConvUnits, kind: str, classes: int, x: int) -> int:
    """The classifier: global pool and linear layer, or a 1x1 convolution and global pool."""
    network = units.network
    if units.norm == "before":
        x = units.activate("head.act", network.add("norm", "head.norm", x))
    if kind == "conv":
        x = network.add("conv", "head.conv", x, out_channels=classes, bias=True)
    x = network.add("pool", "head.pool", x, function="global_avg")
    x = network.add("flatten", "head.flatten", x)
    return network.add("linear", "head.linear", x, out_features=classes) if kind == "linear" else x
