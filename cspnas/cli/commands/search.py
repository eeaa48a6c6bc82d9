"""`cspnas search`: its options."""

from typing import Annotated

import typer

from cspnas.cli.options import (
    Address,
    Constraints,
    Dataset,
    ImageSize,
    Objectives,
    PerGpu,
    Set,
    SkipUnreadable,
    SpaceArgument,
    Storage,
)


def search(
    space: SpaceArgument = "densenet",
    study: Annotated[str | None, typer.Option(help="Name of the study; the space's name if not given.")] = None,
    storage: Storage = None,
    trials: Annotated[int | None, typer.Option(help="Trainings in all, earlier ones included.")] = None,
    time: Annotated[str | None, typer.Option(help="Stop starting trainings after this long: 90s, 30m, 2h.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes; 0 = one per core or GPU.")] = None,
    runner: Annotated[str, typer.Option(help="local: processes of this machine; ray: Ray Tune.")] = "local",
    address: Address = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:0,1.")] = "auto",
    per_gpu: PerGpu = None,
    sampler: Annotated[str | None, typer.Option(help="cost-aware, nsga2, tpe, gp or random.")] = None,
    seed: Annotated[int | None, typer.Option(help="Study seed.")] = None,
    dataset: Dataset = None,
    image_size: ImageSize = None,
    skip_unreadable: SkipUnreadable = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training.")] = None,
    objective: Objectives = None,
    constraint: Constraints = None,
    set_: Set = None,
    reuse_from: Annotated[str | None, typer.Option(help="Study whose results are reused where the key agrees.")] = None,
    seed_with: Annotated[
        list[str] | None,
        typer.Option(help="Train first: an architecture file, a reference, a study's front; repeatable."),
    ] = None,
) -> None:
    """Search SPACE; the same command again continues the study."""
    from cspnas.cli.search import SearchRequest, search_space
    from cspnas.documents.space_settings import space_settings
    from cspnas.runners.protocol import RunnerOptions

    keys = {"trials": trials, "workers": workers, "sampler": sampler, "seed": seed}
    flags = {f"search.{name}": (f"--{name}", value) for name, value in keys.items()}
    flags["proxy.epochs"] = ("--epochs", epochs)
    images = (dataset, image_size, skip_unreadable)
    settings = space_settings(images, objective, constraint, set_, flags)
    options = RunnerOptions(runner, address, device, per_gpu)
    places = {"study": study, "storage": storage, "reuse_from": reuse_from}
    search_space(SearchRequest(space, settings, options, **places, time=time, seed_with=seed_with or []))
