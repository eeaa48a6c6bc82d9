"""Learning curves as a plot in optuna-dashboard, which draws intermediate values itself only for a single objective."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any

from cspnas.storage.database import Database
from cspnas.storage.learning_curves import Curves, learning_curves
from cspnas.storage.trial_numbers import trial_numbers

IDENTIFIER = "learning-curves"
# Curves behind those of the front, the newest ones: a page with more of them is slow.
BEHIND = 200


class CurvePlot:
    """What optuna-dashboard is told of the plot, made anew where trainings have ended since; nothing is written."""

    def __init__(self, database: Database, study_id: int, name: str) -> None:
        self._database, self._study_id, self._name = database, study_id, name
        self._state: object = None
        self._attributes: Mapping[str, Any] = {}
        # The dashboard answers several requests at once.
        self._lock = Lock()

    def attributes(self) -> Mapping[str, Any]:
        """System attributes of Optuna's study, as `save_plotly_graph_object` writes them."""
        with self._lock:
            state = self._database.finished(self._study_id)
            if state != self._state:
                self._state, self._attributes = state, self._made()
            return self._attributes

    def _made(self) -> Mapping[str, Any]:
        import optuna
        from optuna_dashboard import save_plotly_graph_object

        numbers = trial_numbers(self._database, self._name)
        front = [point[0] for point in self._database.last_front(self._study_id) or ()]
        newest = sorted(numbers, key=lambda digest: numbers[digest])[-BEHIND:]
        shown = {digest: numbers[digest] for digest in (*newest, *front) if digest in numbers}
        curves = learning_curves(self._database, self._study_id, list(shown))
        if not curves:
            return {}
        own = optuna.create_study()
        save_plotly_graph_object(own, figure(curves, numbers, front), graph_object_id=IDENTIFIER)
        attributes: Mapping[str, Any] = own._storage.get_study_system_attrs(own._study_id)
        return attributes


def figure(curves: Curves, numbers: dict[str, int], front: list[str]) -> Any:
    """A curve with its trial number for each network of the front, all others in gray behind them."""
    import plotly.graph_objects as go

    epochs: list[int | None] = []
    percents: list[float | None] = []
    for digest, curve in curves.items():
        # A gap after each keeps them apart in one trace.
        if digest not in front and digest in numbers:
            epochs += [*curve, None]
            percents += [*(100 * value for value in curve.values()), None]
    gray = {"color": "lightgray", "width": 1}
    traces = [go.Scatter(x=epochs, y=percents, mode="lines", name="other trials", line=gray, hoverinfo="skip")]
    for digest in sorted((d for d in front if d in curves and d in numbers), key=lambda digest: numbers[digest]):
        x, y = list(curves[digest]), [100 * value for value in curves[digest].values()]
        traces.append(go.Scatter(x=x, y=y, mode="lines+markers", name=f"trial {numbers[digest]}"))
    layout = {
        "title": "Learning curves of the front",
        "xaxis": {"title": "epoch", "dtick": max(1, len(max(curves.values(), key=len)) // 10)},
        "yaxis": {"title": "validation accuracy (%), mean over seeds"},
        "template": "none",
    }
    return go.Figure(traces, layout)
