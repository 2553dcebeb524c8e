"""Serves a model over HTTP until it is told to end."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from wsml_study.errors import ResourcesError
from wsml_study.inference.model import load_model
from wsml_study.inference.model_service import Limits, ModelService

HOST, PORT = "127.0.0.1", 8000
LARGEST_HEAD = 16 * 1024
BACKLOG = 256
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
    with _listening(host, port) as listener:
        service = ModelService(load_model(folder, device=device), limits, batch_size=batch_size)
        server = _server(service, limits)
        thread = threading.Thread(target=server.run, args=([listener],), name="model service", daemon=True)
        thread.start()
        try:
            yield _address(host, listener.getsockname()[1]), service
        finally:
            server.should_exit = True
            thread.join()


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


def _server(service: ModelService, limits: Limits) -> uvicorn.Server:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # malformed requests are not worth a line each
    return uvicorn.Server(
        uvicorn.Config(
            service.app(),
            lifespan="on",
            loop="asyncio",
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS_PER_REQUEST * limits.num_requests,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_graceful_shutdown=ENDING_S,
        )
    )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ResourcesError(
                f"{host}, port {port}, cannot be used: {error.strerror or error}; name another with --port or --host"
            ) from error
        listener.listen(BACKLOG)  # from here on requests wait, and none is refused
        yield listener


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
