"""Who gets in: requests of this machine's own pages that know the token, and what every reply forbids."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 2**20
"""Bytes; answers to questions come up to 100 at a time."""

OWN_NAMES = ("127.0.0.1", "localhost", "[::1]")
"""Names of this machine for itself, which no page from elsewhere has; a tunnel may give it another port."""

OF_REPORTS = re.compile("/study/[0-9a-f]+/report")
"""Paths of reports, after the token."""

WRITING = ("POST",)
READING = ("GET", "HEAD")
JSON_TYPE = "application/json"
POLICY = "Content-Security-Policy"
OF_PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Nothing comes from, or goes to, anywhere but this server; Vega sets styles."""

HEADERS = {
    POLICY: OF_PAGE,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, Chromium sends our own POST without its origin
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every reply, where the reply does not set them itself."""

Refusal = tuple[int, str]
"""Status and text."""


def report_token(token: str) -> str:
    """The token in the addresses of reports: their scripts can read it, and it opens nothing else."""
    return hashlib.blake2b(b"reports", key=token.encode(), digest_size=18).hexdigest()


class Gate:
    """Refuses what does not come from the page itself, before any other code sees it."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        """Stand before an app, whose addresses begin after the token."""
        self._app, self._token, self._report_token = app, token, report_token(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on without the token."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        replied = _with_headers(send)
        if (refusal := self._refusal(scope)) is not None:
            status, text = refusal
            await PlainTextResponse(f"{text}\n", status, {"Connection": "close"})(scope, receive, replied)
            return
        inside = "/" + scope["path"].split("/", 2)[2]
        await self._app({**scope, "path": inside, "raw_path": inside.encode()}, _at_most(receive), replied)

    def _token_of(self, path: str) -> str:
        return self._report_token if OF_REPORTS.fullmatch(path) else self._token

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers, method = Headers(scope=scope), scope["method"]
        host, origin = headers.get("host", ""), headers.get("origin")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in OWN_NAMES or (origin is not None and urlsplit(origin).netloc != host):
            return 403, f"open the page at its own address, on {OWN_NAMES[0]}"
        parts = scope["path"].split("/", 2)
        if len(parts) < 3 or not secrets.compare_digest(parts[1].encode(), self._token_of(f"/{parts[2]}").encode()):
            return 404, "there is nothing at this address; open the one that `wsml-study serve` prints"
        if method in READING:
            return None
        if method not in WRITING:
            return 405, "expected GET or POST"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "this comes from another page"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != JSON_TYPE:
            return 415, f"expected {JSON_TYPE}"
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411, "expected the length of the content"
        if int(length) > LARGEST_BODY:
            return 413, f"expected at most {LARGEST_BODY:,} bytes"
        return None


def _with_headers(send: Send) -> Send:
    async def replied(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return replied


def _at_most(receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Receives no more than a body may have, whatever its head has said."""
    so_far = 0

    async def received() -> Message:
        nonlocal so_far
        message = await receive()
        so_far += len(message.get("body", b""))
        if so_far > LARGEST_BODY:
            return {"type": "http.disconnect"}
        return message

    return received
