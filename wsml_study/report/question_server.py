"""Serves the page of questions on this machine alone, and keeps the answers as they are given."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import TypeAdapter, ValidationError

from wsml_study.errors import ResourcesError, WsmlStudyError
from wsml_study.record.questions import Answer, QuestionSet, first_complaint

HOST = "127.0.0.1"
LARGEST_BODY = 2**20
"""Bytes; the page sends at most 100 answers at a time."""

TIMEOUT_S = 30.0
ANSWERS = "answers"
JSON_TYPE = "application/json"
STARTED_ANEW = "`ask --serve` was started anew; open the address that it prints now."
NEVER_OUTSIDE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # with no-referrer, Chromium sends our own POST without its origin
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every reply: nothing is stored, nor does another page learn the address or frame this one."""

Keep = Callable[[Sequence[Answer]], object]
"""Keeps answers durably; a `WsmlStudyError` or `OSError` says that they could not be kept."""


@contextmanager
def served_questions(
    asked: QuestionSet, page: Callable[[str], str], keep: Keep, *, port: int = 0
) -> Iterator[tuple[str, threading.Event]]:
    """Serve the page until the block ends.

    Only this machine reaches the server, and only who knows the random token in the address: other users of the machine
    do not, and pages from elsewhere are refused by the `Host` and `Origin` that they send.

    Args:
        asked: answers to other questions are refused.
        page: gives the HTML, made anew for each visit so that it holds the answers kept so far, from the address that
            it sends answers to, as of `question_page`.
        keep: is called with the answers, by one thread at a time.
        port: to listen on; 0 for any free one.

    Yields:
        the page's address, and an event that is set when every question has been answered by somebody.

    Raises:
        ResourcesError: the port cannot be used.
    """
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as error:
        raise ResourcesError(
            f"port {port} of {HOST} cannot be used: {error.strerror or error}; name another"
        ) from error
    server.serve(asked, page, keep)
    thread = threading.Thread(target=server.serve_forever, name="questions", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}{server.path}", server.complete
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    """The server of one set of questions."""

    daemon_threads = True

    def serve(self, asked: QuestionSet, page: Callable[[str], str], keep: Keep) -> None:
        """Say what is served."""
        self.path = f"/{secrets.token_urlsafe(24)}/"
        self.complete = threading.Event()
        self._asked, self._page, self._keep = asked, page, keep
        self._pairs = {question.pair for question in asked.questions}
        self._open = set(self._pairs)
        self._lock = threading.Lock()

    def html(self) -> bytes:
        """The page."""
        return self._page(self.path + ANSWERS).encode()

    def take(self, answers: list[Answer]) -> str:
        """Keep answers; says what is wrong with them, or nothing."""
        for answer in answers:
            if answer.set_number != self._asked.number or answer.pair not in self._pairs:
                return f"{answer.class_name} in {answer.image} was not asked by set {self._asked.number}"
        with self._lock:
            self._keep(answers)
            self._open -= {answer.pair for answer in answers}
            if not self._open:
                self.complete.set()
        return ""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a connection that the browser has closed."""


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    server_version = "wsml-study"
    sys_version = ""
    timeout = TIMEOUT_S

    def do_GET(self) -> None:
        """The page."""
        if not self._is_allowed():
            return
        if self.path != self.server.path:
            self._reply(HTTPStatus.NOT_FOUND, "there is nothing at this address")
            return
        self._guarded(lambda: self._reply(HTTPStatus.OK, self.server.html(), "text/html; charset=utf-8"))

    def do_POST(self) -> None:
        """Answers."""
        self.close_connection = True  # a body that is not read must not be taken for the next request
        if not self._is_allowed():
            return
        if not secrets.compare_digest(self.path.encode(), f"{self.server.path}{ANSWERS}".encode()):
            self._reply(HTTPStatus.NOT_FOUND, STARTED_ANEW)
        elif self.headers.get_content_type() != JSON_TYPE:
            self._reply(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected {JSON_TYPE}")
        else:
            self._guarded(self._take)

    def log_message(self, *_: object) -> None:
        """Print nothing: the address is the token."""

    def _take(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._reply(HTTPStatus.LENGTH_REQUIRED, "expected the length of the answers")
            return
        if int(length) > LARGEST_BODY:
            self._reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {LARGEST_BODY:,} bytes of answers")
            return
        try:
            answers = TypeAdapter(list[Answer]).validate_json(self.rfile.read(int(length)))
        except ValidationError as error:
            self._reply(HTTPStatus.BAD_REQUEST, f"these are no answers: {first_complaint(error)}")
            return
        complaint = self.server.take(answers)
        if complaint:
            self._reply(HTTPStatus.BAD_REQUEST, complaint)
        else:
            self._reply(HTTPStatus.OK, json.dumps({"kept": len(answers)}), JSON_TYPE)

    def _guarded(self, act: Callable[[], None]) -> None:
        """Act, and tell the page in words what failed, without a traceback."""
        try:
            act()
        except (WsmlStudyError, OSError) as error:
            self._reply(HTTPStatus.INSUFFICIENT_STORAGE, f"they could not be written: {error}")
        except Exception as error:  # the client sees no more; the answers stay in its browser
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, f"wsml-study failed ({type(error).__name__})")

    def _is_allowed(self) -> bool:
        """Whether the request comes from our own page: a name that resolves to this machine has another Host."""
        ours = f"{HOST}:{self.server.server_port}"
        origin = self.headers.get("Origin")
        if self.headers.get("Host") == ours and origin in (None, f"http://{ours}"):
            return True
        self.close_connection = True
        self._reply(HTTPStatus.FORBIDDEN, f"open the page at its own address, on {ours}")
        return False

    def _reply(self, status: HTTPStatus, content: str | bytes, kind: str = "text/plain; charset=utf-8") -> None:
        body = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in NEVER_OUTSIDE.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
