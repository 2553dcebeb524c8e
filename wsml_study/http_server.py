"""Runs an ASGI app on a listening socket in a thread, with limits on what a request may be; uvicorn."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from wsml_study.errors import ResourcesError

LARGEST_HEAD = 16 * 1024
"""Bytes of a request before its body."""

START_S = 30.0


@contextmanager
def listening(host: str, *ports: int, options: str = "--port", backlog: int = 256) -> Iterator[socket.socket]:
    """A socket that listens on the first of some ports that is free; from here on requests wait, and none is refused.

    Args:
        host: address to listen on.
        ports: to try; 0 is any free one.
        options: by which the user names another place, for the error.
        backlog: connections that may wait.

    Raises:
        ResourcesError: none of the ports can be used.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in ports:
            try:
                listener.bind((host, port))
                break
            except OSError as error:
                why = f"{host}, port {port}, cannot be used: {error.strerror or error}; name another with {options}"
        else:
            raise ResourcesError(why)
        listener.listen(backlog)
        yield listener


@contextmanager
def running_server(
    app: Any, listener: socket.socket, *, name: str, most_connections: int, ending_s: int, lifespan: bool
) -> Iterator[None]:
    """Serve an app until the block ends, which waits for requests that are being answered.

    Args:
        app: an ASGI application.
        listener: socket to take connections from.
        name: of the thread.
        most_connections: open at once; more are answered with 503.
        ending_s: longest that the end waits for requests, in seconds.
        lifespan: whether the app has something to start and to end.

    Raises:
        ResourcesError: the server does not start.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # addresses may hold a token; bad requests are many
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="on" if lifespan else "off",
            loop="asyncio",
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=most_connections,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_graceful_shutdown=ending_s,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name=name, daemon=True)
    thread.start()
    try:
        _wait_for(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join()


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ResourcesError("the server does not start")
        time.sleep(0.01)
