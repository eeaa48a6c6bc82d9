"""Whether anybody answers at a Ray cluster's address. Ray itself would try for minutes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

from cspnas.errors import InputError

# For an answer.
ANSWER_SECONDS = 3.0


def reach(address: str) -> None:
    """Raises InputError where nobody answers at the address. `local` needs nobody."""
    known = address
    if address == "auto":
        current = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"  # noqa: S108 (where Ray writes it)
        known = os.environ.get("RAY_ADDRESS") or (current.read_text().strip() if current.is_file() else "")
    if known in ("local", ""):
        return
    try:
        parts = urlsplit(known if "://" in known else f"//{known}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None or parts.scheme not in ("", "ray"):
        raise InputError(f"address {known!r}", expected="ray://HOST:PORT, HOST:PORT, auto or local", where="--address")
    try:
        socket.create_connection((host, port), ANSWER_SECONDS).close()
    except OSError as error:
        raise _nobody(known, error.strerror or str(error)) from None
    if not _speaks_grpc(f"{host}:{port}"):
        raise _nobody(known, "what listens there is not Ray")


def _nobody(address: str, why: str) -> InputError:
    hint = "start one with `ray start --head`, or use --address local"
    return InputError(f"no Ray cluster at {address} ({why})", expected="one", where="--address", hint=hint)


def _speaks_grpc(address: str) -> bool:
    """Whether a gRPC server answers; taken for granted where that cannot be tried."""
    try:
        import grpc
    except ImportError:
        return True
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=ANSWER_SECONDS)
        except grpc.FutureTimeoutError:
            return False
    return True
