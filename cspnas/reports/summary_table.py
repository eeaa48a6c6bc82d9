"""A study's summary as a person reads it."""

from __future__ import annotations

from dataclasses import dataclass

from cspnas.errors import printable
from cspnas.io.quantities import counted
from cspnas.io.standard_streams import say
from cspnas.io.wrapping import GAP, width, wrapped
from cspnas.network.families import family_of
from cspnas.objectives.objectives import all_objectives, format_objective
from cspnas.reports.summary import NetworkSummary, StudySummary
from cspnas.study.verdict import Verdict

# Of costs whose names would not head a column well.
TITLES = {"flops": "FLOPs"}
# Shown where there is room, if they are no objectives.
EXTRA = ("accuracy", "flops", "params", "peak_memory")
INDENT = "    "
# Degrees of freedom below which a deviation says little: of three, its 95 % interval reaches from .6 to 3.7 times itself.
MIN_DEGREES_OF_FREEDOM = 4


@dataclass(frozen=True, slots=True)
class Column:
    """Lines of the heading, a cell for each network, and whether the table may do without it."""

    heading: tuple[str, ...]
    cells: list[str]
    optional: bool = False

    @property
    def title(self) -> str:
        """The heading on one line."""
        return " ".join(self.heading)

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return max(map(len, [*self.heading, *self.cells]), default=0)


class Below(str):
    """A line of a table that goes on with the line above."""

    __slots__ = ()


def print_summary(summary: StudySummary, *, wide: bool = False) -> None:
    """The front with its knee, the baselines beside it, and what the search won."""
    for line in front_table(summary, width(), wide=wide):
        _print(line, style="dim" if isinstance(line, Below) else None)
    for line in sentences(summary):
        for part in wrapped(line).split("\n"):
            _print(part)


def front_table(summary: StudySummary, room: int, *, wide: bool = False) -> list[str]:
    """Two lines a network, within `room` columns: the study's objectives in its own order with the accuracy's error,
    then, indented, what did not fit and the stages. `wide`: every figure and the stages on one line, whatever its length.
    """
    rows = [("knee" if row.knee else "", row) for row in summary.front]
    rows += [(kind, row) for kind, curve in summary.baselines.items() for row in curve]
    columns = _columns(summary, rows, wide=wide)
    kept = columns if wide else _fitting(columns, room)
    left = [column for column in columns if column not in kept and not column.optional]
    stages = _stages_heading(summary)
    lines = [f"Front of {summary.study}: {len(summary.front)} of {counted(summary.networks, 'network')}"]
    heading = _heading(kept)
    if wide:
        lines += [*heading[:-1], heading[-1] + GAP + stages]
    else:
        lines += [*heading, *_below([column.title for column in left], stages, room)]
    begins = {0: "", len(summary.front): "baselines "}
    for number, (_, row) in enumerate(rows):
        if number in begins:
            lines.append(begins[number].ljust(max(map(len, heading)), "-"))
        line = _joined(kept, [column.cells[number] for column in kept])
        told = [f"{column.title} {column.cells[number]}" for column in left]
        lines += [line + GAP + row.wiring] if wide else [line.rstrip(), *_below(told, row.wiring, room)]
    return lines


def _print(text: str, style: str | None = None) -> None:
    """On stdout, as wide as it is."""
    from rich.console import Console

    Console(soft_wrap=True).print(printable(text), style=style, markup=False, emoji=False, highlight=False)


def _columns(summary: StudySummary, rows: list[tuple[str, NetworkSummary]], *, wide: bool) -> list[Column]:
    """The objectives come in the study's order, then `EXTRA`, or (`wide`) every other cost that is known."""
    networks = [row for _, row in rows]
    others = [name for name in all_objectives() if any(row.value(name) is not None for row in networks)]
    extra = [*EXTRA, *(name for name in others if name not in EXTRA)] if wide else EXTRA
    numbers = [Column(("trial",), [_plain(row.trial) for row in networks])] if networks else []
    return [
        *numbers,
        Column(("",), [mark for mark, _ in rows]),
        *(_figures(name, networks) for name in summary.objectives),
        Column(("± s.e.",), [_points(row.accuracy_standard_error) for row in networks]),
        Column(("seeds",), [str(row.seeds) for row in networks]),
        *(_figures(name, networks, optional=True) for name in extra if name not in summary.objectives),
    ]


def _figures(name: str, networks: list[NetworkSummary], *, optional: bool = False) -> Column:
    heading = tuple(TITLES.get(name, name).split("_"))
    return Column(heading, [format_objective(name, row.value(name)) for row in networks], optional)


