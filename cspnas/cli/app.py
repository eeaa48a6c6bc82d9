"""The command line: parse, call, print. Heavy imports live in the functions, so that `--help` stays quick."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from cspnas.cli.examples import epilog
from cspnas.cli.options import (
    Address,
    ArchitectureArgument,
    Constraints,
    Dataset,
    Json,
    Objectives,
    PerGpu,
    Set,
    SpaceArgument,
    Storage,
    StudyArgument,
    Version,
)
from cspnas.cli.output import print_csv, print_json
from cspnas.errors import CspnasError, InputError
from cspnas.io.steps import Step, steps
from cspnas.io.wrapping import wrapped_lines

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(""),
    help="Search the Cross Stage Partial (CSP) design space: accuracy against exact FLOPs and peak memory.",
)


@app.callback()
def cspnas(version: Version = False) -> None:
    """Options of `cspnas` itself; each command has its own."""


@app.command(epilog=epilog("search"))
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
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training.")] = None,
    objective: Objectives = None,
    constraint: Constraints = None,
    set_: Set = None,
    reuse_from: Annotated[str | None, typer.Option(help="Study whose results are reused where the key agrees.")] = None,
) -> None:
    """Search SPACE; the same command again continues the study."""
    from cspnas.cli import search as search_command

    flags = {
        "search.trials": ("--trials", trials),
        "search.workers": ("--workers", workers),
        "search.sampler": ("--sampler", sampler),
        "search.seed": ("--seed", seed),
        "proxy.dataset": ("--dataset", dataset),
        "proxy.epochs": ("--epochs", epochs),
        "objectives": ("--objective", objective or None),
    }
    request = search_command.SearchRequest(
        space=space,
        flags=flags,
        sets=set_ or [],
        constraints=constraint or [],
        study=study,
        storage=storage,
        time=time,
        reuse_from=reuse_from,
        runner=runner,
        address=address,
        device=device,
        per_gpu=per_gpu,
    )
    search_command.run(request)


@app.command(epilog=epilog("front"))
def front(
    study: StudyArgument,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="The front as comma-separated values.")] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="The failed trainings instead: why, and their logs.")
    ] = False,
    wide: Annotated[bool, typer.Option("--wide", help="Every cost and the stages on one line, however long.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Also write the front as an interactive HTML page.")] = None,
    force: Annotated[bool, typer.Option(help="Replace an existing plot.")] = False,
) -> None:
    """Show the current front, its knee marked, the baselines beside it."""
    from cspnas.io.atomic_write import check_output, write_whole
    from cspnas.reports.summary import members, summarise

    if plot is not None:
        check_output(plot, force=force, inputs=[])
    with steps() as step:
        opened = _open(study, step)
        summary = summarise(opened)
        if plot is not None:
            from cspnas.reports.front_plot import front_page

            step(f"drawing {plot}")
            rows = [asdict(network) for network in members(opened)]
            write_whole(plot, front_page(summary, rows), force=force, inputs=opened.database.files)
    if as_json:
        print_json(summary)
    elif as_csv:
        print_csv(summary["failures" if failed else "front"])
    elif failed:
        from cspnas.reports.summary_table import print_failures

        print_failures(summary)
    else:
        from cspnas.reports.summary_table import print_summary

        print_summary(summary, wide=wide)


@app.command(epilog=epilog("export"))
def export(
    study: StudyArgument,
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
    form: Annotated[str, typer.Option("--format", help="yaml.")] = "yaml",
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
) -> None:
    """Write an architecture with all that is needed to build and train it."""
    from cspnas.documents.architecture_file import architecture_yaml
    from cspnas.export.architecture_yaml import take_away
    from cspnas.export.choice import Choice, chosen
    from cspnas.io.atomic_write import check_output, write_whole

    wanted = Choice(choice, tuple(where or ()), trial, digest)
    _one_of(form, ("yaml",), "--format")
    check_output(output, force=force, inputs=[])
    with steps() as step:
        opened = _open(study, step)
        network = chosen(opened, wanted)
    content = architecture_yaml(network.architecture, take_away(opened, network))
    write_whole(output, content, force=force, inputs=opened.database.files)
    accuracy = f"{100 * network.accuracy:.2f}% accuracy"
    number = opened.ledger.trials.get(network.digest)
    name = ("" if number is None else f"trial {number}, ") + f"network {network.digest[:12]}"
    typer.echo(f"{output}: {name}, {accuracy}; next: cspnas cost {quote(str(output))}")


@app.command(epilog=epilog("cost"))
def cost(
    architecture: ArchitectureArgument,
    check: Annotated[bool, typer.Option(help="Also count by ptflops, torch and an allocation tracker.")] = False,
    layers: Annotated[bool, typer.Option(help="Show every layer, with sums, evenness and paths per stage.")] = False,
    against: Annotated[str | None, typer.Option(help="plain: beside the same network without CSP.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=65536, help="Images a step, for training_memory; the file's, else 64.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the exact costs of an architecture, and why they are what they are."""
    from cspnas.cli.cost import AGAINST, report
    from cspnas.documents.architecture_file import find_architecture

    if against is not None:
        _one_of(against, AGAINST, "--against")
    path = find_architecture(architecture)
    with steps() as step:
        text, agrees = report(
            path, check=check, batch_size=batch_size, as_json=as_json, layers=layers, against=against, step=step
        )
    typer.echo(text)
    if not agrees:
        raise typer.Exit(1)


