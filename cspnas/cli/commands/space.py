"""`cspnas space`: its options."""

from typing import TYPE_CHECKING, Annotated

import typer

from cspnas.cli.options import Constraints, Dataset, ImageSize, Json, Objectives, Set, SkipUnreadable
from cspnas.cli.output import print_json
from cspnas.errors import InputError
from cspnas.io.standard_streams import say
from cspnas.io.wrapping import wrapped_lines

if TYPE_CHECKING:
    from cspnas.documents.space_settings import SpaceSettings


def space(
    space: Annotated[str | None, typer.Argument(help="A space file, or the name of a shipped space.")] = None,
    sample: Annotated[int, typer.Option(min=2, max=1_000_000, help="Random admitted architectures to cost.")] = 2000,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of space files.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Write the shipped space's file here.")] = False,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    contains: Annotated[str | None, typer.Option(metavar="NETWORK", help="Whether a network is a point of it.")] = None,
    dataset: Dataset = None,
    image_size: ImageSize = None,
    skip_unreadable: SkipUnreadable = None,
    objective: Objectives = None,
    constraint: Constraints = None,
    set_: Set = None,
    no_time: Annotated[bool, typer.Option("--no-time", help="Do not measure how long trainings take here.")] = False,
    as_json: Json = False,
) -> None:
    """Describe a search space: size, ranges of the costs, where the peak of memory lies, what CSP lowers."""
    from cspnas.documents.space_settings import space_settings

    images = (dataset, image_size, skip_unreadable)
    settings = space_settings(images, objective, constraint, set_)
    if schema:
        _none_of("--schema", settings)
        _print_schema()
    elif copy:
        _none_of("--copy", settings)
        _copy(_named(space), force=force)
    elif contains is not None:
        _contains(_named(space), contains, settings, as_json=as_json)
    else:
        _describe(_named(space), sample, settings, as_json=as_json, time=not no_time)


def _named(space: str | None) -> str:
    if space is None:
        raise InputError(
            "no SPACE", expected="a file or a shipped space's name", where="cspnas space", hint="try: densenet"
        )
    return space


def _none_of(flag: str, settings: "SpaceSettings") -> None:
    for given in settings.given():
        raise InputError(f"{given} with {flag}", expected="one of them", where="cspnas space")


def _print_schema() -> None:
    from cspnas.documents.space_file import space_schema

    print_json(space_schema())


def _copy(space: str, *, force: bool) -> None:
    from cspnas.cli.space import copy_space

    say(copy_space(space, force=force))


def _contains(space: str, network: str, settings: "SpaceSettings", *, as_json: bool) -> None:
    from cspnas.cli.space import genotype_report

    text = genotype_report(space, network, settings, as_json=as_json)
    say(text if as_json else wrapped_lines(text))


def _describe(space: str, sample: int, settings: "SpaceSettings", *, as_json: bool, time: bool) -> None:
    from cspnas.cli.space import space_report

    text = space_report(space, sample, as_json=as_json, settings=settings, time=time)
    say(text if as_json else wrapped_lines(text))
