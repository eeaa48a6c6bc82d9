"""Arguments and options that several commands share, or that are long: their types and what `--help` says of them."""

from typing import Annotated

import typer

from cspnas.errors import InputError
from cspnas.io.did_you_mean import nearest
from cspnas.version import __version__


def one_of(value: str, known: tuple[str, ...], where: str) -> None:
    """Raises InputError for a value that is not known."""
    if value not in known:
        raise InputError(repr(value), expected=f"one of {', '.join(known)}", where=where, hint=nearest(value, known))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cspnas {__version__}")
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
]

SpaceArgument = Annotated[
    str,
    typer.Argument(
        help="A space file, or a shipped space: densenet, peleenet, resnet, resnext, darknet, csp_cifar, csp_mobile, "
        "csp_imagenet_resnext, csp_imagenet_darknet."
    ),
]
StudyArgument = Annotated[str, typer.Argument(help="A name under studies/, a database file, or URL#NAME.")]
ArchitectureArgument = Annotated[
    str, typer.Argument(help="An architecture file, or the name of a reference network (csdarknet53).")
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output with units in the names.")]
ImageSize = Annotated[
    int | None,
    typer.Option(min=1, max=4096, help="Pixels that images of a folder are brought to; the proxy's image_size."),
]
SkipUnreadable = Annotated[
    bool | None, typer.Option("--skip-unreadable", help="Leave damaged images out; the proxy's skip_unreadable.")
]
Dataset = Annotated[str | None, typer.Option(help="fashion-mnist-mini, cifar10, folder:PATH ...")]
Set = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE for any key of the space file, repeatable.")]
Objectives = Annotated[
    list[str] | None, typer.Option("--objective", help="accuracy, flops, peak_memory ...; repeatable.")
]
Constraints = Annotated[
    list[str] | None, typer.Option("--constraint", help="'flops<=40M'; replaces the file's on that cost; repeatable.")
]
Storage = Annotated[
    str | None,
    typer.Option(help="sqlite:///PATH or postgresql://HOST/DB; studies/NAME.db if not given."),
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster: local (one of its own), auto, HOST:PORT or ray://HOST:PORT.")
]
PerGpu = Annotated[int | None, typer.Option(min=1, help="Trainings that share a GPU; as many as fit if not given.")]
