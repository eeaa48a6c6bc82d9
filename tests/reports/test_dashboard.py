"""Who may talk to the dashboard: a page of another site can name 127.0.0.1 by its own host name (DNS rebinding)."""

from __future__ import annotations

from typing import Any

import pytest

from cspnas.reports.dashboard import only_this_machine


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
