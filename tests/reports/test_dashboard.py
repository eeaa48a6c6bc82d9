"""Who is served by the dashboard: this machine alone, for a page of another site can name 127.0.0.1 by its own host name
(DNS rebinding), and all of it at once.
"""

from __future__ import annotations

import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from small_studies import driven, small_study

from cspnas.reports.dashboard import _server, only_this_machine
from cspnas.storage.open_study import load_study
from cspnas.storage.optuna_projection import Projection


def answer(host: str | None) -> str:
    status: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"trials"]

    environ = {} if host is None else {"HTTP_HOST": host}
    only_this_machine(application)(environ, lambda line, headers: status.append(line))
    return status[0]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "localhost:8080", "127.0.0.1:1"])
def test_its_own_names_are_served(host: str) -> None:
    assert answer(host) == "200 OK"


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost@evil", "localhost:x"]
)
def test_other_names_are_not(host: str | None) -> None:
    assert answer(host) == "403 Forbidden"


def test_a_connection_that_says_nothing_keeps_nobody_waiting(tmp_path: Path) -> None:
    """As a browser's, which connects before it has something to ask."""
    study = small_study(tmp_path)
    database, driver = driven(f"sqlite:///{tmp_path / 'small.db'}", study, 3)
    Projection(database, "small", study.space, driver.results).update()
    server, address = _server(load_study(database, None), 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with socket.create_connection(("127.0.0.1", server.server_port)):
            api = address.replace("/dashboard/", "/api/")
            with urllib.request.urlopen(api, timeout=30) as answer:
                assert answer.status == 200 and b"trials" in answer.read()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        database.close()
