"""Pictures of a study: accuracy against each of its costs, as one page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import log10
from typing import Any

from cspnas.io.quantities import counted
from cspnas.objectives.objectives import format_objective, objective_of
from cspnas.reports.plot_axes import log_ticks
from cspnas.reports.summary import NetworkSummary, StudySummary

# How plotly draws a part of a figure, by the names of its properties.
Looks = Mapping[str, object]
# Okabe and Ito's colours, which colour-blind people tell apart.
BLUE, VERMILLION, GREEN, PURPLE, GRAY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#888888"
BASELINES = {"plain": (GREEN, "dash"), "csp": (PURPLE, "dot")}
# Pixels of one row of views.
ROW_HEIGHT = 470
# Networks that cover each other where they are drawn as few are.
MANY = 500
# A factor between costs below which the axis would have one tick.
NARROW_RANGE = 1.1


def front_page(summary: StudySummary, networks: list[NetworkSummary]) -> str:
    """A self-contained HTML page. Each cost of the study has a view: all `networks` (`summary.members`), the
    front, the step line of what nothing beats in accuracy and this cost, the knee, the baselines.
    """
    import plotly.graph_objects as go

    costs = [name for name in summary.objectives if name != "accuracy"]
    figure = _views(costs) if networks else go.Figure()
    for number, name in enumerate(costs if networks else []):
        place = {"row": number // 2 + 1, "col": number % 2 + 1}
        for trace in _traces(go, summary, networks, name):
            figure.add_trace(trace.update(showlegend=number == 0), **place)
        figure.update_xaxes(_axis(name, [row.value(name) for row in networks]), **place)
        figure.update_yaxes(_accuracy_axis([row.accuracy for row in networks]), **place)
    _lay_out(figure, summary, len(networks), rows=max(1, (len(costs) + 1) // 2))
    return str(figure.to_html(include_plotlyjs=True, full_html=True, config={"responsive": True, "displaylogo": False}))


def staircase(points: list[tuple[float, float]], *, maximise: bool) -> list[tuple[float, float]]:
    """(cost, accuracy) of those that no other beats in both, from the best cost on; each value once. `maximise`: the
    greater the cost the better.
    """
    sign = -1 if maximise else 1
    steps: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (sign * point[0], -point[1])):
        if not steps or accuracy > steps[-1][1]:
            steps.append((cost, accuracy))
    return steps


def _views(costs: list[str]) -> Any:
    from plotly.subplots import make_subplots

    rows, columns = (len(costs) + 1) // 2, min(2, len(costs))
    return make_subplots(
        rows=rows,
        cols=columns,
        horizontal_spacing=0.09,
        vertical_spacing=0.3 / rows,
        subplot_titles=[f"accuracy against {objective_of(name).title.split(' (')[0]}" for name in costs],
    )


def _traces(go: Any, summary: StudySummary, networks: list[NetworkSummary], name: str) -> list[Any]:
    """Of one view, those behind first."""
    costs = [n for n in summary.objectives if n != "accuracy"]
    known = [(value, row) for row in networks if (value := row.value(name)) is not None]
    front = [row for row in summary.front if row.value(name) is not None]

    def points(rows: list[NetworkSummary], label: str, **looks: Any) -> Any:
        return go.Scatter(
            x=[row.value(name) for row in rows],
            y=[row.accuracy for row in rows],
            text=[_hover(row, costs) for row in rows],
            hoverinfo="text",
            name=label,
            legendgroup=label,
            **looks,
        )

    steps = staircase([(value, row.accuracy) for value, row in known], maximise=objective_of(name).maximise)
    behind = (
        {"size": 6, "color": GRAY, "opacity": 0.4} if len(known) < MANY else {"size": 4, "color": GRAY, "opacity": 0.2}
    )
    traces = [
        points([row for _, row in known], "all networks", mode="markers", marker=behind),
        go.Scatter(
            x=[cost for cost, _ in steps],
            y=[accuracy for _, accuracy in steps],
            name="best at this cost",
            legendgroup="best at this cost",
            mode="lines",
            hoverinfo="skip",
            line={"color": BLUE, "width": 1.5, "shape": "hv"},
        ),
    ]
    edge = {"width": 1, "color": "white"}
    traces.append(
        points(front, "front", mode="markers", error_y=_errors(front), marker={"size": 10, "color": BLUE, "line": edge})
    )
    star = {"size": 17, "symbol": "star", "color": VERMILLION, "line": {"width": 1, "color": "black"}}
    traces.append(points([row for row in front if row.knee], "knee", mode="markers", marker=star))
    # Open, and last: a baseline that stands on the front frames its dot or star.
    for curve, rows in summary.baselines.items():
        if rows:
            colour, dash = BASELINES[curve]
            line = {"color": colour, "dash": dash, "width": 2}
            marker = {"size": 13, "color": colour, "symbol": "square-open", "line": {"width": 2}}
            traces.append(points(rows, f"{curve} baseline", mode="lines+markers", line=line, marker=marker))
    return traces


def _errors(rows: list[NetworkSummary]) -> Looks:
    errors = [row.accuracy_standard_error or 0 for row in rows]
    return {"array": errors, "thickness": 1, "width": 3, "color": BLUE, "visible": any(errors)}


def _axis(name: str, values: list[float | None]) -> Looks:
    known = [value for value in values if value is not None]
    objective = objective_of(name)
    title = objective.title + (", the more the better" if objective.maximise else "")
    if objective.linear:
        return {"title": title, "tickformat": ".1~%"}
    axis: dict[str, object] = {"title": f"{title}, log scale", "type": "log"}
    if not known:
        return axis
    low, high = min(known), max(known)
    if high < NARROW_RANGE * low:
        low, high = low / 2, high * 2
        axis["range"] = [log10(low), log10(high)]
    ticks = log_ticks(low, high, binary=objective.unit == "bytes")
    return {**axis, "tickvals": ticks, "ticktext": [format_objective(name, tick) for tick in ticks]}


def _accuracy_axis(values: list[float]) -> Looks:
    axis: dict[str, object] = {"title": objective_of("accuracy").title, "tickformat": ".1~%"}
    if max(values) - min(values) < 0.01:
        axis["range"] = [min(values) - 0.05, max(values) + 0.05]
    return axis


def _lay_out(figure: Any, summary: StudySummary, count: int, rows: int) -> None:
    trainings = counted(summary.trainings, "training")
    what = (
        f"{len(summary.front)} of {counted(count, 'network')} on the front"
        if count
        else "no training has given a result yet"
    )
    figure.update_layout(
        title={
            "text": f"<b>{escape(summary.study, quote=False)}</b>: {what}, {trainings}"
            "<br><sup>accuracy is the mean over a network's seeds; bars are its standard error</sup>",
            "x": 0.01,
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 18},
        },
        template="plotly_white",
        height=150 + ROW_HEIGHT * rows,
        margin={"t": 150, "l": 70, "r": 30, "b": 70},
        legend={"orientation": "h", "x": 0, "y": 1, "yref": "container", "yanchor": "top"},
        hoverlabel={"align": "left"},
    )
    figure.update_layout(legend_y=1 - 70 / (150 + ROW_HEIGHT * rows))
    figure.update_xaxes(showline=True, linecolor="#444444", ticks="outside")
    figure.update_yaxes(showline=True, linecolor="#444444", ticks="outside")
    if not count:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        figure.add_annotation(text="no training has given a result yet", showarrow=False, font={"size": 20})


def _hover(row: NetworkSummary, costs: list[str]) -> str:
    error = row.accuracy_standard_error
    seeds = counted(row.seeds, "seed")
    lines = [f"<b>{format_objective('accuracy', row.accuracy)}</b>{f' ± {100 * error:.2f}' if error else ''} ({seeds})"]
    lines += [f"{name.replace('_', ' ')} {format_objective(name, row.value(name))}" for name in costs]
    lines.append(escape(row.wiring, quote=False))
    trial = f"trial {row.trial}, " if row.trial is not None else ""
    return "<br>".join([*lines, f"{trial}network {row.digest[:12]}"])
