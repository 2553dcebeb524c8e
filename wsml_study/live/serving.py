"""Serves the live page of a folder or bucket on this machine alone."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn

from wsml_study.errors import ResourcesError
from wsml_study.live.access import HOST, Access, access_to
from wsml_study.live.app import LivePage
from wsml_study.live.commands import CommandRuns
from wsml_study.live.found_studies import FoundStudies

MOST_CONNECTIONS = 500
LARGEST_HEAD = 16 * 1024
START_S = 30.0


@contextmanager
def served_studies(place: str, *, port: int | None = None) -> Iterator[tuple[str, FoundStudies]]:
    """Serve the page until the block ends; what was started from it goes on.

    Args:
        place: a folder of results, or a URI of `pyarrow.fs`.
        port: to listen on; None for that of the last time, or any free one.

    Yields:
        The page's address, and the studies.

    Raises:
        ResultsError: there is no such place.
        ResourcesError: the place is served already, or the port cannot be used.
    """
    with access_to(place) as access, _listening(access, port) as listener:
        access = access.keep(listener.getsockname()[1])
        studies = FoundStudies(place, access.folder / "copies")
        runs = CommandRuns(access.folder / "commands")
        page = LivePage(studies, runs, token=access.token, script_cache=access.folder.parent)
        server = _server(page)
        thread = threading.Thread(target=server.run, args=([listener],), name="live page", daemon=True)
        thread.start()
        try:
            _wait_for(server, thread)
            yield access.address, studies
        finally:
            server.should_exit = True
            page.close()
            thread.join()


def _server(page: LivePage) -> uvicorn.Server:
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # an address in a log would give the token away
    return uvicorn.Server(
        uvicorn.Config(
            page.app(),
            lifespan="off",
            loop="asyncio",
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=LARGEST_HEAD,
            timeout_graceful_shutdown=1,
        )
    )


@contextmanager
def _listening(access: Access, port: int | None) -> Iterator[socket.socket]:
    """A socket that listens on a port: the given one, or that of the last time if it is free, or any."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with listener:
        if port is None:
            with suppress(OSError):
                listener.bind((HOST, access.port))
            if listener.getsockname()[1] == 0:
                listener.bind((HOST, 0))
        else:
            try:
                listener.bind((HOST, port))
            except OSError as error:
                raise ResourcesError(
                    f"port {port} of {HOST} cannot be used: {error.strerror or error}; name another with --port"
                ) from error
        yield listener


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ResourcesError("the server does not start")
        time.sleep(0.01)
