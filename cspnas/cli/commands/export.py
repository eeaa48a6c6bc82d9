"""`cspnas export`: its options."""

from pathlib import Path
from typing import Annotated

import typer

from cspnas.cli.options import one_of
from cspnas.io.standard_streams import say


def export(
    network: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|FILE",
            help="A study, of which one network is taken; an architecture file or a reference's name.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    choice: Annotated[
        str | None, typer.Option("--pick", help="knee (if not given), most-accurate or smallest (least FLOPs).")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="'flops<=20M': among these front members; repeatable.")
    ] = None,
    trial: Annotated[
        int | None, typer.Option(help="Instead the network of this trial, as front and dashboard number them.")
    ] = None,
    digest: Annotated[
        str | None, typer.Option(help="Instead the network whose digest begins so: 4 hex digits or more.")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="yaml (if not given), onnx, pt2, torchscript, python, timm, darknet, yolo.")
    ] = "yaml",
    weights: Annotated[
        Path | None, typer.Option(help="What cspnas train wrote; untrained weights if not given.")
    ] = None,
    normalise: Annotated[
        bool, typer.Option("--normalise", help="The network reads pixels, 0 to 255, and normalises them itself.")
    ] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="onnx: weights and values in 8 bits, measured on the training images.")
    ] = False,
    force: Annotated[bool, typer.Option(help="Replace existing files.")] = False,
) -> None:
    """Write a network for other programs, or as a file with all that is needed to build and train it."""
    from cspnas.cli import export as work
    from cspnas.export.choice import Choice
    from cspnas.export.formats import EXPORT_FORMATS

    wanted = Choice(choice, tuple(where or ()), trial, digest)
    one_of(form, tuple(EXPORT_FORMATS), "--format")
    say(work.export_network(network, wanted, output, work.ExportOptions(form, weights, normalise, int8, force)))
