"""Pictures of a study."""

from __future__ import annotations

from typing import Any


def front_page(summary: dict[str, Any]) -> str:
    """A self-contained HTML page: accuracy over FLOPs, peak memory as colour, the front, its knee and the baselines."""
    import plotly.graph_objects as go

    figure = go.Figure()
    for kind, curve in summary["baselines"].items():
        figure.add_trace(_curve(go, curve, f"{kind} baseline"))
    front = sorted(summary["front"], key=lambda row: row["flops"])
    figure.add_trace(
        go.Scatter(
            x=[row["flops"] / 1e6 for row in front],
            y=[100 * row["accuracy"] for row in front],
            error_y={"array": [100 * (row["accuracy_standard_error"] or 0) for row in front], "thickness": 1},
            mode="markers",
            name="front",
            text=[_hover(row) for row in front],
            hoverinfo="text",
            marker={
                "size": 13,
                "color": [row["peak_memory_bytes"] / 1024 for row in front],
                "colorscale": "Viridis",
                "colorbar": {"title": "peak memory (KiB)"},
                "symbol": ["star" if row["knee"] else "circle" for row in front],
                "line": {"width": 1, "color": "black"},
            },
        )
    )
    ticks = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    figure.update_xaxes(
        title="FLOPs (M, one image)", type="log", tickvals=ticks, ticktext=[f"{tick:g}" for tick in ticks]
    )
    figure.update_yaxes(title="validation accuracy (%), mean over seeds ± standard error")
    figure.update_layout(
        title=f"{summary['study']}: front of {summary['networks']} networks, {summary['trainings']} trainings (star: knee)",
        template="plotly_white",
        legend={"x": 0.01, "y": 0.99},
    )
    return str(figure.to_html(include_plotlyjs=True, full_html=True))


def _curve(go: Any, curve: list[dict[str, Any]], name: str) -> Any:
    return go.Scatter(
        x=[row["flops"] / 1e6 for row in curve],
        y=[100 * row["accuracy"] for row in curve],
        mode="lines+markers",
        name=name,
        text=[_hover(row) for row in curve],
        hoverinfo="text",
    )


def _hover(row: dict[str, Any]) -> str:
    trial = "" if row["trial"] is None else f"trial {row['trial']}: "
    return (
        f"{trial}{100 * row['accuracy']:.2f}% ({row['seeds']} seeds)<br>{row['flops'] / 1e6:.3f} MFLOPs, "
        f"{row['peak_memory_bytes'] / 1024:.1f} KiB peak<br>{row['wiring']}<br>{row['digest'][:12]}"
    )
