"""Serves the live page of a folder or bucket on this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wsml_study.http_server import listening, running_server
from wsml_study.live.access import HOST, access_to
from wsml_study.live.app import LivePage
from wsml_study.live.commands import CommandRuns
from wsml_study.live.found_studies import FoundStudies

MOST_CONNECTIONS = 500


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
    with access_to(place) as access, listening(HOST, *((access.port, 0) if port is None else (port,))) as listener:
        access = access.keep(listener.getsockname()[1])
        studies = FoundStudies(place, access.folder / "copies")
        runs = CommandRuns(access.folder / "commands")
        page = LivePage(studies, runs, token=access.token, script_cache=access.folder.parent)
        try:
            with running_server(
                page.app(), listener, name="live page", most_connections=MOST_CONNECTIONS, ending_s=1, lifespan=False
            ):
                yield access.address, studies
        finally:
            page.close()
