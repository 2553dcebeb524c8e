"""The server of the page of questions: who reaches it, and what it tells when an answer is not kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.report.asked_photos import ASKED
from wsml_study.errors import ResourcesError, ResultsError
from wsml_study.record.questions import Answer
from wsml_study.report.question_server import LARGEST_BODY, served_questions

ANSWERS = [
    Answer(
        image=one.image, class_name=one.class_name, answer="yes", by="Ann", at="2026-03-01T10:00:00Z", set_number=2
    ).model_dump()
    for one in ASKED.questions
]


@dataclass
class Served:
    """A running server, and what it was told to keep."""

    address: str = ""
    complete: object = None
    kept: list[Answer] = field(default_factory=list)
    failure: Exception | None = None

    def keep(self, answers: list[Answer]) -> None:
        if self.failure is not None:
            raise self.failure
        self.kept += answers

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", urlsplit(self.address).port, timeout=20)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, content, {"Content-Type": "application/json"} | named)
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, text

    @property
    def path(self) -> str:
        return urlsplit(self.address).path


@pytest.fixture
def served() -> Iterator[Served]:
    it = Served()
    with served_questions(ASKED, lambda reply_to: f"page {reply_to}", it.keep) as (it.address, it.complete):
        yield it


def test_the_page_is_at_its_secret_address_alone(served):
    assert served.address.startswith("http://127.0.0.1:")
    assert len(served.path) > 30
    assert served.ask("GET", served.path) == (200, f"page {served.path}answers")
    assert served.ask("GET", "/")[0] == served.ask("GET", "/answers")[0] == 404
    status, said = served.ask("POST", "/answers", ANSWERS)
    assert status == 404
    assert "open the address that it prints now" in said
    assert served.kept == []


def test_answers_are_kept_as_they_come(served):
    assert served.ask("POST", f"{served.path}answers", ANSWERS[:4]) == (200, '{"kept": 4}')
    assert not served.complete.is_set()
    assert served.ask("POST", f"{served.path}answers", ANSWERS[4:])[0] == 200
    assert [one.model_dump() for one in served.kept] == ANSWERS
    assert served.complete.is_set()


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
def test_another_sites_page_is_refused(served, headers: dict[str, str]):
    assert served.ask("GET", served.path, **headers)[0] == 403
    assert served.ask("POST", f"{served.path}answers", ANSWERS, **headers)[0] == 403
    assert served.kept == []


def test_what_is_no_answer_is_refused_in_words(served):
    path = f"{served.path}answers"
    assert served.ask("POST", path, ANSWERS, Content_Type="text/plain")[0] == 415
    assert served.ask("POST", path, b"[{")[0] == 400
    unasked = ANSWERS[0] | {"image": "/etc/passwd"}
    assert served.ask("POST", path, [unasked]) == (400, "dog in /etc/passwd was not asked by set 2")
    assert served.ask("POST", path, [ANSWERS[0] | {"answer": "maybe"}])[1].startswith("these are no answers: 0.answer:")
    assert served.ask("POST", path, b"", Content_Length=str(LARGEST_BODY + 1))[0] == 413
    assert served.kept == []


@pytest.mark.parametrize(
    ("failure", "status", "told"),
    [
        (ResultsError("disk full"), 507, "they could not be written: disk full"),
        (RuntimeError("a secret"), 500, "wsml-study failed (RuntimeError)"),
    ],
)
def test_the_page_is_told_when_answers_are_not_kept(served, failure: Exception, status: int, told: str):
    served.failure = failure
    assert served.ask("POST", f"{served.path}answers", ANSWERS) == (status, told)
    assert not served.complete.is_set()


def test_a_port_that_is_taken_says_so(served):
    port = urlsplit(served.address).port
    with (
        pytest.raises(ResourcesError, match=f"port {port} of 127.0.0.1 cannot be used"),
        served_questions(ASKED, str, served.keep, port=port),
    ):
        pass
