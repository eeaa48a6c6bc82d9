"""A study's summary as a person reads it."""

from __future__ import annotations

from typing import Any

from cspnas.objectives import human, with_unit

SHOWN = ("accuracy", "flops", "params", "peak_memory")  # whatever the study's objectives are


def print_summary(summary: dict[str, Any]) -> None:
    """The front with its knee, the baselines beside it, and what the search won."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 150)
    table = Table(title=f"Front of {summary['study']}: {len(summary['front'])} of {summary['networks']} networks")
    extra = [name for name in summary["objectives"] if name not in SHOWN]
    for name in (
        "trial",
        "",
        "accuracy",
        "± s.e.",
        "seeds",
        "FLOPs",
        "params",
        "peak memory",
        *(name.replace("_", " ") for name in extra),
        "stages (depth x growth, fusion, ratio)",
    ):
        table.add_column(name, justify="left" if not name or name.startswith("stages") else "right", no_wrap=bool(name))
    for row in summary["front"]:
        table.add_row(_trial(row), "knee" if row["knee"] else "", *_cells(row, extra))
    table.add_section()
    for kind, curve in summary["baselines"].items():
        for row in curve:
            table.add_row(_trial(row), f"{kind} baseline", *_cells(row, extra))
    console.print(table)
    for line in sentences(summary):
        console.print(line, highlight=False, markup=False)


def print_failures(summary: dict[str, Any]) -> None:
    """Each failed training: its network, kind and message, and what its worker printed last."""
    print(f"{len(summary['failures'])} of {summary['trainings']} trainings of {summary['study']} failed")
    for row in summary["failures"]:
        tries = f", {row['attempts']} attempts" if row["attempts"] > 1 else ""
        tries += f", in parts of {row['micro_batch']} images" if row["micro_batch"] else ""
        tries += ", quarantined" if row["quarantined"] else ""
        name = f"trial {_trial(row)}, {row['digest'][:12]}"
        print(f"{name} {row['kind']}{tries}: {row['wiring']} ({row['source']}, seed {row['seed']})")
        for line in f"{row['message']}\n{row['log'] or ''}".strip().splitlines():
            print(f"    {line}")


def _trial(row: dict[str, Any]) -> str:
    return "-" if row["trial"] is None else str(row["trial"])


def _cells(row: dict[str, Any], extra: list[str]) -> list[str]:
    error = row["accuracy_standard_error"]
    return [
        human("accuracy", row["accuracy"]),
        "-" if error is None else f"{100 * error:.2f}",
        str(row["seeds"]),
        human("flops", row["flops"]),
        human("params", row["params"]),
        human("peak_memory", row["peak_memory_bytes"]),
        *(human(name, row[with_unit(name)]) for name in extra),
        row["wiring"],
    ]


def sentences(summary: dict[str, Any]) -> list[str]:
    """The rest of the summary, a line each."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(summary["suggestions"].items()))
    lines = [
        f"{summary['trainings']} trainings ({summary['confirmations']} confirmations, {summary['failed']} failed) "
        f"of {summary['networks']} networks; suggestions: {counts}; hypervolume {summary['hypervolume']:.4f}",
        f"front members confirmed by a second seed: {summary['front_confirmed']} of {len(summary['front'])}",
    ]
    seed, between = summary["seed_standard_deviation"], summary["between_network_standard_deviation"]
    if seed is not None and between is not None:
        lines.append(
            f"standard deviation of accuracy: {100 * seed:.2f} points between seeds of one network, "
            f"{100 * between:.2f} points between networks"
        )
    for kind, won in summary["won_at_equal_flops"].items():
        if won is None:
            lines.append(f"against the {kind} baseline at equal FLOPs: no confirmed front member within its range")
            continue
        verdict = "" if won["distinguishable"] else ", not distinguishable"
        lines.append(
            f"against the {kind} baseline at equal FLOPs: {100 * won['gain']:+.2f} ± {100 * won['standard_error']:.2f} "
            f"points of accuracy (mean of {won['members']} confirmed front members{verdict})"
        )
    return lines