@app.command(epilog=epilog("space"))
def space(
    space: Annotated[str | None, typer.Argument(help="A space file, or the name of a shipped space.")] = None,
    sample: Annotated[int, typer.Option(min=2, max=1_000_000, help="Random admitted architectures to cost.")] = 2000,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of space files.")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Write the shipped space's file here.")] = False,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    dataset: Dataset = None,
    objective: Objectives = None,
    constraint: Constraints = None,
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Describe a search space: size, ranges of the costs, where the peak of memory lies, what CSP lowers."""
    from cspnas.cli import space as space_command

    if schema or copy:
        _none_of(
            "--schema" if schema else "--copy", dataset=dataset, objective=objective, constraint=constraint, set=set_
        )
    if schema:
        from cspnas.documents.space_file import space_schema

        print_json(space_schema())
        return
    if space is None:
        raise InputError(
            "no SPACE", expected="a file or a shipped space's name", where="cspnas space", hint="try: densenet"
        )
    if copy:
        typer.echo(space_command.copy(space, force=force))
        return
    from cspnas.documents.space_settings import SpaceSettings

    flags = {"proxy.dataset": ("--dataset", dataset), "objectives": ("--objective", objective or None)}
    settings = SpaceSettings(flags, set_ or [], constraint or [])
    text = space_command.report(space, sample, as_json=as_json, settings=settings)
    typer.echo(text if as_json else wrapped_lines(text))


@app.command(epilog=epilog("train"))
def train(
    architecture: ArchitectureArgument,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Epochs; the file's recipe if not given.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set; the file's if not given.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:N.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of weights and order.")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Weights; NAME.safetensors if not given.")
    ] = None,
    checkpoint: Annotated[
        float, typer.Option(min=0, help="Seconds between two checkpoints, from which a killed training goes on.")
    ] = 60.0,
    force: Annotated[bool, typer.Option(help="Replace existing files.")] = False,
) -> None:
    """Train an architecture, evaluate it on the test split, write weights (safetensors) and results (JSON).

    The same command goes on with a training that was killed.
    """
    from cspnas.cli.train import run
    from cspnas.documents.architecture_file import find_architecture

    run(
        find_architecture(architecture),
        epochs,
        dataset,
        device,
        seed,
        output,
        force=force,
        checkpoint_seconds=checkpoint,
    )


studies_app = typer.Typer(
    help="List the studies under studies/, or copy one to another database.", epilog=epilog("studies")
)
app.add_typer(studies_app, name="studies")


@studies_app.callback(invoke_without_command=True)
def studies(
    context: typer.Context,
    as_json: Json = False,
    storage: Annotated[str | None, typer.Option(help="Those of this database instead: a URL or a file.")] = None,
) -> None:
    """List the studies under studies/, or copy one to another database."""
    from cspnas.cli.studies import listing

    if context.invoked_subcommand is None:
        with steps() as step:
            text = listing(storage, as_json=as_json, step=step)
        typer.echo(text if as_json else wrapped_lines(text))


@studies_app.command(epilog=epilog("studies copy"))
def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="The study: a name, a database file, or URL#NAME.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="Where it is to be: a name, FILE#NAME or URL#NAME.")],
) -> None:
    """Copy a study to another database with all that is known of it; it must not be there yet."""
    from cspnas.cli import studies as studies_command

    with steps() as step:
        text = studies_command.copy(source, target, step)
    typer.echo(text)


@app.command(epilog=epilog("dashboard"))
def dashboard(
    study: StudyArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine's loopback address.")] = 8080,
) -> None:
    """Open optuna-dashboard on the study, on loopback only."""
    from cspnas.reports.dashboard import serve

    with steps() as step:
        opened = _open(study, step)
    serve(opened, port)


def _open(study: str, step: Step) -> Any:
    from cspnas.api.studies import open_study

    return open_study(study, on_step=step).opened


def _none_of(flag: str, **given: Any) -> None:
    for name, value in given.items():
        if value:
            raise InputError(f"--{name} with {flag}", expected="one of them", where="cspnas space")


def _one_of(value: str, known: tuple[str, ...], where: str) -> None:
    if value not in known:
        raise InputError(repr(value), expected=f"one of {', '.join(known)}", where=where)


def main() -> None:
    """Run a command; a user's error is one line on stderr, never a traceback."""
    from cspnas.io import failpoints
    from cspnas.io import standard_streams as streams

    # typer may carry click inside itself; the base of its own usage errors is the right one either way.
    usage_error: Any = typer.BadParameter.__mro__[2]
    streams.repair_standard_streams()
    try:
        failpoints.arm(os.environ.get(failpoints.VARIABLE))
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
        streams.flush()
    except CspnasError as error:
        _end(str(error), error.exit_code)
    except usage_error as error:
        _end(" ".join(error.format_message().split()) + "; see cspnas --help", 2)
    except (typer.Abort, KeyboardInterrupt):
        _end("interrupted", 130)
    except BrokenPipeError:  # the reader of our output went away
        streams.abandon()
        raise SystemExit(1) from None
    except OSError as error:  # a full disk behind our output, say
        streams.abandon()
        _end(f"{error.filename or 'output'}: {error.strerror}", 1)
    raise SystemExit(code if isinstance(code, int) else 0)


def _end(message: str, code: int) -> None:
    from cspnas.io.redaction import redact

    with suppress(OSError):
        sys.stderr.write(f"cspnas: {redact(message)}\n")
    raise SystemExit(code)
