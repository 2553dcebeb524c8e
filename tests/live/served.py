"""A live page that is served for a test, and requests to it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wsml_study.live.serving import served_studies

PATIENCE_S = 120.0
RECORDED = Path(__file__).parents[1] / "recorded"


@dataclass(frozen=True)
class Served:
    """A running server."""

    address: str

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def path(self) -> str:
        """Of all addresses, with the token."""
        return urlsplit(self.address).path

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[HTTPResponse, str]:
        """The reply to a request for a whole path."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        kind = {} if content is None else {"Content-Type": "application/json"}
        connection.request(method, path, content, kind | (headers or {}))
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply, text

    def get(self, path: str) -> Any:
        """What an address of the page's own replies, as plain data."""
        reply, text = self.ask("GET", f"{self.path}{path}")
        assert reply.status == 200, text
        return json.loads(text)

    def post(self, path: str, body: object) -> tuple[int, str]:
        """Status and text of the reply to a write."""
        reply, text = self.ask("POST", f"{self.path}{path}", body)
        return reply.status, text

    def key(self, name: str) -> str:
        """The key of a study."""
        return next(str(study["key"]) for study in self.get("api/studies")["studies"] if study["name"] == name)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds, without taking the CPUs from the server."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def served(results: Path | str) -> Iterator[Served]:
    """Serve a place for the duration of a block."""
    with served_studies(str(results)) as (address, _):
        yield Served(address)
