"""From an architecture to its graph: stems, blocks, the CSP stage, the head. A family is a block and its parameters."""

from __future__ import annotations

from cspnas.architecture import Architecture, Csp, Stage
from cspnas.errors import ArchitectureError
from cspnas.graph import Graph, GraphBuilder


def wire(architecture: Architecture) -> Graph:
    """The graph of `architecture`. Raises ArchitectureError where sizes or widths do not fit."""
    network = GraphBuilder(architecture.input_shape)
    activation = architecture.activation
    stem = architecture.stem
    x = conv_norm_act(network, "stem", 0, stem.channels, activation, kernel=stem.kernel, stride=stem.stride)
    for number, stage in enumerate(architecture.stages, start=1):
        x = csp_stage(network, f"stage{number}", x, stage, activation)
    x = network.add("pool", "head.pool", x, function="global_avg")
    x = network.add("flatten", "head.flatten", x)
    network.add("linear", "head.linear", x, out_features=architecture.classes)
    return network.graph()


def conv_norm_act(
    network: GraphBuilder, name: str, x: int, width: int, activation: str, *, kernel: int = 1, stride: int = 1
) -> int:
    """Convolution, batch norm, activation: the unit of every family."""
    padding = kernel // 2
    x = network.add("conv", f"{name}.conv", x, out_channels=width, kernel=kernel, stride=stride, padding=padding)
    x = network.add("norm", f"{name}.norm", x)
    return network.add("act", f"{name}.act", x, function=activation)


def csp_stage(network: GraphBuilder, name: str, x: int, stage: Stage, activation: str) -> int:
    """One stage, read as figure 3 of the CSPNet paper: split, block, transition?, concat, transition?, pool?.

    `first`: concat[block, part1] -> transition. `last`: concat[transition(block), part1].
    `both`: concat[transition(block), part1] -> transition. Plain: block -> transition.
    """
    csp = stage.csp
    if csp is None:
        x = dense_block(network, f"{name}.block", x, stage, activation)
    else:
        _check_split(name, network.channels(x), stage, csp)
        part1 = network.add("slice", f"{name}.part1", x, start=0, stop=csp.part1)
        part2 = network.add("slice", f"{name}.part2", x, start=csp.part1, stop=csp.part1 + csp.part2)
        x = dense_block(network, f"{name}.block", part2, stage, activation)
        if csp.t1 is not None:
            x = conv_norm_act(network, f"{name}.transition1", x, csp.t1, activation)
        x = network.add("concat", f"{name}.fusion", x, part1)
    if csp is None or csp.fusion != "last":
        x = conv_norm_act(network, f"{name}.transition", x, stage.out, activation)
    return network.add("pool", f"{name}.pool", x) if stage.pool else x


def dense_block(network: GraphBuilder, name: str, x: int, stage: Stage, activation: str) -> int:
    """`depth` layers, each reading all before it (DenseNet, equation 2); conv 1x1 -> bottleneck, conv 3x3 -> growth_rate.

    The features so far are one tensor that grows, which keeps one copy of them alive instead of two.
    """
    for number in range(1, stage.depth + 1):
        layer = f"{name}.layer{number}"
        new = conv_norm_act(network, f"{layer}.reduce", x, stage.bottleneck, activation)
        new = conv_norm_act(network, f"{layer}.grow", new, stage.growth_rate, activation, kernel=3)
        x = network.add("concat", f"{layer}.concat", x, new)
    return x


def _check_split(name: str, channels: int, stage: Stage, csp: Csp) -> None:
    """Raises ArchitectureError where an architecture's widths do not describe a split of the stage's input."""
    if csp.part1 < 1 or csp.part2 < 1 or csp.part1 + csp.part2 != channels:
        raise ArchitectureError(
            f"part1 {csp.part1} and part2 {csp.part2}",
            expected=f"two parts that share the stage's {channels} input channels",
            where=name,
        )
    if (csp.t1 is None) != (csp.fusion == "first"):
        raise ArchitectureError(
            f"t1 {csp.t1} with fusion {csp.fusion}", expected="t1 for last and both, none for first", where=name
        )
    if csp.fusion == "last" and csp.t1 is not None and csp.t1 + csp.part1 != stage.out:
        raise ArchitectureError(
            f"out {stage.out} with fusion last", expected=f"t1 + part1 = {csp.t1 + csp.part1}", where=name
        )