def _plain(value: int | None) -> str:
    return "-" if value is None else str(value)


def _points(error: float | None) -> str:
    return "-" if error is None else f"{100 * error:.2f}"


def _fitting(columns: list[Column], room: int) -> list[Column]:
    """The first ones that fit side by side, optional ones only if they do so after all others."""
    kept: list[Column] = []
    used = -len(GAP)
    for column in columns:
        used += len(GAP) + column.width
        if used > room:
            break
        kept.append(column)
    return kept


def _heading(columns: list[Column]) -> list[str]:
    """Its lines; a heading of fewer lines than others stands on the lowest."""
    height = max(len(column.heading) for column in columns)
    lines = zip(*([""] * (height - len(column.heading)) + [*column.heading] for column in columns), strict=True)
    return [_joined(columns, list(line)).rstrip() for line in lines]


def _joined(columns: list[Column], cells: list[str]) -> str:
    """Figures to the right, the mark to the left."""
    return GAP.join(
        cell.rjust(column.width) if column.title else cell.ljust(column.width)
        for column, cell in zip(columns, cells, strict=True)
    )


def _below(told: list[str], stages: str, room: int) -> list[Below]:
    text = "; ".join([*filter(None, [", ".join(told)]), stages])
    return [Below(line) for line in wrapped(INDENT + text, room, INDENT + GAP).splitlines()]


def _stages_heading(summary: StudySummary) -> str:
    size = family_of(summary.family).size_gene.replace("_", " ")
    return f"stages: depth x {size}, fusion, split ratio (what it became)"


def print_failures(summary: StudySummary) -> None:
    """Each failed training: its network, kind and message, and what its worker printed last."""
    say(f"{len(summary.failures)} of {counted(summary.trainings, 'training')} of {summary.study} failed")
    for row in summary.failures:
        tries = f", {row.attempts} attempts" if row.attempts > 1 else ""
        tries += f", in parts of {row.micro_batch} images" if row.micro_batch else ""
        tries += ", quarantined" if row.quarantined else ""
        head = f"trial {_plain(row.trial)}, {row.digest[:12]} {row.kind}{tries}: {row.wiring}"
        say(wrapped(f"{head} ({row.source}, seed {row.seed})"))
        for line in f"{row.message}\n{row.log or ''}".strip().splitlines():
            say(wrapped(INDENT + line, indent=INDENT + "  "))


def sentences(summary: StudySummary) -> list[str]:
    """The rest of the summary, a line each."""
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(summary.suggestions.items()))
    lines = [
        f"{counted(summary.trainings, 'training')} ({counted(summary.confirmations, 'confirmation')}, "
        f"{summary.failed} failed) of {counted(summary.networks, 'network')}; suggestions: {counts or 'none'}; "
        f"hypervolume {summary.hypervolume:.4f}",
        f"front members confirmed by a second seed: {summary.front_confirmed} of {len(summary.front)}",
    ]
    seed, between = summary.seed_standard_deviation, summary.between_network_standard_deviation
    if seed is not None and between is not None:
        lines.append(
            f"standard deviation of accuracy: {100 * seed:.2f} points between seeds of one network ({_basis(summary)}), "
            f"{100 * between:.2f} points between networks"
        )
    for kind, won in summary.won_at_equal_flops.items():
        told = _won(won) if won else f"no verdict: {_no_verdict(summary, kind)}"
        lines.append(f"against the {kind} baseline at equal FLOPs: {told}")
    return lines


def _no_verdict(summary: StudySummary, kind: str) -> str:
    """Why there is none, and what would give one."""
    if len(summary.baselines[kind]) < 2:
        return "fewer than two baselines have an accuracy (more trials, or baselines.widths of 2 or more)"
    if not summary.confirmed_networks:
        return "no network that the search found was trained again (more trials, or a larger search.confirm)"
    return "the networks that were trained again have fewer or more FLOPs than every baseline"


def _basis(summary: StudySummary) -> str:
    """How many networks the deviation between seeds is known from."""
    count, few = summary.seed_networks, summary.seed_degrees_of_freedom < MIN_DEGREES_OF_FREEDOM
    text = counted(count, "network")
    return f"from {text}{': too few, each ± may be far off' if few else ''}"


def _won(won: Verdict) -> str:
    text = counted(won.members, "network")
    interval = f"95 % interval {100 * won.low:+.2f} to {100 * won.high:+.2f}, {text}"
    return f"{100 * won.gain:+.2f} points ({interval}){'' if won.distinguishable else ', not distinguishable'}"
