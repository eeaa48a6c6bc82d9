"""optuna-dashboard on a study, on loopback only."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any
from wsgiref.types import WSGIEnvironment

from cspnas.errors import CspnasError, InputError
from cspnas.io.steps import steps
from cspnas.reports.curve_plot import CurvePlot
from cspnas.storage.open_study import OpenStudy

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer


def serve(opened: OpenStudy, port: int) -> None:
    """Serve until Ctrl-C. Raises InputError for a port that is taken."""
    with steps() as step:
        step("starting optuna-dashboard")
        server, address = _server(opened, port)
    print(f"{address}  (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    finally:
        server.server_close()


def _server(opened: OpenStudy, port: int) -> tuple[WSGIServer, str]:
    """It and the address of the study's page there."""
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

    import optuna
    from optuna.storages import RDBStorage
    from optuna.study._frozen import FrozenStudy
    from optuna_dashboard import wsgi

    plot = CurvePlot(opened.database, opened.row.id, opened.name)

    class FreshStorage(RDBStorage):
        """Optuna caches finished trials of a plain RDBStorage; ours change when a network is confirmed."""

        def get_all_studies(self) -> list[FrozenStudy]:
            """The study has one plot more than the tables say."""
            studies = super().get_all_studies()
            for study in studies:
                if study.study_name == opened.name:
                    study.system_attrs = {**study.system_attrs, **plot.attributes()}
            return studies

    class Threaded(ThreadingMixIn, WSGIServer):
        """A browser opens connections before it needs them: one that is idle keeps nobody else waiting."""

        daemon_threads = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            """No line a request."""

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = FreshStorage(opened.database.dialect_url, engine_kwargs={**opened.database.engine_options()})
    try:
        application = only_this_machine(wsgi(storage))
        server = make_server("127.0.0.1", port, application, server_class=Threaded, handler_class=Quiet)
    except OSError as error:
        raise InputError(f"port {port}: {error.strerror}", where="--port", hint="choose another port") from None
    return server, f"http://127.0.0.1:{server.server_port}/dashboard/studies/{_study_id(storage, opened.name)}"


def only_this_machine(application: Any) -> Any:
    """`application` for requests to this machine by its own name: a page of another site may resolve to 127.0.0.1 too."""

    def guarded(environ: WSGIEnvironment, start_response: Any) -> Any:
        if re.fullmatch(r"(localhost|127\.0\.0\.1)(:[0-9]+)?", environ.get("HTTP_HOST", "")):
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"open it as http://127.0.0.1 or http://localhost\n"]

    return guarded


def _study_id(storage: Any, name: str) -> int:
    try:
        return int(storage.get_study_id_from_name(name))
    except KeyError:
        raise CspnasError(f"study {name} is not in Optuna's tables yet; run cspnas search once more") from None
