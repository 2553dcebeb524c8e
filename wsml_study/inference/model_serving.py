"""Serves a model over HTTP until it is told to end."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wsml_study.http_server import listening, running_server
from wsml_study.inference.model import load_model
from wsml_study.inference.model_service import Limits, ModelService

HOST, PORT = "127.0.0.1", 8000
CONNECTIONS_PER_REQUEST = 8
"""Open connections for each request that may be at work; most of them are idle."""

ENDING_S = 5


@contextmanager
def served_model(
    folder: Path,
    *,
    host: str = HOST,
    port: int = PORT,
    limits: Limits | None = None,
    batch_size: int | None = None,
    device: str = "auto",
) -> Iterator[tuple[str, ModelService]]:
    """Serve a model until the block ends, which waits for requests that are being answered.

    Args:
        folder: of the model.
        host: address to listen on.
        port: to listen on; 0 for a free one.
        limits: of a request.
        batch_size: most pictures that are computed at once; by default as in training.
        device: as `load_model`.

    Yields:
        The address, http://..., and the service.

    Raises:
        ResultsError: there is no model, or its thresholds are damaged.
        ResourcesError: the address cannot be used, or there is no such device.
    """
    limits = limits or Limits()
    with listening(host, port, options="--port or --host") as listener:
        service = ModelService(load_model(folder, device=device), limits, batch_size=batch_size)
        with running_server(
            service.app(),
            listener,
            name="model service",
            most_connections=CONNECTIONS_PER_REQUEST * limits.num_requests,
            ending_s=ENDING_S,
            lifespan=True,
        ):
            yield _address(host, listener.getsockname()[1]), service


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
