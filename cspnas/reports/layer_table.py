"""Tables of `cspnas cost --layers` and `--against plain`, as a person reads them; 120 columns wide in a pipe.

A terminal that is too narrow gets fewer columns, never a figure that is cut.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from cspnas.io import wrapping
from cspnas.network.layer_costs import Layer, PartCosts, whole
from cspnas.objectives.objectives import format_objective

if TYPE_CHECKING:
    from rich.table import Table

LAYER_TABLE_WIDTH = 120
# Without the operations and the share.
NARROW_COLUMNS = (0, 2, 3, 5, 6, 7, 8)


def layers(parts: list[PartCosts]) -> str:
    """One line a layer under the line of its part, which has the sums and the peak; the network's own line at the end.

    Where the terminal is too narrow, the operations and the shares are left out, and a part's evenness and paths stand
    under its name.
    """
    table = _layers(parts, narrow=False)
    if _terminal_width() is None or _widths(table)[1] <= _width():
        return _printed(table, 0)
    table = _layers(parts, narrow=True)
    return _printed(table, _widths(table)[1])


def _layers(parts: list[PartCosts], *, narrow: bool) -> Table:
    network = whole(parts)
    titles = ("layer", "operations", "output", "MACs", "share", "params", "live memory", "traffic", "")
    kept = NARROW_COLUMNS if narrow else tuple(range(len(titles)))
    table = _table()
    for index in kept:
        table.add_column(titles[index], justify="right" if 2 <= index < 8 else "left", no_wrap=index != 1)

    def add(cells: tuple[str, ...], style: str | None = None) -> None:
        name = cells[0]
        if narrow:
            name = "\n ".join([name, *filter(None, cells[1].split(", "))]) if style else name[1:]
        table.add_row(name, *[cells[index] for index in kept[1:]], style=style)

    for part in parts:
        add((*_part_cells(part, network.macs), ""), "bold")
        for layer in part.layers:
            add((*_layer_cells(layer, part.name, network.macs), _marks(layer, network)))
        table.add_section()
    add((*_part_cells(network, network.macs), ""), "bold")
    return table


def _layer_cells(layer: Layer, part: str, total: int) -> tuple[str, ...]:
    return (
        f"  {layer.name.removeprefix(f'{part}.')}",
        layer.kind,
        "x".join(map(str, layer.shape)),
        format_objective("flops", layer.macs) if layer.macs else "",
        f"{100 * layer.macs / total:.1f}%" if layer.macs else "",
        format_objective("params", layer.params) if layer.params else "",
        format_objective("peak_memory", layer.live_memory),
        format_objective("traffic", layer.traffic) if layer.traffic else "",
    )


def _part_cells(part: PartCosts, total: int) -> tuple[str, ...]:
    even = "" if part.evenness is None else f"evenness {100 * part.evenness:.1f}%, "
    return (
        part.name,
        f"{even}{_count(part.gradient_paths)} path{'s' * (part.gradient_paths != 1)}",
        "",
        format_objective("flops", part.macs),
        f"{100 * part.macs / total:.1f}%" if total else "",
        format_objective("params", part.params),
        format_objective("peak_memory", part.peak.live_memory),
        format_objective("traffic", part.traffic),
    )


def _marks(layer: Layer, network: PartCosts) -> str:
    marks = {"peak": layer is network.peak, "busiest": layer is network.busiest}
    return " ".join(name for name, marked in marks.items() if marked)


def against(parts: list[PartCosts], plain: list[PartCosts]) -> str:
    """Every stage and the network with its change against plain, then what CSP is for and what it did."""
    network, without = whole(parts), whole(plain)
    table = _table("Against the same network without CSP: equal depth, widths and pooling order")
    table.add_column("", no_wrap=True)
    for name in ("MACs", "params", "peak memory", "traffic", "evenness", "gradient paths"):
        table.add_column(name, justify="right")
    for part, other in zip(parts, plain, strict=True):
        if part.name.startswith("stage"):
            table.add_row(part.name, *_changes(part, other))
    table.add_section()
    table.add_row(network.name, *_changes(network, without), style="bold")
    return "\n".join([_printed(table, _widths(table)[0]), "", *map(table_lines, purposes(network, without))])


def _changes(part: PartCosts, plain: PartCosts) -> list[str]:
    pairs = {
        "flops": (part.macs, plain.macs),
        "params": (part.params, plain.params),
        "peak_memory": (part.peak.live_memory, plain.peak.live_memory),
        "traffic": (part.traffic, plain.traffic),
    }
    cells = [f"{format_objective(name, ours)} ({_percent(ours, theirs)})" for name, (ours, theirs) in pairs.items()]
    ours, theirs = part.evenness or 0.0, plain.evenness or 0.0
    cells.append(f"{format_objective('evenness', ours)} ({100 * (ours - theirs):+.1f})")
    return [*cells, f"{_count(part.gradient_paths)} ({_count(plain.gradient_paths)})"]


def purposes(network: PartCosts, plain: PartCosts) -> list[str]:
    """The three purposes of CSP (the paper's introduction), each with what was measured; `from` is the plain network's."""
    busiest = [f"{100 * part.busiest.macs / part.macs:.1f}%" for part in (plain, network)]
    evenness = [format_objective("evenness", part.evenness) for part in (plain, network)]
    return [
        f"Less computation: MACs {_from(network.macs, plain.macs, 'flops')}, parameters "
        f"{_from(network.params, plain.params, 'params')}; gradient paths "
        f"{_count(plain.gradient_paths)} -> {_count(network.gradient_paths)}",
        f"No bottleneck: evenness {evenness[0]} -> {evenness[1]}; the "
        f"busiest layer has {busiest[0]} of the MACs -> {busiest[1]} ({plain.busiest.name} -> {network.busiest.name})",
        f"Less memory: traffic {_from(network.traffic, plain.traffic, 'traffic')}; peak memory "
        f"{_from(network.peak.live_memory, plain.peak.live_memory, 'peak_memory')} "
        f"({plain.peak.name} -> {network.peak.name})",
    ]


def table_lines(text: str) -> str:
    """`text` in lines that fit the terminal, or a table's width in a pipe."""
    return wrapping.wrapped(text, min(LAYER_TABLE_WIDTH, _width()) - 2)


def _from(value: int, plain: int, name: str) -> str:
    return f"{format_objective(name, plain)} -> {format_objective(name, value)} ({_percent(value, plain)})"


def _percent(value: float, plain: float) -> str:
    return f"{100 * (value / plain - 1):+.1f}%" if plain else "-"


def _count(number: int) -> str:
    # a float holds no 2 ** 1024
    return f"{number:,}" if number < 10**6 else f"{Decimal(number):.2e}".replace("e+", "e")


def _table(title: str | None = None) -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), title=title)


def _terminal_width() -> int | None:
    """Columns of the terminal; None in a pipe."""
    from rich.console import Console

    console = Console()
    return console.width if console.is_terminal else None


def _width() -> int:
    """Columns of what is printed, if it can be as narrow."""
    return _terminal_width() or LAYER_TABLE_WIDTH


def _widths(table: Table) -> tuple[int, int]:
    """(columns below which a word would be cut, columns where nothing is table_lines)."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=10_000)
    least, natural = Measurement.get(console, console.options, table)
    return least, natural


def _printed(table: Table, least: int) -> str:
    from rich.console import Console

    console = Console(width=max(_width(), least))
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
